"""Times of events and dates of payloads, many at once."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

_MICROSECONDS = pa.timestamp("us", tz="UTC")
# what both ways of reading agree on; the rest is rare and read one by one
_USUAL = r"^[12][0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:?[0-9]{2})$"
_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


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


def typed_values(texts: pa.StringArray, kind: pa.DataType) -> pa.Array:
    """Texts as dates (``YYYY-MM-DD``) or as times in UTC, microseconds; null where they are none."""
    if not pa.types.is_date(kind):
        return timestamps_us(texts)
    if pc.all(pc.match_substring_regex(texts, _DATE)).as_py():
        try:
            return texts.cast(kind)
        except pa.ArrowInvalid:
            pass
    return pa.array([_date(text) for text in texts.to_pylist()], kind)


def _date(text: str | None) -> date | None:
    if text is None or not _ISO_DATE.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


_MICROSECOND = timedelta(microseconds=1)


_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:?\d\d)")


def timestamp_us(text: str) -> int | None:
    """Microseconds since the epoch of an RFC 3339 time with 0 to 9 fractional digits; None without a zone or a year.

    >>> timestamp_us("1970-01-01T00:00:01.5Z"), timestamp_us("2026-03-01T09:07:34")
    (1500000, None)
    """
    if not _RFC3339.fullmatch(text):
        return None
    try:
        # in UTC it may be of no year that dates have, before 1 or after 9999
        return (datetime.fromisoformat(text.upper()).astimezone(UTC) - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        return None
