"""Define the command `ddl`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from pismo_lake.cli.command import OpenLake, command
from pismo_lake.cli.options import check_choice
from pismo_lake.cli.output import print_json
from pismo_lake.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pismo_lake.contracts.store import ContractStore

ENGINES = ("duckdb", "athena", "spark", "snowflake", "bigquery")
"""The names of `pismo_lake.ddl.dialects.DIALECTS`, which takes long to load."""
DBT = "dbt"
_DIALECTS = (*ENGINES, DBT)
FOLDERS, CATALOG = PLACES = ("folders", "catalog")

Domains = Annotated[
    list[str] | None, typer.Option("--domain", metavar="NAME", help="Take only this domain; may be repeated.")
]


@command("ddl", json=True)
def ddl(
    lake: OpenLake,
    dialect: Annotated[
        str,
        typer.Option(
            "--dialect", metavar="ENGINE", callback=check_choice("dialect", _DIALECTS),
            autocompletion=lambda: list(_DIALECTS),
            help=f"Write for this query engine: {', '.join(ENGINES)}. With {DBT}, write a sources.yml.",
        ),
    ],
    schema: Annotated[
        str, typer.Option("--schema", metavar="NAME", help="Put NAME before each table: my_schema, catalog.schema.")
    ] = "",
    stage: Annotated[
        str, typer.Option("--stage", metavar="NAME", help="Use this Snowflake stage for the lake.", show_default=True)
    ] = "pismo_lake",
    engine: Annotated[
        str,
        typer.Option(
            "--engine", metavar="ENGINE", callback=check_choice("engine", ENGINES),
            autocompletion=lambda: list(ENGINES), show_default=True,
            help=f"With the dialect {DBT}, name the types of this query engine.",
        ),
    ] = "duckdb",
    domain: Domains = None,
    over: Annotated[
        str,
        typer.Option(
            "--over", metavar="PLACE", callback=check_choice("place", PLACES), autocompletion=lambda: list(PLACES),
            show_default=True, help=f"Read the lake's {FOLDERS}, or with a table format the tables of its {CATALOG}.",
        ),
    ] = FOLDERS,
    catalog_name: Annotated[
        str,
        typer.Option(
            "--catalog-name", metavar="NAME",
            help="Put NAME before each table of the catalog: the name that the engine has for the catalog.",
        ),
    ] = "",
    no_comments: Annotated[
        bool, typer.Option("--no-comments", help="Leave out the comments on tables, views and columns.")
    ] = False,
) -> int:  # fmt: skip
    """Print statements that make tables and views over the lake in a query engine, or the sources of dbt."""
    from pismo_lake.contracts.store import ContractStore
    from pismo_lake.ddl.over_catalog import open_catalog
    from pismo_lake.ddl.statements import statements
    from pismo_lake.ddl.tables import lake_tables, refuse_kept_files

    settings = lake.settings
    if over == FOLDERS:
        refuse_kept_files(settings)
        if catalog_name:
            msg = "--catalog-name needs --over catalog"
            raise ConfigError(msg)
    catalog = open_catalog(settings, lake.ledger, catalog_name) if over == CATALOG else None
    store = ContractStore(lake.ledger, settings)
    tables = lake_tables(settings.lake, store, domain or [])
    if dialect == DBT:
        from pismo_lake.ddl.dbt import dbt_sources, dbt_yaml

        sources = dbt_sources(tables, engine, schema, catalog)
        if lake.json:
            print_json({"dialect": dialect, "sources": sources})
        else:
            print(dbt_yaml(sources, engine), end="")
    else:
        written = statements(
            settings.lake, tables, dialect, schema, stage, comments=not no_comments, catalog=catalog
        )  # fmt: skip
        if lake.json:
            print_json({"dialect": dialect, "statements": written})
        else:
            for statement in written:
                print(f"{statement};\n")
    name_unknown_domains(store, domain or [])
    return 0 if tables else 1


def name_unknown_domains(store: ContractStore, domains: Sequence[str]) -> None:
    """Print on stderr the domains that the lake does not have, or that it has no event type."""
    from pismo_lake.spelling import list_in_words

    known = sorted({name for name, _ in store.names()})
    for name in domains:
        if known and name not in known:
            print(f"no domain of this lake is named {name}: there are {list_in_words(name, known)}", file=sys.stderr)
    if not known:
        print("no event type is known in this lake", file=sys.stderr)
