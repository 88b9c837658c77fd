"""Describe the lake's Parquet files as Iceberg's data files, and compare their columns with a table's."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.typedef import Record

from pismo_lake import storage
from pismo_lake.catalog.iceberg.private import statistics
from pismo_lake.catalog.model import FileGoneError, partition_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyiceberg.io import FileIO
    from pyiceberg.table.metadata import TableMetadata

_EPOCH = date(1970, 1, 1)


def uri_of(lake: str, path: str) -> str:
    """Return the URI of a file as tables name it; readers on any machine need the scheme."""
    uri = storage.join(lake, path)
    return f"file://{uri}" if uri.startswith("/") else uri


class Footers:
    """The footers of a lake's files; each is read once."""

    def __init__(self, lake: str, io: FileIO) -> None:
        self._lake, self._io = lake, io
        self._read: dict[str, tuple[Any, int]] = {}

    def of(self, path: str) -> tuple[Any, int]:
        """Return the footer and the size of a file.

        Raises:
            FileGoneError: the file is not in the lake (any more).
        """
        if path not in self._read:
            given = self._io.new_input(uri_of(self._lake, path))
            try:
                with given.open() as stream:
                    self._read[path] = pq.read_metadata(stream), len(given)
            except FileNotFoundError as error:
                raise FileGoneError(path) from error
        return self._read[path]

    def schema(self, path: str) -> pa.Schema:
        """Return the columns of a file, each of which may be null.

        A table that requires a column cannot take a type of it that comes later.
        """
        found = self.of(path)[0].schema.to_arrow_schema()
        return pa.schema([field.with_nullable(True) for field in found])

    def forget(self) -> None:
        """Forget all footers: they are large."""
        self._read.clear()

    def data_file(self, path: str, metadata: TableMetadata) -> DataFile:
        """Return the entry of a file; its partition comes from its path, because the file lacks the column."""
        footer, size = self.of(path)
        days = (date.fromisoformat(partition_of(path)) - _EPOCH).days
        return DataFile.from_args(
            content=DataFileContent.DATA, file_path=uri_of(self._lake, path), file_format=FileFormat.PARQUET,
            partition=Record(days), file_size_in_bytes=size, sort_order_id=None, spec_id=metadata.default_spec_id,
            equality_ids=None, key_metadata=None, **statistics(footer, metadata),
        )  # fmt: skip


def merge_columns(schemas: Iterable[pa.Schema]) -> pa.Schema:
    """Return the columns of all schemas, and the fields of all their structs, in the order of their first use.

    If types differ, the later one is kept.
    """
    fields: dict[str, pa.Field] = {}
    for schema in schemas:
        for field in schema:
            fields[field.name] = _merge(fields[field.name], field) if field.name in fields else field
    return pa.schema(list(fields.values()))


def _merge(first: pa.Field, second: pa.Field) -> pa.Field:
    return pa.field(second.name, _merge_types(first.type, second.type))


def _merge_types(first: pa.DataType, second: pa.DataType) -> pa.DataType:
    if pa.types.is_list(first) and pa.types.is_list(second):
        return pa.list_(pa.field(second.value_field.name, _merge_types(first.value_type, second.value_type)))
    if pa.types.is_struct(first) and pa.types.is_struct(second):
        fields = {field.name: field for field in first}
        for field in second:
            fields[field.name] = _merge(fields[field.name], field) if field.name in fields else field
        return pa.struct(list(fields.values()))
    return second


def find_retyped(table: pa.Schema, file: pa.Schema) -> set[str]:
    """Return the columns that have another type in a file than in the table, at any depth."""
    known = {field.name: field.type for field in table}
    return {field.name for field in file if field.name in known and _differ(known[field.name], field.type)}


def _differ(first: pa.DataType, second: pa.DataType) -> bool:
    if pa.types.is_struct(first) and pa.types.is_struct(second):
        known = {field.name: field.type for field in first}
        return any(field.name in known and _differ(known[field.name], field.type) for field in second)
    if _is_list(first) and _is_list(second):
        return _differ(first.value_type, second.value_type)
    return bool(_plain(first) != _plain(second))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _plain(kind: pa.DataType) -> pa.DataType:
    """Return the type that pyiceberg does not tell from this one."""
    plain = {pa.large_string(): pa.string(), pa.large_binary(): pa.binary()}
    return plain.get(kind, kind)
