"""Read the times of events and the dates of payloads, many at once."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_MICROSECONDS = pa.timestamp("us", tz="UTC")
# pyarrow and `timestamp_us` read these texts alike; the rest is rare and read one by one
_USUAL = r"^[12][0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:?[0-9]{2})$"
_ZERO, _NINE = b"09"
_MOST_LENGTHS = 16
# the shortest text with a digit after the microseconds has one more
_MOST_TO_MICROSECONDS = len("2026-03-01T00:00:00.000000Z")
_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def timestamps_us(texts: pa.StringArray) -> pa.TimestampArray:
    """Return `timestamp_us` of each text; null if the text is null or no such time."""
    if _are_usual(texts):
        # digits after the microseconds are cut, as `timestamp_us` does
        long = pc.greater(pc.binary_length(texts), _MOST_TO_MICROSECONDS)
        cut = pc.replace_substring_regex(texts.filter(long), r"(\.[0-9]{6})[0-9]+", r"\1")
        cut = pc.replace_with_mask(texts, long, cut)
        try:
            return cut.cast(_MICROSECONDS)
        except pa.ArrowInvalid:
            pass
    return pa.array([None if text is None else timestamp_us(text) for text in texts.to_pylist()], _MICROSECONDS)


def _are_usual(texts: pa.StringArray) -> bool:
    """Return whether all texts match `_USUAL`; those of one length mostly have one form, so compare them with it."""
    if texts.null_count or not len(texts):
        return bool(pc.all(pc.match_substring_regex(texts, _USUAL)).as_py())
    lengths = pc.binary_length(texts)
    kinds = lengths.unique().to_pylist()
    if len(kinds) > _MOST_LENGTHS or 0 in kinds:
        return False
    for length in kinds:
        some = texts.filter(pc.equal(lengths, length))
        codes = np.frombuffer(some.buffers()[2], np.uint8, length * len(some)).reshape(-1, length)
        digits = (codes - _ZERO) <= _NINE - _ZERO
        # only digits may differ, and not that of the millennium
        same = digits | (codes == codes[0])
        same[:, 0] = codes[:, 0] == codes[0, 0]
        alike = same.all() and (digits == digits[0]).all()
        if not pc.all(pc.match_substring_regex(some[:1] if alike else some, _USUAL)).as_py():
            return False
    return True


def typed_values(texts: pa.StringArray, kind: pa.DataType) -> pa.Array:
    """Return texts as dates (``YYYY-MM-DD``) or as UTC times; null for texts of another form."""
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


_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(?::(\d\d)(?:[.,](\d+))?)?"
    r"(?:[Zz]|([+-])(\d\d)(?::?(\d\d))?)",
    re.ASCII,
)
_LEAP_SECOND = "60"
_MOST_HOURS, _MOST_MINUTES = 23, 59


def timestamp_us(text: str) -> int | None:
    """Return an ISO 8601 time in microseconds since the epoch; None without date, zone or year.

    Seconds may be missing, and may have any number of digits after the point, of which six count. A zone is ``Z``,
    ``+hh``, ``+hhmm`` or ``+hh:mm``. A leap second becomes the second after it, as in POSIX time, which has no value
    for it.

    >>> timestamp_us("1970-01-01T00:00:01.5Z"), timestamp_us("2026-03-01T09:07:34") (1500000, None) >>>
    timestamp_us("1970-01-01T01:00+01"), timestamp_us("2016-12-31T23:59:60Z") == timestamp_us("2017-01-01T00:00Z") (0,
    True)
    """
    found = _RFC3339.fullmatch(text)
    if not found:
        return None
    day, minute, second, fraction, sign, hours, minutes = found.groups("")
    leap = second == _LEAP_SECOND
    try:
        moment = datetime.fromisoformat(f"{day}T{minute}:{'59' if leap else second or '00'}+00:00")
        if sign:
            hour, rest = int(hours), int(minutes or "0")
            if hour > _MOST_HOURS or rest > _MOST_MINUTES:
                return None
            ahead = timedelta(hours=hour, minutes=rest)
            # in UTC its year may be before 1 or after 9999, which `datetime` refuses
            moment = moment + ahead if sign == "-" else moment - ahead
        if leap:
            moment += timedelta(seconds=1)
            if moment.hour or moment.minute:
                # leap seconds are inserted only at midnight UTC
                return None
        return (moment - _EPOCH) // _MICROSECOND + int(fraction[:6].ljust(6, "0"))
    except (ValueError, OverflowError):
        return None
