"""Make tables and views over the lake for DuckDB, Athena, Spark, Snowflake and BigQuery.

A table has every column under its full name, even if some of its files lack it. Views have short names: one for each
version of an event type, and one for all versions together. Further views show day reports and the latest state of
accounts and cards. Comments explain columns. A given name never changes (`pismo_lake.ddl.names`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pismo_lake import storage
from pismo_lake.ddl.dialects import DIALECTS
from pismo_lake.ddl.engines import MadeColumn, MadeTable, MadeView
from pismo_lake.ddl.names import REPORT_VALUES
from pismo_lake.ddl.texts import shorten
from pismo_lake.ddl.views import describe_table, make_views
from pismo_lake.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pismo_lake.ddl.columns import DescribedColumn
    from pismo_lake.ddl.dialects import Dialect
    from pismo_lake.ddl.over_catalog import LakeCatalog
    from pismo_lake.ddl.tables import DescribedTable


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or a view that `statements` make: name without a schema, description, and columns."""

    name: str
    about: str
    columns: tuple[DescribedColumn, ...]


def statements(
    lake: str,
    tables: Iterable[DescribedTable],
    dialect: str,
    schema: str = "",
    stage: str = "",
    *,
    comments: bool = True,
    catalog: LakeCatalog | None = None,
) -> list[str]:
    """Return the statements of a dialect, in the order in which to run them.

    `schema` precedes each name; `stage` is Snowflake's. With a catalog, the tables are views over its tables.
    """
    speech = find_dialect(dialect)
    if not comments:
        speech = replace(speech, comment=0)
    known = readable_tables(tables, speech, catalog)
    place = f"@{stage or 'pismo_lake'}" if dialect == "snowflake" else lake
    out: list[str] = []
    for table in known:
        day, *columns = _made(table.columns, speech)
        called, about = speech.qualify_name(schema, table.name), shorten(describe_table(table), speech.comment)
        if catalog is not None:
            query = catalog.query(table, speech)
            out += speech.make_view(speech, MadeView(called, [day, *columns], about, query))
            continue
        made = MadeTable(
            called, columns, about,
            storage.join(place, table.folder), day, table.dates, ("domain", "event_type") if table.is_of_events else (),
            table.name == REPORT_VALUES,
        )  # fmt: skip
        out += speech.make_table(speech, made)
    for view in make_views(known, speech, schema):
        name, about = speech.qualify_name(schema, view.name), shorten(view.about, speech.comment)
        out += speech.make_view(speech, MadeView(name, _made(view.columns, speech), about, view.query))
    return out


def relations(
    tables: Iterable[DescribedTable], dialect: str, schema: str = "", catalog: LakeCatalog | None = None
) -> Iterator[Relation]:
    """Yield the tables and views that `statements` make."""
    speech = find_dialect(dialect)
    known = readable_tables(tables, speech, catalog)
    for table in known:
        yield Relation(table.name, describe_table(table), table.columns)
    for view in make_views(known, speech, schema):
        yield Relation(view.name, view.about, view.columns)


def find_dialect(name: str) -> Dialect:
    """Return a query engine by its name.

    Raises:
        ConfigError: there is none of this name.
    """
    if name not in DIALECTS:
        msg = f"{name!r} is not a dialect; give one of {', '.join(DIALECTS)}"
        raise ConfigError(msg)
    return DIALECTS[name]


def readable_tables(
    tables: Iterable[DescribedTable], speech: Dialect, catalog: LakeCatalog | None = None
) -> list[DescribedTable]:
    """Return the tables that an engine can read: some engines refuse a folder with files of other formats."""
    if catalog is not None:
        return catalog.select(tables)
    return [table for table in tables if speech.reads_mixed_folders or table.name != REPORT_VALUES]


def _made(columns: Sequence[DescribedColumn], speech: Dialect) -> list[MadeColumn]:
    return [MadeColumn(column.name, speech.type(column.type), column.comment(speech.comment)) for column in columns]
