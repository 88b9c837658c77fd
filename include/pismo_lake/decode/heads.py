"""Read events in two parts: the head (Pismo's envelope), and the rest from `data` on.

Pismo writes the envelope first (every example of its Event base contract does). Heads have the same form for all event
types, so one parse reads the heads of a whole file. If a head holds only envelope keys, readers of the payload can
skip it.
"""

from __future__ import annotations

from itertools import islice, repeat
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pismo_lake.decode.arrow_json import read_events
from pismo_lake.decode.fields import ENVELOPE_KEYS, PAYLOAD_KEY, TEXT_KEYS, VERSION_KEY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

CLOSED, NUMBER, TEXT = range(3)
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


def ends_of_heads(raw: Sequence[bytes]) -> NDArray[np.int64]:
    """Return the place of the comma before ``"data":{`` in each event; -1 if there is none.

    The place may be inside a nested object.
    """
    return np.fromiter(map(bytes.find, raw, repeat(_DATA)), np.int64, len(raw))


def read_heads(raw: Sequence[bytes], ends: Sequence[int]) -> pa.Table | None:
    """Return the envelopes of events, one row each, with `form`; None if one is unreadable.

    `ends` come from `ends_of_heads`; an event without an end is read whole. Unknown keys are ignored. A head is
    `CLOSED` if its bytes are exactly the seven keys and values, in compact form without escapes: then it was read
    correctly. Another head may lack keys that come after the payload. In events that are read whole, the version looks
    like a `NUMBER` (or is missing) or like `TEXT`.
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
