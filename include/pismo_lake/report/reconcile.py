"""Reconcile a publish day: compare its files and events after each step.

Every count is taken in two ways (index and ledger, build and Parquet footers), so that a difference names the step
that lost or doubled something.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from pismo_lake import storage
from pismo_lake.build.summary import BuildSummary
from pismo_lake.check.outputs import stray_outputs
from pismo_lake.contracts.recorded import changes_by_files
from pismo_lake.hours import PublishHour
from pismo_lake.ledger import FileLedger
from pismo_lake.ledger.builds import BuildLedger
from pismo_lake.ledger.days import PART, DayLedger
from pismo_lake.ledger.raw_files import RawLedger
from pismo_lake.ledger.sightings import Sightings
from pismo_lake.paths import IDS
from pismo_lake.report.announced import announced_changes
from pismo_lake.report.cadence import HISTORY_DAYS, silent_hours
from pismo_lake.report.model import ControlTotal, DayReport, DriftLine, HourLine, OpenFile, StrayFile, Timings, TypeLine
from pismo_lake.report.scan import scan_day
from pismo_lake.report.timings import waits_of
from pismo_lake.storage.encryption import open_parquet
from pismo_lake.storage.errors import sound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pismo_lake.hours import PublishDay
    from pismo_lake.ledger import FileRecord, Ledger
    from pismo_lake.ledger.builds import PartRecord
    from pismo_lake.report.model import AccountingLine
    from pismo_lake.report.scan import DayScan
    from pismo_lake.settings.lake import LakeSettings

_DAMAGED = "is not a Parquet file any more: close the day again with force, or flatten the hour"


def reconcile(
    settings: LakeSettings,
    ledger: Ledger,
    day: PublishDay,
    *,
    organisation: str = "",
    environment: str = "",
    listed: str = "not looked at",
    accounting: tuple[AccountingLine, ...] | None = None,
    until: PublishHour | None = None,
) -> DayReport:
    """Return the day's report at this moment; nothing is changed.

    `listed` is ``listed``, or the reason that the source was not listed. If the day is not over, `until` is the first
    hour that is not over.
    """
    place = (settings.lake, settings.delivery)
    landed = FileLedger(ledger, *place)
    files = landed.of_day(str(day))
    days = DayLedger(ledger, *place, str(day))
    closed = days.part(PART)
    parts = [closed] if closed else []
    for hour in days.hours():
        parts += BuildLedger(ledger, *place, hour).parts()
    built = BuildSummary()
    for part in parts:
        built.add(part.counts)
    scan = scan_day(files)
    written = _count_written(settings, parts)
    last = landed.last_hour_before(str(day.hours[0]))
    since = (PublishHour.parse(last) if last else day.hours[0]).plus(-24 * HISTORY_DAYS)
    history = landed.count_by_hour(str(since), str(day.hours[-1].plus(1)))
    return DayReport(
        delivery=settings.delivery,
        organisation=organisation,
        environment=environment,
        publish_date=str(day),
        closed=not files or (closed is not None and all(record.closed for record in files)),
        listed=listed,
        files=len(files),
        bytes=sum(record.size for record in files),
        plain_bytes=sum(record.plain_size for record in files),
        events=built.events,
        rows=built.rows,
        duplicates=built.duplicates,
        conflicts=built.conflicts,
        rejects=built.rejects,
        erased=built.erased,
        heartbeats=scan.heartbeats.total(),
        hours=_hours(day, files, parts),
        types=tuple(TypeLine(name, **counts) for name, counts in sorted(built.by_type.items())),
        lateness=scan.lateness_lines(),
        reject_reasons=_reasons(scan, built, files),
        silent_hours=silent_hours(day, history, scan.heartbeats, until),
        open_files=_open_files(Sightings(ledger, *place), RawLedger(ledger, *place), day, files, scan),
        drift=(
            *announced_changes(scan.schema_changes),
            *(DriftLine(*row) for row in changes_by_files(ledger, settings.lake, [item.name for item in files])),
        ),
        totals=(*_totals(files, scan, built, written), _same_bytes(settings, parts)),
        accounting=accounting,
        timings=_timings(files, closed),
        lake_files=written["files"],
        lake_bytes=written["bytes"],
        over=until is None or until > day.hours[-1],
        ever=landed.newest_key() is not None or bool(RawLedger(ledger, *place).list_waiting()),
        stray_files=_stray_files(settings, ledger, day),
    )


def _stray_files(settings: LakeSettings, ledger: Ledger, day: PublishDay) -> tuple[StrayFile, ...]:
    """Compare the partitions that the day covers with the ledger."""
    findings = stray_outputs(settings.lake, ledger, settings.delivery, str(day))
    root = storage.join(settings.lake, "")
    found = (StrayFile(finding.path.removeprefix(root), finding.kind.value) for finding in findings)
    return tuple(sorted(found, key=lambda file: file.path))


def _count_written(settings: LakeSettings, parts: Sequence[PartRecord]) -> Counter[str]:
    """Count rows by the footers of the files in the lake.

    A missing file counts as no rows, so the totals differ.
    """
    counts: Counter[str] = Counter()
    for path in sorted({path for part in parts for path in part.outputs if not path.startswith(f"{IDS}/")}):
        uri = storage.join(settings.lake, path)
        try:
            with storage.open_for_reading(uri) as file, sound(uri, _DAMAGED):
                counts[path.split("/", 1)[0]] += open_parquet(file, settings.key).metadata.num_rows
        except FileNotFoundError:
            continue
        counts["files"] += 1
        counts["bytes"] += storage.size(uri)
    return counts


def _same_bytes(settings: LakeSettings, parts: Sequence[PartRecord]) -> ControlTotal:
    """Compare the bytes of each output with the digest that its build has recorded.

    A build of an earlier version has recorded none: then it counts that the file is there.
    """
    wanted = {path: part.counts.get("digests", {}).get(path) for part in parts for path in part.outputs}
    same = 0
    for path, digest in sorted(wanted.items()):
        uri = storage.join(settings.lake, path)
        try:
            same += storage.sha256(uri) == digest if digest else storage.exists(uri)
        except FileNotFoundError:
            continue
    return ControlTotal("files that builds wrote = files in the lake with the same bytes", len(wanted), same)


def _totals(
    files: Sequence[FileRecord], scan: DayScan, built: BuildSummary, written: Counter[str]
) -> tuple[ControlTotal, ...]:
    events = sum(record.events for record in files)
    unreadable = sum(record.status == "unreadable" for record in files)
    read = built.rows + built.duplicates + built.erased
    return (
        ControlTotal("event files landed = files that builds took in", len(files), built.files),
        ControlTotal("events in the ledger = events in the indexes", events, scan.events),
        ControlTotal("events landed = events that builds read", events, built.events),
        ControlTotal("events read = rows + duplicates + erased", built.events, read),
        ControlTotal("rows built = rows in the lake's files", built.rows, written["events"]),
        ControlTotal("items of lists built = rows in their child tables", built.items, written["items"]),
        ControlTotal(
            "damage in the indexes + conflicts + unreadable files = rejects built",
            scan.rejects + built.conflicts + unreadable,
            built.rejects,
        ),
        ControlTotal("rejects built = rows in the lake's rejects", built.rejects, written["rejects"]),
    )


def _hours(day: PublishDay, files: Sequence[FileRecord], parts: Sequence[PartRecord]) -> tuple[HourLine, ...]:
    lines: dict[str, Counter[str]] = {str(hour): Counter() for hour in day.hours}
    for record in files:
        lines[record.publish_hour].update(files=1, bytes=record.size, events=record.events)
    for part in parts:
        for hour, counts in part.counts.get("by_hour", {}).items():
            lines[hour].update(counts)
    return tuple(HourLine(hour, **counts) for hour, counts in lines.items())


def _reasons(scan: DayScan, built: BuildSummary, files: Sequence[FileRecord]) -> tuple[tuple[str, int], ...]:
    reasons = scan.reasons.copy()
    reasons["conflicting_duplicate"] += built.conflicts
    reasons["unsupported_framing"] += sum(record.status == "unreadable" for record in files)
    return tuple((reason, count) for reason, count in sorted(reasons.items()) if count)


def _open_files(
    sightings: Sightings, raws: RawLedger, day: PublishDay, files: Sequence[FileRecord], scan: DayScan
) -> tuple[OpenFile, ...]:
    found = [
        OpenFile(seen.key, seen.publish_hour, f"{seen.state}, not landed", seen.first_seen, seen.problem or "")
        for seen in sightings.of_day(str(day))
    ]
    found += [
        OpenFile(raw.name, raw.publish_hour, "landed, not indexed", raw.landed_at, raw.problem or "")
        for raw in raws.list_waiting(raws.hours_of_day(str(day)))
    ]
    for record in files:
        states = {
            "unreadable": record.status == "unreadable",
            "landed, not indexed": record.name in scan.unindexed,
            "landed, not readable": record.problem,
            "landed, not built": not record.built,
        }
        for state, holds in states.items():
            if holds:
                problem = record.problem or scan.unindexed.get(record.name, "")
                found.append(OpenFile(record.name, record.publish_hour, state, record.landed_at, problem))
                break
    return tuple(sorted(found, key=lambda item: (item.publish_hour, item.key)))


def _timings(files: Sequence[FileRecord], closed: PartRecord | None) -> Timings:
    counts: dict[str, Any] = closed.counts if closed else {}
    seconds = float(counts.get("seconds", 0.0))
    speed = round(counts.get("bytes", 0) / 1e6 / seconds, 1) if seconds else 0.0
    return Timings(seconds, speed, *waits_of((record.published_at, record.landed_at) for record in files))
