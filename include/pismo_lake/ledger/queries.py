"""Share the parts of queries that several tables need."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlalchemy import ColumnElement, Connection, Table

KEYS_PER_QUERY = 500
"""A database limits the parameters of a query: SQLite to 32,766, older versions to 999."""


def chunks(keys: Iterable[str]) -> Iterator[list[str]]:
    """Yield keys in lists that fit in one query."""
    every = list(keys)
    for start in range(0, len(every), KEYS_PER_QUERY):
        yield every[start : start + KEYS_PER_QUERY]


def lock_table(connection: Connection, table: Table) -> None:
    """Keep all others from changing a table until the transaction ends."""
    # SQLite lets only one transaction write at a time
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"LOCK TABLE {table.name} IN SHARE MODE"))


def of_day(column: ColumnElement[str], day: str) -> ColumnElement[bool]:
    """Return the condition that a publish hour belongs to a publish day (YYYY-MM-DD)."""
    return column.between(f"{day}T00", f"{day}T23")


def insert_new(connection: Connection, table: Table) -> Any:
    """Return an insert that leaves the rows that are there already."""
    # to import PostgreSQL's takes longer than to open an SQLite ledger
    dialect = "postgresql" if connection.dialect.name == "postgresql" else "sqlite"
    return import_module(f"sqlalchemy.dialects.{dialect}").insert(table).on_conflict_do_nothing()
