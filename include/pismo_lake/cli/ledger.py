"""Define the commands about the ledger itself: `ledger rebuild`, `migrate` and `check`."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Annotated

import typer

from pismo_lake.cli.command import NamedLake, OpenLake, command
from pismo_lake.cli.output import print_json

_OPTIONS = ("ledger", "lake", "delivery", "deliveries")
"""The options that name a ledger."""


@command("ledger rebuild", json=True, new=True, checked=False)
def rebuild(lake: OpenLake) -> int:
    """Make the ledger again from the landing zone, then build its units."""
    from pismo_lake.build.kept_files import remove_kept
    from pismo_lake.catalog.lake import older_paths
    from pismo_lake.index.rebuild import rebuild_ledger
    from pismo_lake.local.workers import Workers

    settings, tables = lake.settings, lake.settings.tables
    with lake.progress() as progress:
        kept = older_paths(lake.settings, lake.ledger)
        result = rebuild_ledger(lake.settings, lake.ledger, progress=progress, kept=kept)
        # a file of a delivery that is not rebuilt yet may hold a copy of an event
        units = () if result.waiting else result.units
        if tables is not None:
            # a build that removes files commits before; the others leave it to the end
            settings = replace(settings, tables=tables.one_commit())
        unbuilt = Workers(settings, lake.ledger, 1).build(units, (), progress)[1] if units else {}
    # while the ledger is incomplete, a commit would take files out of the tables
    if tables is not None and not (result.waiting or unbuilt or result.failures):
        from pismo_lake.catalog.lake import commit_lake

        commit_lake(lake.settings, lake.ledger)
        remove_kept(lake.settings, lake.ledger)
    for name, problem in result.failures:
        print(f"NOT INDEXED, its events are missing: {name}: {problem}", file=sys.stderr)
    for unit, error in unbuilt.items():
        print(f"NOT BUILT: {unit}: {error}", file=sys.stderr)
    if lake.json:
        print_json(
            {
                "files": result.files, "contracts": result.contracts, "units": len(units) - len(unbuilt),
                "left_aside": [*result.orphans, *result.strangers], "waiting_for": list(result.waiting),
            }
        )  # fmt: skip
        return 1 if unbuilt or result.failures else 0
    for uri in result.orphans:
        print(f"left aside, nothing gives it a publish hour: {uri}")
    for path in result.strangers:
        print(f"left aside, no build has written it: {path}")
    done = f"{result.files} file(s) recorded, {result.contracts} contract(s) restored"
    if result.waiting:
        print(f"{done}; nothing is built before these deliveries are rebuilt too: {', '.join(result.waiting)}")
    else:
        print(f"{done}, {len(units) - len(unbuilt)} unit(s) built")
    return 1 if unbuilt or result.failures else 0


@command("ledger migrate", options=_OPTIONS)
def migrate(
    lake: NamedLake,
    sql: Annotated[bool, typer.Option("--sql", help="Print the statements that would do it; change nothing.")] = False,
) -> int:
    """Create ledgers, or migrate them to this program's version.

    With --deliveries it takes the ledgers of all deliveries in FILE, or of one delivery.
    """
    from pismo_lake.cli.versions import ledger_urls, migrate_ledgers

    return migrate_ledgers(ledger_urls(lake.options), sql=sql)


@command("ledger check", json=True, options=_OPTIONS)
def check(lake: NamedLake) -> int:
    """Check that ledgers have this program's version."""
    from pismo_lake.cli.versions import check_ledgers, ledger_urls

    found = []
    for shown, version in check_ledgers(ledger_urls(lake.options)):
        found.append({"ledger": shown, "version": version})
        if not lake.json:
            print(f"ledger {shown} has version {version}, as this program needs it")
    if lake.json:
        print_json({"ledgers": found})
    return 0
