"""Times of events, many at once."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from pismo_lake.envelope import timestamp_us

_MICROSECONDS = pa.timestamp("us", tz="UTC")
# what both ways of reading agree on; the rest is rare and read one by one
_USUAL = r"^[12][0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:?[0-9]{2})$"


def timestamps_us(texts: pa.StringArray) -> pa.TimestampArray:
    """`timestamp_us` of each text; null where it is null or has no such time."""
    if pc.all(pc.match_substring_regex(texts, _USUAL)).as_py():
        # finer than a microsecond is cut, as it is one by one
        cut = pc.replace_substring_regex(texts, r"(\.[0-9]{6})[0-9]+", r"\1")
        try:
            return cut.cast(_MICROSECONDS)
        except pa.ArrowInvalid:
            pass
    return pa.array([None if text is None else timestamp_us(text) for text in texts.to_pylist()], _MICROSECONDS)
