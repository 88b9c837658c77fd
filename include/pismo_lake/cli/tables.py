"""Define the command `tables`."""

from __future__ import annotations

from dataclasses import asdict

from pismo_lake.cli.command import OpenLake, command
from pismo_lake.cli.output import print_json, print_table


@command("tables", json=True)
def tables(lake: OpenLake) -> int:
    """List the tables of the lake's catalog, after completing those that a killed run left behind."""
    from pismo_lake.catalog.lake import commit_lake, open_tables

    commit_lake(lake.settings, lake.ledger)
    states = open_tables(lake.settings, lake.ledger).states()
    if lake.json:
        print_json([asdict(state) for state in states])
        return 0
    print_table(
        ("table", "kind", "rows", "files", "snapshot", "metadata"),
        [
            (state.name, state.kind, state.rows, state.files, state.snapshot_id, state.metadata_location)
            for state in states
        ],
    )
    return 0
