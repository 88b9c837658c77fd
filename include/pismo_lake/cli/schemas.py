"""Define the command `contracts pull`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from pismo_lake.cli.command import OpenLake, command
from pismo_lake.cli.options import check_day
from pismo_lake.cli.output import print_json, print_table
from pismo_lake.errors import ConfigError
from pismo_lake.spelling import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pismo_lake.schemas import PulledSchema


@command("contracts pull", json=True, new=True)
def pull(
    lake: OpenLake,
    source: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="PLACE",
            help="Read the schemas of this s3:// prefix, folder or checkout; else those of contracts.pull.source.",
        ),
    ] = None,
    profile: Annotated[
        str | None, typer.Option("--profile", metavar="NAME", help="Read an s3:// source with this AWS profile.")
    ] = None,
    announced: Annotated[
        str | None,
        typer.Option(
            "--announced", metavar="YYYY-MM-DD", callback=check_day,
            help="Take the schemas too that events of this publish day announce (json_schema_change).",
        ),
    ] = None,
    accept: Annotated[
        list[str] | None,
        typer.Option(
            "--accept", metavar="DOMAIN/EVENT",
            help="Apply the schema even if a column changes its type, and over yours; * for any, may be repeated.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the changes, and write nothing.")] = False,
) -> int:  # fmt: skip
    """Pull the schemas that Pismo publishes into the contracts folder, and list their effect on columns."""
    from pismo_lake.report.announced import schemas_of_day
    from pismo_lake.schemas import SchemaSource, pull_schemas
    from pismo_lake.settings.schema_pull import TypeChanges
    from pismo_lake.storage.s3 import S3Store

    rules = lake.settings.contracts.pull
    place = source or (rules.source if rules else None)
    if not place and not announced:
        msg = "there is no source to pull schemas from: give --from, or contracts.pull.source of the delivery"
        raise ConfigError(msg)
    store = S3Store(lambda: {"profile": profile}) if profile else None
    pulled = pull_schemas(
        lake.settings,
        lake.ledger,
        SchemaSource(place, store) if place else None,
        announced=schemas_of_day(lake.settings, lake.ledger, announced) if announced else (),
        accepted=accept or [],
        apply_types=rules is not None and rules.type_changes is TypeChanges.APPLY,
        dry_run=dry_run,
    )
    for schema in pulled.bad:
        print(printable(f"{schema.name}: {schema.reason}"), file=sys.stderr)
    if lake.json:
        print_json(pulled.to_json())
    else:
        rows = [row for schema in pulled.schemas for row in _rows(schema, dry_run=dry_run)]
        if rows:
            print_table(("event type", "is", "now", "meaning"), rows)
        print(printable(str(pulled)))
    return 1 if pulled.bad else 0


def _rows(schema: PulledSchema, *, dry_run: bool) -> Iterator[tuple[str, str, str, str]]:
    """Yield the lines of a table for one schema; only the first names it."""
    first, *others = schema.meanings() or [""]
    fate = "to write" if dry_run and schema.fate == "written" else schema.fate
    yield schema.event, schema.state, fate, first
    for meaning in others:
        yield "", "", "", meaning
