"""Define the command `ddl`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from pismo_lake.cli.command import OpenLake, command
from pismo_lake.cli.options import check_choice
from pismo_lake.cli.output import print_json

ENGINES = ("duckdb", "athena", "spark", "snowflake", "bigquery")
"""The names of `pismo_lake.ddl.dialects.DIALECTS`, which takes long to load."""


@command("ddl", json=True)
def ddl(
    lake: OpenLake,
    dialect: Annotated[
        str,
        typer.Option(
            "--dialect", metavar="ENGINE", callback=check_choice("dialect", ENGINES),
            autocompletion=lambda: list(ENGINES),
            help=f"Write for this query engine: {', '.join(ENGINES)}.",
        ),
    ],
    schema: Annotated[
        str, typer.Option("--schema", metavar="NAME", help="Put NAME before each table: my_schema, catalog.schema.")
    ] = "",
    stage: Annotated[
        str, typer.Option("--stage", metavar="NAME", help="Use this Snowflake stage for the lake.", show_default=True)
    ] = "pismo_lake",
    domain: Annotated[
        list[str] | None, typer.Option("--domain", metavar="NAME", help="Take only this domain; may be repeated.")
    ] = None,
) -> int:  # fmt: skip
    """Print statements that make tables and views over the lake in a query engine."""
    from pismo_lake.contracts.store import ContractStore
    from pismo_lake.ddl.statements import lake_tables, statements
    from pismo_lake.spelling import list_in_words

    settings = lake.settings
    store = ContractStore(lake.ledger, settings)
    tables = lake_tables(settings.lake, store, domain or [])
    written = statements(settings.lake, tables, dialect, schema, stage)
    if lake.json:
        print_json({"dialect": dialect, "statements": written})
    else:
        for statement in written:
            print(f"{statement};\n")
    known = sorted({name for name, _ in store.names()})
    for name in domain or []:
        if known and name not in known:
            print(f"no domain of this lake is named {name}: there are {list_in_words(name, known)}", file=sys.stderr)
    if not known:
        print("no event type is known in this lake", file=sys.stderr)
    return 0 if tables else 1
