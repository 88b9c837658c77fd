"""Parse and compare publish hours and publish days, the folders that Pismo writes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

_HOUR = timedelta(hours=1)
_FIRST_HOUR = datetime(1, 1, 1, tzinfo=UTC)
_LAST_HOUR = datetime(9999, 12, 31, 23, tzinfo=UTC)
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
DAY_LENGTH = len("YYYY-MM-DD")
"""The length of a publish day's name. The name of a publish hour is longer, and begins with that of its day."""
_TEXT = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d)")
_FOLDER = r"(?:^|/)(?:year=)?(\d{4})/(?:month=)?(\d{1,2})/(?:day=)?(\d{1,2})/(?:hour=)?(\d{1,2})/"
_KEY = re.compile(f"{_FOLDER}[^/]*$")
_ABOVE = re.compile(_FOLDER)

NO_HOUR = "-"
"""The publish hour of a key that names none."""


@dataclass(frozen=True, slots=True, order=True)
class PublishHour:
    """The hour folder of a file's publishing; its zone is undocumented, UTC is assumed.

    Source: Data events recovery.
    """

    start: datetime

    @classmethod
    def of_moment(cls, moment: datetime) -> PublishHour:
        """Return the hour of an aware moment."""
        # a new datetime: Airflow passes pendulum times, whose differences are not timedeltas
        utc = moment.astimezone(UTC)
        return cls(datetime(utc.year, utc.month, utc.day, utc.hour, tzinfo=UTC))

    @classmethod
    def parse(cls, text: str) -> PublishHour:
        """Parse ``YYYY-MM-DDTHH``.

        Raises:
            ValueError: the text has another form.
        """
        found = _TEXT.fullmatch(text)
        if not found:
            msg = f"{text!r} is not a publish hour: write YYYY-MM-DDTHH"
            raise ValueError(msg)
        return cls(datetime(*(int(group) for group in found.groups()), tzinfo=UTC))  # type: ignore[arg-type,misc]

    @classmethod
    def of_key(cls, key: str) -> PublishHour | None:
        """Return the hour of an object key ``…/<y>/<m>/<d>/<h>/<name>``; None if it has none.

        The folders may be padded, unpadded or hive style.
        """
        return cls._of_match(_KEY.search(key))

    @classmethod
    def above_key(cls, key: str) -> PublishHour | None:
        """Return the hour of an object in an hour folder, or below one; None without such a folder."""
        return cls._of_match(_ABOVE.search(key))

    @classmethod
    def _of_match(cls, found: re.Match[str] | None) -> PublishHour | None:
        try:
            return cls(datetime(*(int(g) for g in found.groups()), tzinfo=UTC)) if found else None  # type: ignore[arg-type,misc]
        except ValueError:
            return None

    def __str__(self) -> str:
        return self.start.isoformat()[: len("YYYY-MM-DDTHH")]

    @property
    def date(self) -> str:
        """The publish date, YYYY-MM-DD."""
        return self.start.date().isoformat()

    def plus(self, hours: int) -> PublishHour:
        """Return the hour that many hours later, or earlier, within the range of `datetime`."""
        least, most = (_FIRST_HOUR - self.start) // _HOUR, (_LAST_HOUR - self.start) // _HOUR
        return PublishHour(self.start + min(max(hours, least), most) * _HOUR)

    def prefixes(self, root: str = "main_stream") -> tuple[str, ...]:
        """Return every folder spelling of this hour: unpadded (as documented), padded, hive style."""
        at = self.start
        spellings = (
            f"{root}/{at.year}/{at.month}/{at.day}/{at.hour}/",
            f"{root}/{at:%Y/%m/%d/%H}/",
            f"{root}/{at:year=%Y/month=%m/day=%d/hour=%H}/",
            f"{root}/year={at.year}/month={at.month}/day={at.day}/hour={at.hour}/",
        )
        return tuple(dict.fromkeys(spellings))


@dataclass(frozen=True, slots=True, order=True)
class PublishDay:
    """The 24 publish hours of a date; after the close they are one unit of the lake."""

    start: datetime

    @classmethod
    def of_moment(cls, moment: datetime) -> PublishDay:
        """Return the UTC day of an aware moment."""
        return cls(PublishHour.of_moment(moment).start.replace(hour=0))

    @classmethod
    def parse(cls, text: str) -> PublishDay:
        """Parse ``YYYY-MM-DD``.

        Raises:
            ValueError: the text has another form, or is not a day of the calendar.
        """
        if not _DAY.fullmatch(text):
            msg = f"{text!r} is not a publish day: write YYYY-MM-DD"
            raise ValueError(msg)
        try:
            return cls(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC))
        except ValueError:
            msg = f"{text!r} is not a day of the calendar"
            raise ValueError(msg) from None

    def __str__(self) -> str:
        return self.start.date().isoformat()

    @property
    def hours(self) -> tuple[PublishHour, ...]:
        """The publish hours of the day in order."""
        return tuple(PublishHour(self.start + step * _HOUR) for step in range(24))


def unit_of(text: str) -> PublishHour | PublishDay:
    """Return a unit from its name: an hour (``YYYY-MM-DDTHH``) or a day (``YYYY-MM-DD``)."""
    return PublishDay.parse(text) if _DAY.fullmatch(text) else PublishHour.parse(text)


def hours_between(start: datetime, end: datetime) -> tuple[PublishHour, ...]:
    """Return the publish hours from `start` to `end`, with the hours of both."""
    first, last = PublishHour.of_moment(start), PublishHour.of_moment(end)
    count = (last.start - first.start) // _HOUR
    return tuple(first.plus(step) for step in range(count + 1))


@lru_cache(maxsize=1024)
def hour_of_key(key: str) -> str:
    """Return the publish hour of a key for the ledger; ``-`` if it has none."""
    return str(PublishHour.of_key(key) or NO_HOUR)


class Rank(NamedTuple):
    """The place of a landed file in the order of copies: the smallest place wins.

    Within a file, the copy with the smallest offset wins.
    """

    publish_hour: str
    name: str
    delivery: str
