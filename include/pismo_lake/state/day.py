"""Describe one publish day: its report, or the facts in the ledger, and the runs that built it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pismo_lake.hours import PublishDay, PublishHour
from pismo_lake.ledger.lookups import Lookups
from pismo_lake.report.model import DayReport, DayVerdict
from pismo_lake.report.preview import preview
from pismo_lake.report.status import OPEN, UNREPORTED, read_document

if TYPE_CHECKING:
    from datetime import datetime

    from pismo_lake.ledger import FileRecord, Ledger
    from pismo_lake.ledger.lookups import RunLine
    from pismo_lake.settings.lake import LakeSettings

_MOST_LATE = 200
_MOST_RUNS = 60
_LATE_HOURS = 1


@dataclass(frozen=True, slots=True)
class DayView:
    """A publish day; `reported` says that the report is the written one, and of the present files.

    `late` are files that were landed more than an hour after the end of the day. `stale` says that a report was
    written, and that it is of other files.
    """

    report: DayReport
    reported: bool
    stale: bool
    runs: tuple[RunLine, ...]
    late: tuple[FileRecord, ...]
    previous: str
    following: str | None

    @property
    def verdict(self) -> str:
        """The verdict of the written report, or `OPEN`; a closed day without a usable report is `UNREPORTED`."""
        report = self.report
        if not report.over or not (report.closed or self.reported):
            return OPEN
        if self.reported:
            return report.verdict.value
        if report.open_files:
            return DayVerdict.INCOMPLETE.value
        return UNREPORTED if report.files else DayVerdict.NO_FILES.value


def view_day(
    settings: LakeSettings, ledger: Ledger, day: PublishDay, now: datetime, *, organisation: str = "",
    environment: str = "",
) -> DayView:  # fmt: skip
    """Return a publish day as it is now; no index and no file of the lake is read."""
    current = PublishHour.of_moment(now)
    seen = Lookups(ledger, settings.lake, settings.delivery)
    live = preview(settings, ledger, day, current, organisation=organisation, environment=environment)
    written = _written(settings, str(day))
    usable = (
        written is not None and written.over and written.closed and live.closed
        and (written.files, written.events, _open(written)) == (live.files, live.events, _open(live))
    )  # fmt: skip
    end = day.hours[-1].plus(1 + _LATE_HOURS).start
    return DayView(
        report=written if usable and written is not None else live,
        reported=usable,
        stale=written is not None and not usable,
        runs=tuple(seen.runs(str(day), _MOST_RUNS)),
        late=tuple(seen.landed_after(str(day), end.isoformat(timespec="seconds"), _MOST_LATE)),
        previous=str(PublishDay.of_moment(day.hours[0].plus(-1).start)),
        following=str(PublishDay.of_moment(day.hours[-1].plus(1).start)) if day.hours[-1] < current else None,
    )


def _open(report: DayReport) -> set[str]:
    return {file.key for file in report.open_files}


def _written(settings: LakeSettings, day: str) -> DayReport | None:
    """Return the report in the lake; None if there is none that this version can read."""
    document = read_document(settings, day)
    if document is None:
        return None
    try:
        return DayReport.from_json(document)
    except (KeyError, TypeError, ValueError):
        return None
