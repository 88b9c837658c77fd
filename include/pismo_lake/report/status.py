"""Collect the state of each delivery: newest hour, waiting files, verdicts on its last days."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import orjson

from pismo_lake import storage
from pismo_lake.hours import PublishDay, PublishHour
from pismo_lake.ledger.lookups import Lookups
from pismo_lake.ledger.state import DayState, day_states, delivery_states
from pismo_lake.paths import reports_path, safe_segment
from pismo_lake.report.model import DayVerdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from pismo_lake.ledger import Ledger
    from pismo_lake.ledger.state import DeliveryState
    from pismo_lake.settings.lake import LakeSettings

    ReadReport = Callable[[LakeSettings, str], dict[str, Any] | None]

_READERS = 8
OPEN = "open"
"""The verdict on a day that is not over, or that was never closed."""
UNREPORTED = "closed, not reported"
"""The verdict on a closed day whose report is missing, or is of other files."""


@dataclass(frozen=True, slots=True)
class DayStatus:
    """One publish day; `verdict`: `OPEN`, `UNREPORTED` or a verdict of the day report, with its reasons."""

    publish_date: str
    verdict: str
    files: int
    bytes: int
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeliveryStatus:
    """One delivery; `lag` is the time since its newest publish hour began, None without any."""

    state: DeliveryState
    lag: timedelta | None
    days: tuple[DayStatus, ...]

    def to_json(self) -> dict[str, Any]:
        """Return all figures as plain values."""
        lag = None if self.lag is None else int(self.lag.total_seconds())
        return asdict(self.state) | {"lag_seconds": lag, "days": [asdict(day) for day in self.days]}


def lake_status(settings: LakeSettings, ledger: Ledger, now: datetime, days: int = 7) -> list[DeliveryStatus]:
    """Return the status of every delivery in the ledger.

    Each has its last `days` publish days, the newest first.
    """
    found = []
    for state in delivery_states(ledger, settings.lake):
        lag = now - PublishHour.parse(state.newest_hour).start if state.newest_hour else None
        here = replace(settings, delivery=state.delivery)
        found.append(DeliveryStatus(state, lag, tuple(_days(here, ledger, PublishDay.of_moment(now), days))))
    return found


def _days(settings: LakeSettings, ledger: Ledger, today: PublishDay, count: int) -> Iterator[DayStatus]:
    for day in day_statuses(settings, ledger, today, count):
        if day.verdict != UNREPORTED:
            yield day
            continue
        from pismo_lake.report.reconcile import reconcile

        fresh = reconcile(settings, ledger, PublishDay.parse(day.publish_date))
        yield replace(day, verdict=fresh.verdict, reasons=fresh.reasons)


def day_statuses(
    settings: LakeSettings, ledger: Ledger, today: PublishDay, count: int, read: ReadReport | None = None
) -> list[DayStatus]:
    """Return the last `count` publish days, the newest first, by the ledger and by the day reports.

    Days before the first file have no files, and their reports are not read. If a closed day has no report of its
    present files, its verdict is `UNREPORTED`: only `reconcile` can tell it.

    Args:
        settings: the lake and the delivery.
        ledger: the ledger.
        today: the last day.
        count: the number of days.
        read: reads the report of a day; it is called by several threads.
    """
    days = [PublishDay.of_moment(today.start - timedelta(days=back)) for back in range(count)]
    if not days:
        return []
    known = day_states(ledger, settings.lake, settings.delivery, str(days[-1]), str(today))
    begins = min((Lookups(ledger, settings.lake, settings.delivery).first_hour() or "9999", *known))[:10]
    states = {str(day): known.get(str(day), DayState()) for day in days}
    reports = _read_reports(
        settings, [day for day, state in states.items() if day >= begins and _has_report(state, day < str(today))], read
    )
    found = []
    for day, state in states.items():
        verdict, reasons = _judge(state, reports.get(day), over=day < str(today))
        found.append(DayStatus(day, verdict, state.files, state.bytes, reasons))
    return found


def _has_report(state: DayState, over: bool) -> bool:  # noqa: FBT001 - of the same two facts as `_judge`
    return over and not state.unfinished and (state.was_closed or not state.files)


def _read_reports(
    settings: LakeSettings, days: Sequence[str], read: ReadReport | None
) -> dict[str, dict[str, Any] | None]:
    read = read or read_summary
    with ThreadPoolExecutor(_READERS) as pool:
        return dict(zip(days, pool.map(lambda day: read(settings, day), days), strict=True))


def _judge(state: DayState, report: Mapping[str, Any] | None, *, over: bool) -> tuple[str, tuple[str, ...]]:
    """Judge a day by the ledger, and by its report if that is of the day's present files."""
    if not over or (not state.was_closed and (state.files or state.unfinished)):
        return OPEN, ()
    if state.unfinished:
        return DayVerdict.INCOMPLETE, (f"{state.unfinished} file(s) are not in the lake as they should be",)
    if report is not None and (report["files"], report["events"]) == (state.files, state.events):
        return report["verdict"], tuple(report["reasons"])
    return (UNREPORTED, ()) if state.files else (DayVerdict.NO_FILES, ())


def read_summary(settings: LakeSettings, day: str) -> dict[str, Any] | None:
    """Return verdict, reasons, files and events of a report; None if the day was not over and closed at that time."""
    found = read_document(settings, day)
    if found is None or not {"files", "events", "verdict", "reasons"} <= found.keys():
        return None
    wanted = ("files", "events", "verdict", "reasons")
    return {name: found[name] for name in wanted} if found.get("over") and found.get("closed") else None


def read_document(settings: LakeSettings, day: str) -> dict[str, Any] | None:
    """Return the JSON document of a day report; None if there is none that can be read."""
    name = f"{safe_segment(settings.delivery)}.json"
    try:
        found = orjson.loads(storage.read_bytes(storage.join(settings.lake, reports_path(day), name)))
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) else None
