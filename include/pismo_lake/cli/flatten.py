"""Define the command `flatten`."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pismo_lake.cli.command import OpenLake, command
from pismo_lake.cli.options import check_jobs
from pismo_lake.cli.output import print_json, print_table
from pismo_lake.progress import size_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pismo_lake.build.summary import BuildSummary
    from pismo_lake.errors import PismoError
    from pismo_lake.local.files import TakenIn

_COLUMNS = ("events", "rows", "duplicates", "conflicts")


@command("flatten", json=True, new=True)
def flatten(
    lake: OpenLake,
    raw: Annotated[
        list[str], typer.Argument(metavar="RAW", help="Files or folders: local, s3:// or gs://, gzip or not.")
    ],
    publish_hour: Annotated[
        str | None,
        typer.Option(
            "--publish-hour", metavar="YYYY-MM-DDTHH", help="Use this publish hour for files outside an hour folder."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Build unchanged parts too.")] = False,
    jobs: Annotated[
        str | None,
        typer.Option(
            "--jobs", metavar="N", callback=check_jobs,
            help="Use N processes. Default: one for each core if there are 50 MB or more.",
        ),
    ] = None,
) -> int:  # fmt: skip
    """Load raw files into the lake."""
    from time import monotonic

    from pismo_lake.hours import PublishHour
    from pismo_lake.ledger import FileLedger
    from pismo_lake.local.files import local_files, torn_units
    from pismo_lake.local.workers import Workers

    started = monotonic()
    settings, ledger = lake.settings, lake.ledger
    if settings.tables is not None:
        settings = replace(settings, tables=settings.tables.one_commit())
    hour = PublishHour.parse(publish_hour) if publish_hour else None
    files = local_files(raw)
    with lake.progress() as progress, Workers(settings, ledger, int(jobs) if jobs else None) as workers:
        recorded = FileLedger(ledger, settings.lake, settings.delivery)
        earlier = set(recorded.unbuilt_units())
        early: dict[str, BuildSummary] = {}

        def build_early() -> None:
            builds, _ = workers.build(recorded.unbuilt_units(), (), progress)
            early.update({build.unit: build for build in builds})

        # files that are landed are built, even if others could not be landed
        taken = files.land(settings, ledger, hour, workers, progress, between=build_early)
        units = set(recorded.unbuilt_units())
        mine = recorded.units_of_hours(recorded.hours_of_keys(files.uris))
        # at the end the units of these files exist, even if somebody removed their outputs
        forced = set(mine) if force else torn_units(settings, ledger, mine)
        last, unbuilt = workers.build(units | forced, forced, progress)
        builds = list((early | {build.unit: build for build in last}).values())
    if settings.tables is not None:
        from pismo_lake.catalog.lake import commit_lake

        commit_lake(settings, ledger)
    _print_summary(lake, taken, builds, max(monotonic() - started, 1e-6))
    _print_problems(taken, unbuilt)
    # if an earlier call left a unit, it counts only if it holds files of this call
    return 1 if taken.unreadable or taken.failures or unbuilt.keys() - (earlier - set(mine)) else 0


def _print_summary(lake: OpenLake, taken: TakenIn, builds: Sequence[BuildSummary], seconds: float) -> None:
    types, unusable = _totals_by_type(builds)
    landed, indexed = taken.landed, taken.indexed
    totals: dict[str, Any] = {
        "new_files": landed.files,
        "known_files": landed.skipped,
        "events": indexed.events,
        "bytes": landed.bytes,
        "publish_hours": len(builds),
        "rows": sum(build.rows for build in builds),
        "duplicates": sum(build.duplicates for build in builds),
        "conflicts": sum(build.conflicts for build in builds),
        "rejects": sum(build.rejects for build in builds),
        "seconds": round(seconds, 3),
    }
    if lake.json:
        print_json(totals | {"event_types": [{"name": name} | counts for name, counts in types]})
        return
    rows = [(name, *(counts[column] for column in _COLUMNS)) for name, counts in types]
    rows.append(("rejects: no event (reasons are in rejects/)", unusable, None, None, None))
    print_table(("domain/event type", *_COLUMNS), rows)
    print(
        f"{landed.files} new file(s), {landed.skipped} known; {indexed.events} events, {size_text(landed.bytes)}"
        f" landed; {len(builds)} publish hour(s): {totals['rows']} rows, {totals['duplicates']} duplicates"
        f" ({totals['conflicts']} conflicting), {totals['rejects']} rejects;"
        f" {seconds:.1f} s, {size_text(landed.bytes / seconds)}/s"
    )


def _print_problems(taken: TakenIn, unbuilt: Mapping[str, PismoError]) -> None:
    for name in taken.unreadable:
        print(f"NOT READABLE, kept in landing and listed in rejects: {name}", file=sys.stderr)
    for failure in taken.failures:
        print(failure, file=sys.stderr)
    for unit, error in unbuilt.items():
        print(f"NOT BUILT: {unit}: {error}", file=sys.stderr)
    for name, problem in taken.left:
        print(f"left by an earlier call: {name}: {problem} (see files --forget)", file=sys.stderr)


def _totals_by_type(builds: Sequence[BuildSummary]) -> tuple[list[tuple[str, dict[str, int]]], int]:
    """Return the counts of each event type, and the number of rejects without an event type."""
    totals: dict[str, Counter[str]] = defaultdict(Counter)
    for build in builds:
        for name, counts in build.by_type.items():
            totals[name].update(counts)
    unusable = sum(build.rejects - build.conflicts for build in builds)
    return [
        (name, {column: counts[column] for column in _COLUMNS}) for name, counts in sorted(totals.items())
    ], unusable
