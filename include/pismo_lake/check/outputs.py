"""Compare the files in the lake's folders for outputs with the ledger's builds."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from pismo_lake import storage
from pismo_lake.build.kept_files import find_overdue
from pismo_lake.check.model import Finding, Kind, Rebuild, Remove, RemoveKept
from pismo_lake.ledger import LakeFiles
from pismo_lake.ledger.lake_builds import LakeBuilds
from pismo_lake.paths import IDS, VALUE_ROOTS, rejects_path, split_output_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from pismo_lake.ledger import Ledger
    from pismo_lake.ledger.lake_builds import LakePart
    from pismo_lake.settings.lake import LakeSettings

_EVENT_DATE = re.compile(r"/event_date=([^/]+)/")
_AT_ONCE = 8


def compare_outputs(
    lake: str, before: Iterable[LakePart], listed: Collection[str], after: Sequence[LakePart]
) -> list[Finding]:
    """Return the findings on outputs: unknown, missing, and of builds that did not end.

    Builds may go on meanwhile: they plan a file before they write it, and forget it after they removed it. So a file
    counts as unknown only if the ledger does not know it after the listing.

    Args:
        lake: The lake.
        before: The parts as the ledger had them before the listing.
        listed: The paths below the lake.
        after: The parts as the ledger had them after the listing.
    """
    current = {path for part in after for path in part.record.outputs}
    leaving = {path: part for part in after for path in part.record.superseded if path not in current}
    kept = {path for part in after for path in part.record.kept}
    found = [_unknown_finding(lake, path) for path in listed if path not in current and path not in leaving]
    # older snapshots of tables need the kept ones
    leaving = {path: part for path, part in leaving.items() if path not in kept}
    found += [_unfinished_finding(lake, path, leaving[path]) for path in listed if path in leaving]
    there = [finding for finding in found if storage.exists(finding.path)]
    gone = [
        _missing_finding(lake, path, part)
        for part in before
        for path in part.record.outputs
        if path not in listed and path in current
    ]
    return there + [finding for finding in gone if not storage.exists(finding.path)]


def overdue_outputs(settings: LakeSettings, ledger: Ledger) -> list[Finding]:
    """Return the findings on files that were kept for older snapshots of tables, and that no snapshot names now."""
    return [
        Finding(
            Kind.UNFINISHED, storage.join(settings.lake, path), f"to be removed, of {part}", "it is there", RemoveKept()
        )
        for part, paths in find_overdue(settings, ledger)
        for path in paths
        if storage.exists(storage.join(settings.lake, path))
    ]


def lost_builds(settings: LakeSettings, ledger: Ledger) -> list[Finding]:
    """Return the findings on landed files that count as built, although no build of their part is recorded."""
    return [
        Finding(
            Kind.NO_BUILD, record.raw_uri, f"built in {record.unit}", "no build of its part is recorded",
            Rebuild(record.delivery, record.unit),
        )
        for record in LakeFiles(ledger, settings.lake).list_without_build()
    ]  # fmt: skip


def stray_outputs(lake: str, ledger: Ledger, delivery: str, day: str) -> list[Finding]:
    """Return the findings on outputs in the partitions that a publish day of a delivery covers.

    These are the partitions of all event types with the day's own date, and with each date that an output of the day
    has. Builds that did not end are named only if they are the day's own.
    """
    builds = LakeBuilds(ledger, lake)
    before = builds.of_day(delivery, day)
    own = {path for part in before for path in (*part.record.outputs, *part.record.superseded)}
    dates = {found[1] for path in own if (found := _EVENT_DATE.search(path))} | {day}
    listed = set(_list_partitions(lake, dates, day))
    # builds of other days and deliveries have files there too; a closed day takes over those of its hours
    named = {unit for path in listed - own if (unit := _unit_of(path))}
    after = {part.place: part for part in builds.of_units(named | {unit[:10] for unit in named})}
    mine = {part.place: part for part in builds.of_day(delivery, day)}
    leaving = {path for part in mine.values() for path in part.record.superseded}
    findings = compare_outputs(lake, before, listed, list((after | mine).values()))
    paths = {storage.join(lake, path) for path in leaving}
    return [finding for finding in findings if finding.kind is not Kind.UNFINISHED or finding.path in paths]


def _list_partitions(lake: str, dates: Iterable[str], day: str) -> Iterator[str]:
    """Yield the paths of files in partitions of these dates, and in the day's own folders."""
    folders = [rejects_path(day), f"{IDS}/publish_date={day}"]
    for root in VALUE_ROOTS:
        for domain in storage.list_folders(storage.join(lake, root)):
            for event in storage.list_folders(storage.join(lake, root, domain)):
                folders += [f"{root}/{domain}/{event}/event_date={date}" for date in sorted(dates)]

    def list_folder(folder: str) -> list[str]:
        files = storage.list_files(storage.join(lake, folder))
        return [f"{folder}/" + uri.rsplit(f"/{folder}/", 1)[-1] for uri in files]

    if storage.is_local(lake):
        for folder in folders:
            yield from list_folder(folder)
        return
    # a store answers each listing after some hundredths of a second
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="list") as pool:
        for files in pool.map(list_folder, folders):
            yield from files


def _unit_of(path: str) -> str | None:
    named = split_output_name(path.rsplit("/", 1)[-1])
    return named[1] if named else None


def _unknown_finding(lake: str, path: str) -> Finding:
    uri = storage.join(lake, path)
    return Finding(Kind.UNKNOWN, uri, "no build has recorded it", "it is there", Remove(uri))


def _unfinished_finding(lake: str, path: str, part: LakePart) -> Finding:
    state = f"planned by a build that has not ended, beat {part.record.beat}" if part.record.claim else "to be removed"
    repair = Rebuild(part.delivery, part.unit, force=False)
    return Finding(Kind.UNFINISHED, storage.join(lake, path), f"{state}, of {part}", "it is there", repair)


def _missing_finding(lake: str, path: str, part: LakePart) -> Finding:
    repair = Rebuild(part.delivery, part.unit)
    return Finding(Kind.MISSING, storage.join(lake, path), f"an output of {part}", "it is not there", repair)
