"""Collect the state of each delivery: newest hour, waiting files, verdicts on its last days."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import orjson

from pismo_lake import storage
from pismo_lake.hours import PublishDay, PublishHour
from pismo_lake.ledger.state import DayState, day_states, delivery_states
from pismo_lake.paths import reports_path, safe_segment
from pismo_lake.report.model import DayVerdict
from pismo_lake.report.reconcile import reconcile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from pismo_lake.ledger import Ledger
    from pismo_lake.ledger.state import DeliveryState
    from pismo_lake.settings.lake import LakeSettings

OPEN = "open"
"""The verdict on a day that is not over, or that was never closed."""


@dataclass(frozen=True, slots=True)
class DayStatus:
    """One publish day; `verdict`: ``open`` or a verdict of the day report, with its reasons."""

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
    wanted = [PublishDay.of_moment(today.start - timedelta(days=back)) for back in range(count)]
    known = day_states(ledger, settings.lake, settings.delivery, str(wanted[-1]), str(today)) if wanted else {}
    for day in wanted:
        state = known.get(str(day), DayState())
        verdict, reasons = _verdict(settings, ledger, day, state, over=day < today)
        yield DayStatus(str(day), verdict, state.files, state.bytes, reasons)


def _verdict(
    settings: LakeSettings, ledger: Ledger, day: PublishDay, state: DayState, *, over: bool
) -> tuple[str, tuple[str, ...]]:
    """Judge a day by the ledger, and by its report if that is of the day's present files."""
    if not over or (not state.was_closed and (state.files or state.unfinished)):
        return OPEN, ()
    if state.unfinished:
        return DayVerdict.INCOMPLETE, (f"{state.unfinished} file(s) are not in the lake as they should be",)
    report = _report(settings, day)
    if report is not None and (report["files"], report["events"]) == (state.files, state.events):
        return report["verdict"], tuple(report["reasons"])
    if not state.files:
        return DayVerdict.NO_FILES, ()
    fresh = reconcile(settings, ledger, day)
    return fresh.verdict, fresh.reasons


def _report(settings: LakeSettings, day: PublishDay) -> dict[str, Any] | None:
    """Return the report that was written after the day's end and its close; None if there is none."""
    name = f"{safe_segment(settings.delivery)}.json"
    try:
        found = orjson.loads(storage.read_bytes(storage.join(settings.lake, reports_path(str(day)), name)))
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(found, dict) or not {"files", "events", "verdict", "reasons"} <= found.keys():
        return None
    return found if found.get("over") and found.get("closed") else None
