"""Define the options by which `missing` and `replay` select events."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

_TIME = "YYYY-MM-DD[THH:MM]"
First = Annotated[
    str | None, typer.Option("--from", metavar=_TIME, help="Take events from this time on, in UTC if it has no zone.")
]
Last = Annotated[
    str | None, typer.Option("--to", metavar=_TIME, help="Take events before this time; give it with --from.")
]
By = Annotated[
    str,
    typer.Option(
        "--by", metavar="CLOCK", help="Mean publish hours, taken whole (publish), or the events' own times (event)."
    ),
]
Types = Annotated[
    list[str] | None,
    typer.Option("--type", metavar="PATTERN", help="Take only types like cards/* or pix/pix_in-1; may be repeated."),
]
Organisations = Annotated[
    list[str] | None, typer.Option("--org", metavar="ORG_ID", help="Take only this organisation; may be repeated.")
]
Accounts = Annotated[
    list[str] | None,
    typer.Option("--account", metavar="ACCOUNT_ID", help="Take only events of this account; may be repeated."),
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where", metavar="COLUMN=VALUE",
        help="Take only events with this value. Repeated: one value of each column must be there.",
    ),
]  # fmt: skip
EventIds = Annotated[
    list[str] | None, typer.Option("--event-id", metavar="EVENT_ID", help="Take only this event; may be repeated.")
]
IdsFile = Annotated[
    str | None,
    typer.Option(
        "--ids", metavar="FILE", help="Take only the events with the ids in FILE: Parquet, CSV, or one a line."
    ),
]
SEEN = "FILE has the ids that the consumer has: Parquet, CSV, or one a line."


def warn_waiting(files: int) -> None:
    """Say on stderr that landed files have no index yet."""
    if files:
        print(f"{files} landed file(s) have no index yet, so their events are left out: flatten first", file=sys.stderr)
