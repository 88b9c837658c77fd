"""Define the commands about single events: `where-is`, `show` and `erase`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from pismo_lake.cli.command import OpenLake, command
from pismo_lake.cli.output import print_json, write_bytes

if TYPE_CHECKING:
    from pismo_lake.events.find import Place

EventId = Annotated[str, typer.Argument(metavar="EVENT_ID", help="The event's id.")]


@command("where-is", json=True)
def where_is(lake: OpenLake, event_id: EventId) -> int:
    """Show every copy of an event: its object, byte range, raw file and row in the lake."""
    from pismo_lake.events.find import find_event

    places = find_event(lake.settings, lake.ledger, event_id)
    if lake.json:
        print_json({"event_id": event_id, "copies": [_copy(place) for place in places]})
    else:
        for place in places:
            print(place)
    return _exit_code(event_id, places)


@command("show", json=True)
def show(
    lake: OpenLake,
    event_id: EventId,
    every: Annotated[bool, typer.Option("--all", help="Print every copy, not only the one in the lake.")] = False,
) -> int:
    """Print an event's raw JSON, from its byte range in landing."""
    from pismo_lake.events.find import display_event, find_event
    from pismo_lake.privacy.mark import refuse_unprotected

    refuse_unprotected(lake.settings)
    places = find_event(lake.settings, lake.ledger, event_id)
    shown = places if every else [place for place in places if place.lake_row] or places[:1]
    if lake.json:
        copies = [_copy(place) | _content(display_event(place, lake.settings.privacy)) for place in shown]
        print_json({"event_id": event_id, "copies": copies})
    else:
        for place in shown:
            write_bytes(display_event(place, lake.settings.privacy) + b"\n")
    return _exit_code(event_id, places)


@command("erase", json=True)
def erase(
    lake: OpenLake,
    where: Annotated[
        list[str] | None,
        typer.Option("--where", metavar="COLUMN=VALUE", help="Erase rows with this value; may be repeated."),
    ] = None,
    event_id: Annotated[
        list[str] | None, typer.Option("--event-id", metavar="EVENT_ID", help="Erase this event; may be repeated.")
    ] = None,
    reference: Annotated[
        str, typer.Option("--reference", metavar="TEXT", help="Keep this with the erasure: a ticket, not a name.")
    ] = "",
    raw: Annotated[bool, typer.Option("--raw", help="Blank the events' bytes in landing too.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print how many events there are; change nothing.")
    ] = False,
) -> int:
    """Remove a person's events from the lake, for good, and search for traces."""
    from pismo_lake.cli.erase import Order, carry_out

    pairs = tuple((column, value) for column, _, value in (text.partition("=") for text in where or []))
    return carry_out(lake, Order(pairs, tuple(event_id or ()), reference, raw=raw, dry_run=dry_run))


def _exit_code(event_id: str, places: list[Place]) -> int:
    if not places:
        print(f"{event_id} is in no landed file", file=sys.stderr)
    return 0 if places else 1


def _copy(place: Place) -> dict[str, Any]:
    record, row = place.record, place.lake_row
    return {
        "state": place.state,
        "delivery": record.delivery,
        "file": record.name,
        "publish_hour": record.publish_hour,
        "offset": place.offset,
        "length": place.length,
        "org_id": place.org_id,
        "landed": record.raw_uri,
        "landed_at": record.landed_at,
        "run": record.run,
        "problem": record.problem,
        "parquet": row
        and {"uri": row.parquet, "row_group": row.row_group, "row": row.row, "built_at": row.built_at, "run": row.run},
    }


def _content(raw: bytes) -> dict[str, Any]:
    """Return the event with its numbers digit by digit; bytes that are no JSON as text."""
    try:
        orjson.loads(raw)
    except ValueError:
        return {"text": raw.decode("utf-8", "backslashreplace")}
    return {"event": orjson.Fragment(raw)}
