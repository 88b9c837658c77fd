"""Describe a delivery in a few figures and a calendar of its publish days."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pismo_lake.hours import PublishDay, PublishHour
from pismo_lake.ledger.lookups import Lookups
from pismo_lake.report.preview import MOST_TIMES
from pismo_lake.report.status import day_statuses, read_summary
from pismo_lake.report.timings import waits_of

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from pismo_lake.ledger import Ledger
    from pismo_lake.ledger.lookups import Close, Waiting
    from pismo_lake.report.status import DayStatus
    from pismo_lake.settings.lake import LakeSettings

CALENDAR_DAYS = 90
_KEPT_SUMMARIES = 4096


@dataclass(frozen=True, slots=True)
class Freshness:
    """Seconds from publishing to landing, over the files of a day; None if no file has a time of publishing."""

    median: float | None
    worst: float | None


@dataclass(frozen=True, slots=True)
class Overview:
    """The state of one delivery; `lag` is the time since the newest publish hour in the lake began.

    `days` are the last publish days, the newest first. `last_verdict` is the verdict on the day of the last close.
    """

    delivery: str
    newest_hour: str | None
    lag: timedelta | None
    first_day: str | None
    freshness: Freshness
    waiting: Waiting
    last_close: Close | None
    days: tuple[DayStatus, ...]

    @property
    def last_verdict(self) -> DayStatus | None:
        """The verdict on the day of the last close; None if it is not among `days`."""
        last = self.last_close
        return next((day for day in self.days if last is not None and day.publish_date == last.day), None)


def overview_of(settings: LakeSettings, ledger: Ledger, now: datetime, days: int = CALENDAR_DAYS) -> Overview:
    """Return the state of the delivery of the settings."""
    seen = Lookups(ledger, settings.lake, settings.delivery)
    today = PublishDay.of_moment(now)
    newest, first = seen.newest_built_hour(), seen.first_hour()
    median, _, worst = waits_of(seen.landing_times(str(today), MOST_TIMES))
    summaries = _Summaries(seen.closes(str(today.hours[0].plus(-24 * days))[:10], str(today)))
    return Overview(
        delivery=settings.delivery,
        newest_hour=newest,
        lag=now - PublishHour.parse(newest).start if newest else None,
        first_day=first and first[:10],
        freshness=Freshness(median, worst),
        waiting=seen.waiting(),
        last_close=seen.last_close(),
        days=tuple(day_statuses(settings, ledger, today, days, summaries.read)),
    )


class _Summaries:
    """Reads the summaries of day reports, and keeps those of closed days until the day is closed again."""

    kept: dict[tuple[str, str, str, str], dict[str, Any]] = {}  # noqa: RUF012 - shared by the whole process

    def __init__(self, closes: dict[str, str]) -> None:
        self._closes = closes

    def read(self, settings: LakeSettings, day: str) -> dict[str, Any] | None:
        closed = self._closes.get(day)
        key = (settings.lake, settings.delivery, day, closed or "")
        if closed and key in self.kept:
            return self.kept[key]
        found = read_summary(settings, day)
        # a report is written some seconds after its close: keep only one that is there
        if closed and found is not None:
            if len(self.kept) >= _KEPT_SUMMARIES:
                self.kept.clear()
            self.kept[key] = found
        return found
