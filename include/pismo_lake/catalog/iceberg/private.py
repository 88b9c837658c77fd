"""Use the parts of pyiceberg that it does not offer to others; no other module does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyarrow.fs import FileSelector
from pyiceberg.io.pyarrow import (
    PyArrowFileIO,
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
)
from pyiceberg.manifest import ManifestContent
from pyiceberg.table import Transaction
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.update.snapshot import _ManifestMergeManager, _OverwriteFiles

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    import pyarrow.parquet as pq
    from pyiceberg.io import FileIO
    from pyiceberg.manifest import ManifestFile
    from pyiceberg.table import Table
    from pyiceberg.table.metadata import TableMetadata

_MANIFEST_BYTES = 8 << 20
_MOST_MANIFESTS = 16
"""The number of manifests from which on a commit merges them. Each commit reads them all, so they must stay few."""
_LARGE_ENTRIES = 64
"""The number of entries from which on a manifest is merged with large ones only, so that few commits write it again."""


class _QuickTransaction(Transaction):
    """A transaction that makes its metadata once after each update.

    pyiceberg copies all of it at each use, which costs half of a commit.
    """

    _made: tuple[int, TableMetadata] | None = None

    @property
    def table_metadata(self) -> TableMetadata:
        """Return the metadata of the table with all updates of this transaction."""
        updates = len(self._updates)
        if self._made is None or self._made[0] != updates:
            self._made = updates, super().table_metadata
        return self._made[1]


def open_transaction(table: Table) -> Transaction:
    """Return a transaction of a table: a context that commits at its end."""
    return _QuickTransaction(table)


class _MergingOverwrite(_OverwriteFiles):
    """Add and remove files as pyiceberg's `overwrite`, and merge manifests if there are many."""

    def _process_manifests(self, manifests: list[ManifestFile]) -> list[ManifestFile]:
        data = [manifest for manifest in manifests if manifest.content == ManifestContent.DATA]
        others = [manifest for manifest in manifests if manifest.content != ManifestContent.DATA]
        manager: Any = _ManifestMergeManager(_MANIFEST_BYTES, _MOST_MANIFESTS, True, self)
        large = [manifest for manifest in data if _count_entries(manifest) >= _LARGE_ENTRIES]
        small = [manifest for manifest in data if _count_entries(manifest) < _LARGE_ENTRIES]
        merged: list[ManifestFile] = manager.merge_manifests(small) + manager.merge_manifests(large)
        return merged + others


def _count_entries(manifest: ManifestFile) -> int:
    return (manifest.added_files_count or 0) + (manifest.existing_files_count or 0)


def overwrite(transaction: Transaction, note: dict[str, str]) -> Any:
    """Return the producer of a snapshot: a context with `append_data_file` and `delete_data_file`.

    It is always an overwrite, also for additions alone. An append is repeated inside pyiceberg without a look at the
    table, so that two processes could add the same file twice. An overwrite is refused.
    """
    io = transaction._table.io  # noqa: SLF001 - a transaction has no other way to its files
    return _MergingOverwrite(Operation.OVERWRITE, transaction, io, snapshot_properties=note)


def statistics(footer: pq.FileMetaData, metadata: TableMetadata) -> dict[str, Any]:
    """Return the part of a data file's entry that comes from its footer."""
    schema = metadata.schema()
    found = data_file_statistics_from_parquet_metadata(
        parquet_metadata=footer,
        stats_columns=compute_statistics_plan(schema, metadata.properties),
        parquet_column_mapping=parquet_path_to_id_mapping(schema),
    )
    return found.to_serialized_dict()


def list_location(io: FileIO, location: str) -> Iterator[tuple[str, datetime]]:
    """Yield the URI of each file below a location, and the time of its last change.

    It yields nothing if the files are reached in another way than through pyarrow.
    """
    if not isinstance(io, PyArrowFileIO):
        return
    scheme, place, path = PyArrowFileIO.parse_location(location)
    selector = FileSelector(path, recursive=True, allow_not_found=True)
    for found in io.fs_by_scheme(scheme, place).get_file_info(selector):
        if found.is_file:
            yield location + found.path.removeprefix(path), found.mtime
