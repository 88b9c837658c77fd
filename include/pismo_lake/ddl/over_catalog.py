"""Put the tables of the lake's catalog behind its views, instead of its folders.

A table of the catalog has the columns of its files, with the types that they have there. A column that no committed
file has yet is left out: an engine refuses a view that reads it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa

from pismo_lake.catalog.lake import committed_columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pismo_lake.ddl.dialects import Dialect
    from pismo_lake.ddl.tables import DescribedTable
    from pismo_lake.ledger import Ledger
    from pismo_lake.settings.lake import LakeSettings

_MOMENT = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, slots=True)
class CatalogTable:
    """A table of the catalog: its namespace and name, its columns, and its metadata."""

    name: tuple[str, ...]
    schema: pa.Schema
    metadata: str


@dataclass(frozen=True, slots=True)
class LakeCatalog:
    """The catalog of a lake: its tables by the folder that they are over, and the name that the engine has for it."""

    tables: Mapping[str, CatalogTable]
    name: str = ""

    def select(self, tables: Iterable[DescribedTable]) -> list[DescribedTable]:
        """Return the tables that the catalog has, with the columns that it has."""
        return [_of_catalog(table, self.tables[table.folder]) for table in tables if table.folder in self.tables]

    def query(self, table: DescribedTable, speech: Dialect) -> str:
        """Return the query of a view that has the columns of a table under their names."""
        columns = ",\n  ".join(_read(column.name, column.type, speech) for column in table.columns)
        return f"SELECT\n  {columns}\nFROM {self._source(table, speech)}"

    def _source(self, table: DescribedTable, speech: Dialect) -> str:
        known = self.tables[table.folder]
        if speech.scan and not self.name:
            return speech.scan.format(speech.quote_text(known.metadata))
        quoted = (speech.quote_name(part) if speech.keeps_case else part for part in known.name)
        return ".".join([*([self.name] if self.name else []), *quoted])


def open_catalog(settings: LakeSettings, ledger: Ledger, name: str = "") -> LakeCatalog:
    """Return the catalog of a lake; `name` is the one that the engine has for it."""
    found = committed_columns(settings, ledger).items()
    tables = {
        folder: CatalogTable(tuple(state.name.split(".")), columns, state.metadata_location)
        for folder, (state, columns) in found
    }
    return LakeCatalog(tables, name)


def _of_catalog(table: DescribedTable, known: CatalogTable) -> DescribedTable:
    kinds = {field.name: _plain(field.type) for field in known.schema}
    columns = tuple(replace(column, type=kinds[column.name]) for column in table.columns if column.name in kinds)
    return replace(
        table, columns=columns, shorts={name: short for name, short in table.shorts.items() if name in kinds}
    )


def _read(name: str, kind: pa.DataType, speech: Dialect) -> str:
    quoted = speech.quote_name(name)
    return f"{speech.moment.format(quoted)} AS {quoted}" if kind == _MOMENT and speech.moment else quoted


def _plain(kind: pa.DataType) -> pa.DataType:
    """Return the type of the lake for one that only differs in the size of its offsets."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(pa.field(kind.value_field.name, _plain(kind.value_type)))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, _plain(field.type)) for field in kind])
    return {pa.large_string(): pa.string(), pa.large_binary(): pa.binary()}.get(kind, kind)
