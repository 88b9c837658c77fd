"""Open, make and list the Iceberg tables of a lake."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.transforms import IdentityTransform

from pismo_lake.catalog.iceberg.connect import open_catalog
from pismo_lake.catalog.iceberg.expire import expire_table, sweep_table
from pismo_lake.catalog.iceberg.files import uri_of
from pismo_lake.catalog.iceberg.refusal import naming, refusing
from pismo_lake.catalog.iceberg.table import MAPPING, IcebergTable
from pismo_lake.catalog.model import TableState, table_of
from pismo_lake.paths import TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pyiceberg.catalog import Catalog
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table

    from pismo_lake.catalog.model import LakeTable
    from pismo_lake.settings.tables import Tables

_LAKE, _FOLDER = "pismo.lake", "pismo.folder"
"""The properties of a table that say which folder of which lake it is over."""
_PROPERTIES = {
    "format-version": "2",  # Athena reads no later one
    # a commit must look at the table again before each attempt; pyiceberg would not
    "commit.retry.num-retries": "0",
    # bounds of columns would put personal data into manifests, which no erasure reaches
    "write.metadata.metrics.default": "none",
    "write.metadata.metrics.column.event_timestamp": "full",
    "write.metadata.metrics.column.event_id": "counts",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
}


class IcebergTables:
    """The tables of one lake in one catalog."""

    def __init__(
        self, tables: Tables, lake: str, ledger_url: str, comments: Callable[[str], Mapping[str, str]]
    ) -> None:
        self._lake, self._comments = lake, comments
        self._catalog: Catalog = open_catalog(tables, lake, ledger_url)
        self._read: dict[str, list[DataFile]] = {}

    def open(self, table: LakeTable) -> IcebergTable | None:
        """Load a table; return None if the catalog does not have it."""
        found, _ = self._find(table)
        return None if found is None else self._opened(table, found)

    def create(self, table: LakeTable) -> IcebergTable:
        """Make a table without files, which has no column but its partition's; or load the one that is there by now."""
        found, name = self._find(table)
        if found is not None:
            return self._opened(table, found)
        properties = _PROPERTIES | {_LAKE: self._lake, _FOLDER: table.folder}
        location = uri_of(self._lake, f"{TABLES}/{name[0]}/{name[1]}")
        schema = pa.schema([pa.field(table.partition, pa.date32())])
        with refusing():
            self._catalog.create_namespace_if_not_exists(name[0])
            with self._catalog.create_table_transaction(name, schema, location=location, properties=properties) as made:
                with made.update_spec() as spec:
                    spec.add_field(table.partition, IdentityTransform(), table.partition)
                made.set_properties({MAPPING: made.table_metadata.schema().name_mapping.model_dump_json()})
            return self._opened(table, self._catalog.load_table(name))

    def tables(self) -> list[LakeTable]:
        """Return every table of the lake that the catalog has."""
        return [table for _, table in self._every()]

    def states(self) -> list[TableState]:
        """Return the state of every table of the lake, by name."""
        return sorted((_state(table, known) for table, known in self._every()), key=lambda state: state.name)

    def state(self, table: LakeTable) -> TableState | None:
        """Return the state of a table; None if the catalog does not have it."""
        found, _ = self._find(table)
        return None if found is None else _state(found, table)

    def columns(self, table: LakeTable) -> pa.Schema | None:
        """Return the columns of a table; None if the catalog does not have it."""
        found, _ = self._find(table)
        return None if found is None else found.schema().as_arrow()

    def expire(self, table: LakeTable, hours: float | None = None) -> None:
        """Forget older snapshots of a table, and remove metadata that no snapshot reaches."""
        found, _ = self._find(table)
        if found is not None:
            with refusing():
                expire_table(found, hours)
            sweep_table(found)

    def close(self) -> None:
        """Close all connections."""
        self._catalog.close()

    def _find(self, table: LakeTable) -> tuple[Table | None, tuple[str, str]]:
        """Return the table over a folder, or None with the name that it gets.

        Two event types may differ only in signs that no name of a table has: then the second one gets a number.
        """
        number = 1
        while True:
            name = (table.namespace, table.name if number == 1 else f"{table.name}__{number}")
            try:
                with naming():
                    found = self._catalog.load_table(name)
            except (NoSuchTableError, NoSuchNamespaceError):
                return None, name
            if self._is_mine(found) and found.properties.get(_FOLDER) == table.folder:
                return found, name
            number += 1

    def _opened(self, table: LakeTable, found: Table) -> IcebergTable:
        return IcebergTable(self._lake, table, found, self._read, self._comments)

    def _is_mine(self, table: Table) -> bool:
        return table.properties.get(_LAKE) == self._lake

    def _every(self) -> Iterator[tuple[Table, LakeTable]]:
        with naming():
            names = [name for space in self._catalog.list_namespaces() for name in self._catalog.list_tables(space)]
            found = [table for name in names if self._is_mine(table := self._catalog.load_table(name))]
        for table in found:
            yield table, table_of(table.properties[_FOLDER])


def _state(table: Table, known: LakeTable) -> TableState:
    snapshot = table.current_snapshot()
    totals = snapshot.summary if snapshot is not None else None
    rows, files = (int(totals[key] or 0) if totals else 0 for key in ("total-records", "total-data-files"))
    snapshot_id = snapshot.snapshot_id if snapshot is not None else None
    return TableState(".".join(table.name()), known.kind, rows, files, snapshot_id, table.metadata_location)
