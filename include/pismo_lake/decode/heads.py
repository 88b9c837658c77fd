"""Read events in two parts: the head (Pismo's envelope), and the rest from `data` on.

Pismo writes the envelope first (every example of its Event base contract does), and its keys in one order. The heads
of a file differ in few texts, apart from their ids and times. So each text is parsed once, and ids and times are cut
out by their quotes. One parse with pyarrow reads all other heads. If a head holds only envelope keys, readers of the
payload can skip it.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from pismo_lake.decode.arrow_json import read_events
from pismo_lake.decode.fast_split import cut_out
from pismo_lake.decode.fields import ENVELOPE_KEYS, PAYLOAD_KEY, TEXT_KEYS, VERSION_KEY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pismo_lake.decode.fast_split import Pieces

CLOSED, NUMBER, TEXT = range(3)
_UNIQUE = ("event_id", "cid", "timestamp")
_QUOTE, _BACKSLASH, _OPEN, _SPACE = b'"\\{ '
# each text has a key and a value in quotes, the version at least its key
_FEWEST_QUOTES = 4 * len(TEXT_KEYS) + 2
_SAMPLES = 16
_ALIKE = 4
_DATA = f',"{PAYLOAD_KEY}":{{'.encode()
_QUOTED = f'"{VERSION_KEY}":"'.encode()
_COMMAS_AND_BRACE = len(TEXT_KEYS) + 1
_MARKS = 3  # two quotes and the colon of a key
_KEYS = sum(len(key) + _MARKS for key in (*TEXT_KEYS, VERSION_KEY)) + _COMMAS_AND_BRACE
_DIGITS = 18
# it also accepts a number in quotes, and a number like 1.0: `closed` or a stricter parse checks that
_SCHEMA = pa.schema([*((key, pa.string()) for key in TEXT_KEYS), (VERSION_KEY, pa.decimal128(_DIGITS, 0))])


def cut_of(raw: bytes, event: dict[str, Any]) -> int:
    """Return the place of the payload's key in an event whose head is closed; 0 for any other.

    `read_heads` says which heads are closed.
    """
    end = raw.find(_DATA)
    first = list(islice(event, len(ENVELOPE_KEYS)))
    if end < 1 or first[-1] != PAYLOAD_KEY or ENVELOPE_KEYS.difference(first):
        return 0
    version, spelled = event[VERSION_KEY], _KEYS
    for key in TEXT_KEYS:
        value = event[key]
        if type(value) is not str:
            return 0
        spelled += 2 + (len(value) if value.isascii() else len(value.encode()))
    if type(version) is int:
        spelled += len(str(version))
    elif type(version) is str:
        spelled += len(version.encode()) + 2
    else:
        return 0
    return end + 1 if spelled == end else 0


def read_closed(pieces: Pieces, places: NDArray[np.int64]) -> tuple[NDArray[np.bool_], pa.Table | None]:
    """Return which of these pieces have a closed head in the usual order of keys, and the envelopes of these.

    A closed head has exactly the seven keys and their values, in compact form without escapes. Heads that are left may
    be closed too. Without an envelope there is no table.
    """
    none = np.zeros(len(places), dtype=bool), None
    starts, ends = pieces.starts[places], pieces.heads[places]
    samples = zip(starts[:_SAMPLES].tolist(), ends[:_SAMPLES].tolist(), strict=True)
    order = next((list(head) for span in samples if (head := _read_head(pieces.data[slice(*span)]))), None)
    if order is None:
        return none
    text, bounds = _parts(cut_out(pieces.data, np.column_stack([starts, ends]), [0]))
    quotes = np.flatnonzero(text == _QUOTE)
    first = np.searchsorted(quotes, bounds)
    sound = np.isin(np.diff(first), (_FEWEST_QUOTES, _FEWEST_QUOTES + 2))
    odd = text < _SPACE
    odd |= text == _BACKSLASH
    if odd.any():
        sound[np.searchsorted(bounds, np.flatnonzero(odd), side="right") - 1] = False
    rows, version = np.flatnonzero(sound), order.index(VERSION_KEY)
    # without escapes, quotes open and close in turns; the version may have two: count from the nearer end of the head
    unique = [key for key in order if key in _UNIQUE]
    cuts = [bounds[rows]]
    for at in map(order.index, unique):
        opens = first[rows] + 4 * at if at < version else first[rows + 1] + 4 * (at - len(order))
        cuts += [quotes[opens + 2] + 1, quotes[opens + 3]]
    table = np.column_stack([*cuts, bounds[rows + 1]])
    rest, rest_bounds = _parts(cut_out(text, table, range(0, len(cuts), 2)))
    step = len(unique) + 1
    coded = _texts(rest, rest_bounds[::step], pa.binary()).dictionary_encode()
    if len(coded.dictionary) > max(len(rows) // _ALIKE, _SAMPLES):
        return none
    # an id that is cut out leaves two quotes: only then is the rest a closed head with the same keys
    heads = [_read_head(rest, order) for rest in coded.dictionary.to_pylist()]
    known = np.array([head is not None for head in heads], dtype=bool)[coded.indices.to_numpy()]
    sound[rows[~known]] = False
    shared = {
        key: pa.array([str(head[key]) if head else None for head in heads], pa.string()).take(coded.indices)
        for key in (*TEXT_KEYS, VERSION_KEY) if key not in _UNIQUE
    }  # fmt: skip
    cut = {key: _texts(*_parts(cut_out(text, table, [2 * n + 1])), pa.string()) for n, key in enumerate(unique)}
    columns = shared | cut | {"form": pa.array(np.full(len(rows), CLOSED))}
    envelopes = pa.table({key: columns[key] for key in (*_SCHEMA.names, "form")})
    return sound, envelopes if known.all() else envelopes.filter(pa.array(known))


def _read_head(head: bytes, order: list[str] | None = None) -> dict[str, Any] | None:
    """Return the values of a closed head; None for any other, or if its keys have another order.

    With an order, the unique values must be empty.
    """
    try:
        values = orjson.loads(head + b"}")
    except ValueError:
        return None
    closed = cut_of(head + _DATA, {**values, PAYLOAD_KEY: None})
    if not closed or (order and (list(values) != order or any(values[key] for key in _UNIQUE))):
        return None
    return dict(values)


def _parts(texts: pa.BinaryArray) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the bytes of some texts, one after the other, and the bounds between them."""
    _, offsets, data = texts.buffers()
    bounds = np.frombuffer(offsets, dtype=np.int32, count=len(texts) + 1).astype(np.int64)
    return np.frombuffer(data, dtype=np.uint8, count=int(bounds[-1])), bounds


def _texts(data: NDArray[np.uint8], bounds: NDArray[np.int64], kind: pa.DataType) -> pa.Array:
    offsets = pa.py_buffer(bounds.astype(np.int32))
    return pa.Array.from_buffers(kind, len(bounds) - 1, [None, offsets, pa.py_buffer(data)])


def read_heads(raw: Sequence[bytes], ends: Sequence[int]) -> pa.Table | None:
    """Return the envelopes of events, one row each, with `form`; None if one is unreadable.

    `ends` are the places of the comma before the payload; an event without one (-1) is read whole. Unknown keys are
    ignored. A head is `CLOSED` if its bytes are exactly the seven keys and values, in compact form without escapes:
    then it was read correctly. Another head may lack keys that come after the payload. In events that are read whole,
    the version looks like a `NUMBER` (or is missing) or like `TEXT`.
    """
    heads = [event[:end] + b"}" if end > 0 else event for event, end in zip(raw, ends, strict=True)]
    table = read_events(b"\n".join(heads), len(heads), _SCHEMA, unexpected="ignore")
    if table is None:
        return None
    table = table.combine_chunks()
    version = table[VERSION_KEY].cast(pa.int64()).cast(pa.string())
    spelled = _length(version)
    for key in TEXT_KEYS:
        spelled = pc.add(spelled, pc.add(_length(table[key]), 2))
    # null if any value is null
    left = pc.subtract(pa.array(np.asarray(ends)), pc.add(spelled, _KEYS)).fill_null(-1).to_numpy()
    form = np.where(left == 0, CLOSED, NUMBER)
    for place in np.flatnonzero(left).tolist():
        if _QUOTED in heads[place]:
            # with its two quotes, a number in quotes is as long as a number like 1.0
            form[place] = CLOSED if left[place] == len(b'""') else TEXT
    return table.set_column(table.schema.names.index(VERSION_KEY), VERSION_KEY, version).append_column(
        "form", pa.array(form)
    )


def _length(texts: Any) -> Any:
    return pc.binary_length(texts).cast(pa.int64())


def tails(raw: Sequence[bytes], cuts: Sequence[int]) -> bytes:
    """Return each event's bytes from its cut on, as an object: the payload and the keys after it."""
    return b"{" + b"\n{".join([event[cut:] for event, cut in zip(raw, cuts, strict=True)])


class Tails:
    """The `tails` of pieces whose heads are closed, without delimiters, copied in the order of `places` at once."""

    def __init__(self, pieces: Pieces, places: NDArray[np.int64]) -> None:
        order = np.argsort(places)
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        spans = np.column_stack([pieces.heads[places[order]], pieces.ends[places[order]]])
        self._text, self._bounds = _parts(cut_out(pieces.data, spans, [0], rank))
        # instead of the comma between head and payload
        self._text[self._bounds[:-1]] = _OPEN

    def of(self, first: int, count: int) -> NDArray[np.uint8]:
        """Return the tails of some neighbours."""
        return self._text[self._bounds[first] : self._bounds[first + count]]
