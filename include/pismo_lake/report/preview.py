"""Make a day report from the ledger alone: for days that are open, or whose report is out of date.

It reads no index and no file of the lake, so its work is bounded. It has no lateness, no reasons of rejects, and only
those control totals that the ledger knows.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from pismo_lake.build.summary import BuildSummary
from pismo_lake.hours import PublishHour
from pismo_lake.ledger import FileLedger
from pismo_lake.ledger.lake_builds import LakeBuilds
from pismo_lake.ledger.lookups import Lookups
from pismo_lake.ledger.raw_files import RawLedger
from pismo_lake.ledger.sightings import Sightings
from pismo_lake.report.cadence import HISTORY_DAYS, silent_hours
from pismo_lake.report.model import ControlTotal, DayReport, DriftLine, HourLine, OpenFile, Timings, TypeLine
from pismo_lake.report.timings import waits_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pismo_lake.hours import PublishDay
    from pismo_lake.ledger import Ledger
    from pismo_lake.ledger.lake_builds import LakePart
    from pismo_lake.ledger.lookups import HourSums
    from pismo_lake.settings.lake import LakeSettings

MOST_LINES = 1000
"""The most files or changes that are read for a list."""
MOST_TIMES = 20_000
"""The most files whose time from publishing to landing is read."""


def preview(
    settings: LakeSettings, ledger: Ledger, day: PublishDay, until: PublishHour, *, organisation: str = "",
    environment: str = "",
) -> DayReport:  # fmt: skip
    """Return the day's report by the ledger; `until` is the first hour that is not over."""
    place = (settings.lake, settings.delivery)
    seen, landed = Lookups(ledger, *place), FileLedger(ledger, *place)
    hours = seen.hours(str(day))
    parts = LakeBuilds(ledger, settings.lake).of_day(settings.delivery, str(day))
    built = BuildSummary()
    for part in parts:
        built.add(part.record.counts)
    last = landed.last_hour_before(str(day.hours[0]))
    since = (PublishHour.parse(last) if last else day.hours[0]).plus(-24 * HISTORY_DAYS)
    history = landed.count_by_hour(str(since), str(day.hours[-1].plus(1)))
    sums = {name: sum(getattr(line, name) for line in hours.values()) for name in _SUMS}
    return DayReport(
        delivery=settings.delivery,
        organisation=organisation,
        environment=environment,
        publish_date=str(day),
        closed=not hours or (any(part.unit == str(day) for part in parts) and not seen.unclosed(str(day))),
        listed="the ledger, at this moment",
        **sums,
        rows=built.rows,
        duplicates=built.duplicates,
        conflicts=built.conflicts,
        rejects=built.rejects,
        erased=built.erased,
        heartbeats=0,
        hours=_hours(day, hours, parts),
        types=tuple(TypeLine(name, **counts) for name, counts in sorted(built.by_type.items())),
        silent_hours=silent_hours(day, history, {}, until),
        open_files=tuple(_open_files(seen, Sightings(ledger, *place), RawLedger(ledger, *place), str(day))),
        drift=tuple(DriftLine(*row) for row in seen.changes(str(day), MOST_LINES)),
        totals=_totals(sums, built),
        timings=_timings(seen.landing_times(str(day), MOST_TIMES)),
        lake_files=sum(not path.startswith("_") for part in parts for path in part.record.outputs),
        over=until > day.hours[-1],
        ever=bool(hours) or landed.newest_key() is not None,
    )


_SUMS = ("files", "bytes", "plain_bytes", "events")


def _hours(day: PublishDay, sums: Mapping[str, HourSums], parts: Sequence[LakePart]) -> tuple[HourLine, ...]:
    lines: dict[str, Counter[str]] = {str(hour): Counter() for hour in day.hours}
    for hour, line in sums.items():
        lines[hour].update(files=line.files, bytes=line.bytes, events=line.events)
    for part in parts:
        for hour, counts in part.record.counts.get("by_hour", {}).items():
            lines[hour].update(counts)
    return tuple(HourLine(hour, **counts) for hour, counts in lines.items())


def _totals(sums: Mapping[str, Any], built: BuildSummary) -> tuple[ControlTotal, ...]:
    read = built.rows + built.duplicates + built.erased
    return (
        ControlTotal("event files landed = files that builds took in", sums["files"], built.files),
        ControlTotal("events landed = events that builds read", sums["events"], built.events),
        ControlTotal("events read = rows + duplicates + erased", built.events, read),
    )


def _open_files(seen: Lookups, sightings: Sightings, raws: RawLedger, day: str) -> Iterator[OpenFile]:
    for missing in sightings.of_day(day)[:MOST_LINES]:
        state = f"{missing.state}, not landed"
        yield OpenFile(missing.key, missing.publish_hour, state, missing.first_seen, missing.problem or "")
    for raw in raws.list_waiting(raws.hours_of_day(day))[:MOST_LINES]:
        yield OpenFile(raw.name, raw.publish_hour, "landed, not indexed", raw.landed_at, raw.problem or "")
    for record in seen.unsound(day, MOST_LINES):
        readable = "landed, not readable" if record.problem else "landed, not built"
        state = "unreadable" if record.status == "unreadable" else readable
        yield OpenFile(record.name, record.publish_hour, state, record.landed_at, record.problem or "")


def _timings(times: Sequence[tuple[str, str]]) -> Timings:
    return Timings(0.0, 0.0, *waits_of(times))
