"""Events in two: the head, which is Pismo's envelope, and the rest from `data` on.

Pismo writes the envelope first (every example of its Event base contract does). Heads are alike whatever the event
type, so those of a whole file take one parse; and where nothing but the envelope stands in a head, who wants the
payload need not parse it again.
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
# a number in quotes passes too, and one like 1.0: `closed` is asked, or a stricter parse
_SCHEMA = pa.schema([*((key, pa.string()) for key in TEXT_KEYS), (VERSION_KEY, pa.decimal128(_DIGITS, 0))])


def cut_of(raw: bytes, event: dict[str, Any]) -> int:
    """Where the payload's key stands in an event whose head is closed, as `read_heads` says; 0 in any other."""
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
    """Where the comma before ``"data":{`` stands in each event, -1 where there is none. It may stand deeper."""
    return np.fromiter(map(bytes.find, raw, repeat(_DATA)), np.int64, len(raw))


def read_heads(raw: Sequence[bytes], ends: Sequence[int]) -> pa.Table | None:
    """The envelopes of events, a row each, with their `form`; None where any of them is not readable so.

    `ends` are those of `ends_of_heads`; an event without one is read whole. Unknown keys are passed over. A head is
    `CLOSED` where its bytes are the seven keys and values, spelled compactly without escapes, and nothing else: then it
    is what it was read as. Another may lack keys that stand behind the payload. In events read whole the version
    seems to be a `NUMBER`, or missing, or `TEXT`.
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
    # null where any value is
    left = pc.subtract(pa.array(np.asarray(ends)), pc.add(spelled, _KEYS)).fill_null(-1).to_numpy()
    form = np.where(left == 0, CLOSED, NUMBER)
    for place in np.flatnonzero(left).tolist():
        if _QUOTED in heads[place]:
            # with two quotes a number is as long as one like 1.0
            form[place] = CLOSED if left[place] == len(b'""') else TEXT
    return table.set_column(table.schema.names.index(VERSION_KEY), VERSION_KEY, version).append_column(
        "form", pa.array(form)
    )


def _length(texts: Any) -> Any:
    return pc.binary_length(texts).cast(pa.int64())


def tails(raw: Sequence[bytes], cuts: Sequence[int]) -> bytes:
    """Events from their `cuts` on, as objects with the payload and what comes after it."""
    return b"{" + b"\n{".join([event[cut:] for event, cut in zip(raw, cuts, strict=True)])
