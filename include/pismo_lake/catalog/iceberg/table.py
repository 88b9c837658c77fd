"""Change the set of files of one Iceberg table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from pismo_lake.catalog.iceberg.files import Footers, find_retyped, merge_columns, uri_of
from pismo_lake.catalog.iceberg.private import open_transaction, overwrite
from pismo_lake.catalog.iceberg.refusal import refusing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from pyiceberg.manifest import DataFile, ManifestFile
    from pyiceberg.table import Table, Transaction

    from pismo_lake.catalog.model import LakeTable

MAPPING = "schema.name-mapping.default"
"""The property with which readers find columns by name: the lake's files have no field ids."""


class IcebergTable:
    """A table as it was when it was loaded."""

    def __init__(
        self, lake: str, table: LakeTable, found: Table, read: dict[str, list[DataFile]],
        comments: Callable[[str], Mapping[str, str]],
    ) -> None:  # fmt: skip
        self._lake, self._table, self._found, self._comments = lake, table, found, comments
        self._read = read
        """The entries of each manifest that was read, by its path: a manifest never changes."""
        self._footers = Footers(lake, found.io)
        self._entries: dict[str, DataFile] | None = None

    def files(self) -> set[str]:
        """Return the paths of its files, below the lake."""
        return set(self._files())

    def reached(self) -> set[str]:
        """Return the paths of the files of all its snapshots, below the lake."""
        root, io = uri_of(self._lake, ""), self._found.io
        found = set[str]()
        with refusing():
            manifests = {
                manifest.manifest_path: manifest
                for snapshot in self._found.snapshots()
                for manifest in snapshot.manifests(io)
            }
            for path, manifest in manifests.items():
                # entries of older snapshots are read once, so they are not kept in memory
                files = self._read.get(path) or [
                    entry.data_file for entry in manifest.fetch_manifest_entry(io, discard_deleted=True)
                ]
                found |= {file.file_path.removeprefix(root) for file in files}
        return found

    def replace(self, new: Collection[str], gone: Collection[str], wished: Collection[str]) -> bool:
        """Add and remove files in one transaction, with the columns that the new files need.

        If a column has another type in the new files, it is dropped and added again, because Iceberg changes no
        integer into a decimal. That needs the new type in all files, so the table waits until all of them are built.
        """
        entries, columns = self._files(), merge_columns(map(self._footers.schema, new))
        retyped = find_retyped(self._arrow(), columns)
        if retyped:
            columns = merge_columns(map(self._footers.schema, wished))
            retyped = find_retyped(self._arrow(), columns)
            if any(find_retyped(columns, self._footers.schema(path)) for path in wished):
                return False
        with refusing(), open_transaction(self._found) as transaction:
            self._evolve(transaction, columns, retyped)
            # every entry is made again for a column that is: its statistics belong to the column's old id
            again = set(wished) & entries.keys() - set(new) if retyped else set()
            metadata = transaction.table_metadata
            added = [self._footers.data_file(path, metadata) for path in sorted({*new, *again})]
            with overwrite(transaction, {}) as producer:
                for path in sorted({*gone, *again}):
                    producer.delete_data_file(entries[path])
                for file in added:
                    producer.append_data_file(file)
        self._footers.forget()
        return True

    def _evolve(self, transaction: Transaction, columns: pa.Schema, retyped: set[str]) -> None:
        """Give the table the columns of new files, and keep the mapping of names complete."""
        present = self._arrow()
        wished = merge_columns([columns, pa.schema([pa.field(self._table.partition, pa.date32())])])
        if not retyped and _has_all(present, wished):
            return
        if retyped:
            with transaction.update_schema(allow_incompatible_changes=True) as update:
                for name in sorted(retyped):
                    update.delete_column(name)
        comments = self._comments(self._table.folder)
        with transaction.update_schema() as update:
            update.union_by_name(pa.schema([_commented(field, comments) for field in wished]))
        mapping = transaction.table_metadata.schema().name_mapping.model_dump_json()
        transaction.set_properties({MAPPING: mapping})

    def _arrow(self) -> pa.Schema:
        found: pa.Schema = self._found.schema().as_arrow()
        return found

    def _files(self) -> dict[str, DataFile]:
        """Return the entries of the present snapshot, by path below the lake."""
        if self._entries is None:
            root, snapshot = uri_of(self._lake, ""), self._found.current_snapshot()
            with refusing():
                manifests = snapshot.manifests(self._found.io) if snapshot is not None else []
                self._entries = {
                    file.file_path.removeprefix(root): file for manifest in manifests for file in self._of(manifest)
                }
        return self._entries

    def _of(self, manifest: ManifestFile) -> list[DataFile]:
        """Return the entries of a manifest."""
        path = manifest.manifest_path
        if path not in self._read:
            entries = manifest.fetch_manifest_entry(self._found.io, discard_deleted=True)
            self._read[path] = [entry.data_file for entry in entries]
        return self._read[path]


def _commented(field: pa.Field, comments: Mapping[str, str]) -> pa.Field:
    """Return a column with its comment, if it has one."""
    comment = comments.get(field.name)
    return field.with_metadata({"doc": comment}) if comment else field


def _has_all(present: pa.Schema, wished: pa.Schema) -> bool:
    """Return whether a table has all columns, and all fields of their structs, already."""
    names = set(_names("", present))
    return all(name in names for name in _names("", wished))


def _names(prefix: str, fields: pa.Schema | pa.DataType) -> list[str]:
    found = []
    for field in fields:
        kind = field.type
        found.append(f"{prefix}{field.name}")
        while pa.types.is_list(kind) or pa.types.is_large_list(kind):
            kind = kind.value_type
        if pa.types.is_struct(kind):
            found += _names(f"{prefix}{field.name}.", kind)
    return found
