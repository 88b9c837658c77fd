"""Define the command that finds the events that a consumer has missed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pismo_lake.cli.command import OpenLake, command
from pismo_lake.cli.output import print_json, print_table
from pismo_lake.cli.selecting import SEEN, Accounts, By, First, Last, Organisations, Types, Where, warn_waiting

if TYPE_CHECKING:
    from pismo_lake.replay.missing import Missing
    from pismo_lake.replay.selection import Selection


@command("missing", json=True)
def missing(
    lake: OpenLake,
    seen: Annotated[str, typer.Option("--seen", metavar="FILE", help=SEEN)],
    first: First,
    last: Last,
    by: By = "publish",
    types: Types = None,
    organisations: Organisations = None,
    accounts: Accounts = None,
    where: Where = None,
    ids: Annotated[bool, typer.Option("--only-ids", help="Print only the missing ids, one a line.")] = False,
) -> int:
    """Show which events a consumer has not seen: counts and ids by hour and type."""
    from pismo_lake.replay.asked import Asked
    from pismo_lake.replay.missing import find_missing

    selection = Asked(
        first=first, last=last, clock=by, types=tuple(types or ()), organisations=tuple(organisations or ()),
        accounts=tuple(accounts or ()), where=tuple(where or ()), seen=seen,
    ).select()  # fmt: skip
    found = find_missing(lake.settings, lake.ledger, selection)
    warn_waiting(found.waiting)
    seen_ids = selection.seen.count if selection.seen is not None else 0
    if seen_ids and found.events and found.missing == found.events:
        print(f"{seen}: none of its {seen_ids} id(s) is in this range: is it the right file?", file=sys.stderr)
    if lake.json:
        print_json(_document(selection, found, seen_ids))
    elif ids:
        for group in found.groups.values():
            for event_id in group.ids:
                print(event_id)
    else:
        _print(selection, found)
    return 0


def _document(selection: Selection, found: Missing, seen_ids: int) -> dict[str, Any]:
    groups = [
        {
            "hour": hour, "event_type": kind, "events": group.events, "missing": len(group.ids),
            "event_ids": group.ids,
        }
        for (hour, kind), group in found.groups.items()
    ]  # fmt: skip
    return {
        "selection": str(selection), "seen_ids": seen_ids, "events": found.events, "missing": found.missing,
        "files_without_index": found.waiting, "groups": groups,
    }  # fmt: skip


def _print(selection: Selection, found: Missing) -> None:
    """Print the counts, then each id."""
    print(f"{found.missing} of {found.events} event(s) are missing ({selection})")
    gaps = [(hour, kind, group) for (hour, kind), group in found.groups.items() if group.ids]
    if not gaps:
        return
    print_table(
        ("hour", "event type", "missing", "of"),
        [(hour, kind, len(group.ids), group.events) for hour, kind, group in gaps],
    )
    print()
    print_table(
        ("hour", "event type", "event id"),
        ((hour, kind, event_id) for hour, kind, group in gaps for event_id in group.ids),
    )
