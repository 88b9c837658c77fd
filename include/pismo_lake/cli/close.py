"""Define the commands `close` and `report`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pismo_lake.cli.command import OpenLake, command
from pismo_lake.cli.options import OneDay, check_day, check_jobs
from pismo_lake.cli.output import print_json
from pismo_lake.hours import PublishDay, PublishHour

if TYPE_CHECKING:
    from pismo_lake.errors import PismoError


@command("close", json=True)
def close(
    lake: OpenLake,
    date: Annotated[
        list[str],
        typer.Option("--date", metavar="YYYY-MM-DD", callback=check_day, help="Close this day; may be repeated."),
    ],
    force: Annotated[bool, typer.Option("--force", help="Rebuild an unchanged day too.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print which files would be built and replaced, and change nothing.")
    ] = False,
    jobs: Annotated[
        str | None,
        typer.Option(
            "--jobs", metavar="N", callback=check_jobs,
            help="Write the files with N processes. Default: 1.",
        ),
    ] = None,
) -> int:  # fmt: skip
    """Build publish days into few large files, and write their reports."""
    from pismo_lake.build.plan import plan_units
    from pismo_lake.cli.lake import require_delivery

    require_delivery(lake.settings, lake.ledger)
    if dry_run:
        parts = plan_units(lake.settings, lake.ledger, date, force=force)
        if lake.json:
            print_json({"parts": [asdict(part) for part in parts]})
            return 0
        for part in parts:
            print(part)
            print("".join(f"  replace {path}\n" for path in part.replaces), end="")
        return 0
    number = int(jobs) if jobs else 1
    closed = [_close_day(lake, PublishDay.parse(text), force=force, jobs=number) for text in date]
    if lake.json:
        print_json({"days": [document for _, document in closed]})
    return max(status for status, _ in closed)


@command("report", json=True)
def report(lake: OpenLake, date: OneDay) -> int:
    """Reconcile a publish day and write its report."""
    from pismo_lake.cli.lake import require_delivery

    require_delivery(lake.settings, lake.ledger)
    status, document = _report_day(lake, PublishDay.parse(date))
    if lake.json:
        print_json(document)
    return status


def _close_day(lake: OpenLake, day: PublishDay, *, force: bool, jobs: int) -> tuple[int, dict[str, Any]]:
    """Close one day; return the exit code and the JSON document about it."""
    from pismo_lake.build.day import close_day
    from pismo_lake.build.units import UNIT_ERRORS
    from pismo_lake.index.run import index_landed
    from pismo_lake.ledger import FileLedger, RawLedger
    from pismo_lake.local.workers import Workers

    settings, ledger = lake.settings, lake.ledger
    recorded = FileLedger(ledger, settings.lake, settings.delivery)
    raws = RawLedger(ledger, settings.lake, settings.delivery)
    earlier = {unit for unit in recorded.unbuilt_units() if not unit.startswith(str(day))}
    unbuilt: dict[str, PismoError] = {}
    done = ""
    with lake.progress() as progress, Workers(settings, ledger, jobs) as workers:
        failures = index_landed(settings, ledger, progress=progress).failures
        waiting = {raw.name for raw in raws.list_waiting(raws.hours_of_day(str(day)))}
        try:
            spread = workers if workers.jobs > 1 else None
            built = close_day(settings, ledger, day, force=force, progress=progress, spread=spread)
            done = "rebuilt" if built.parts_built else "unchanged"
            counts = f"{built.files} files, {built.events} events, {built.rows} rows, {built.duplicates} duplicates"
        except UNIT_ERRORS as error:
            unbuilt[str(day)] = error
        others = set(recorded.unbuilt_units()) - {str(day)}
        unbuilt |= Workers(settings, ledger, 1).build(others, (), progress)[1]
    if done and not lake.json:
        print(f"{day} {done}: {counts}")
    for unit, reason in unbuilt.items():
        print(f"NOT BUILT: {unit}: {reason}", file=sys.stderr)
    for name, problem in failures:
        print(f"NOT INDEXED, its events are missing: {name}: {problem}", file=sys.stderr)
    # files and units of another day are that day's
    mine = unbuilt.keys() - earlier or any(name in waiting for name, _ in failures)
    status, document = _report_day(lake, day)
    return status or int(bool(mine)), {"done": done or "failed", "report": document}


def _report_day(lake: OpenLake, day: PublishDay) -> tuple[int, dict[str, Any]]:
    """Write the report of a day; return the exit code and the report as a JSON document."""
    from pismo_lake.cli.names import hint_days
    from pismo_lake.report.reconcile import reconcile
    from pismo_lake.report.write import publish_report

    found = reconcile(lake.settings, lake.ledger, day, until=PublishHour.of_moment(datetime.now(UTC)))
    places = publish_report(lake.settings, lake.ledger, found)
    if not lake.json:
        print(found)
    for total in found.totals:
        if total.difference:
            print(f"DOES NOT BALANCE: {total.what}: {total.left} and {total.right}", file=sys.stderr)
    if not lake.json:
        print(places[-1])
    if not found.files:
        hint_days(lake, str(day))
    return 0 if found.balanced and not found.stray_files else 1, found.to_json() | {"places": list(places)}
