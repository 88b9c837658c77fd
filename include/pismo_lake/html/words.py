"""Write numbers, sizes, durations and times for people."""

from __future__ import annotations

from datetime import datetime, timedelta

from pismo_lake.hours import PublishDay, PublishHour

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_STEP = 1000
_SHORT = 120
_WEEKDAY = "%a"


def count_text(value: int) -> str:
    """Return a whole number with separators.

    >>> count_text(1234567)
    '1,234,567'
    """
    return f"{value:,}"


def bytes_text(size: float) -> str:
    """Return a number of bytes in the largest unit that keeps it above one.

    >>> bytes_text(0), bytes_text(999), bytes_text(12_345_678), bytes_text(9.9e11)
    ('0 B', '999 B', '12.3 MB', '990.0 GB')
    """
    unit = 0
    while size >= _STEP and unit < len(_UNITS) - 1:
        size, unit = size / _STEP, unit + 1
    return f"{size:.1f} {_UNITS[unit]}" if unit else f"{size:.0f} B"


def duration_text(lag: timedelta | float | None) -> str:
    """Return a duration, or a number of seconds, in its two largest units; ``-`` without one.

    >>> duration_text(42), duration_text(timedelta(hours=3, minutes=5)), duration_text(timedelta(days=2, minutes=1))
    ('42 s', '3 h 5 min', '2 d 0 h')
    """
    if lag is None:
        return "-"
    # a lag can be negative: clocks differ, and the folder of an hour may exist before the hour begins
    seconds = max(lag.total_seconds() if isinstance(lag, timedelta) else lag, 0.0)
    return f"{seconds:.0f} s" if seconds < _SHORT else minutes_text(int(seconds) // 60)


def minutes_text(minutes: int) -> str:
    """Return a number of minutes in its two largest units.

    >>> minutes_text(5), minutes_text(185), minutes_text(2881)
    ('5 min', '3 h 5 min', '2 d 0 h')
    """
    hours, days = minutes // 60, minutes // 1440
    if days:
        return f"{days} d {hours % 24} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"


def moment_text(text: str | None) -> str:
    """Return a time of the ledger to the minute, in UTC; other texts as they are.

    >>> moment_text("2026-03-01T12:34:56+00:00"), moment_text(None)
    ('2026-03-01 12:34', '-')
    """
    if not text:
        return "-"
    try:
        return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return text


def hour_text(text: str) -> str:
    """Return a publish hour as a person reads it; other texts as they are.

    >>> hour_text("2026-03-01T07"), hour_text("-")
    ('2026-03-01 07:00', '-')
    """
    try:
        return PublishHour.parse(text).start.strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return text


def day_text(text: str) -> str:
    """Return a publish day with its weekday.

    >>> day_text("2026-03-01")
    'Sun, 1 March 2026'
    """
    start = PublishDay.parse(text).start
    return f"{start:%a}, {start.day} {start:%B %Y}"
