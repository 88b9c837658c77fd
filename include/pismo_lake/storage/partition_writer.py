"""Write a few large Parquet files from many small tables: one writer for each partition.

Files are spooled to disk, and end at a size.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from pathlib import Path

    from pismo_lake.storage.encryption import LakeKey

_ROW_GROUP_BYTES = 16 << 20
_OFFSET = 4


@dataclass(slots=True)
class _Partition:
    tables: list[pa.Table] = field(default_factory=list)
    waiting: int = 0
    writer: pq.ParquetWriter | None = None
    files: list[Path] = field(default_factory=list)
    rows: int = 0


def content_bytes(values: pa.Array | pa.ChunkedArray) -> int:
    """Return the size of values in memory, by the values alone.

    `nbytes` also depends on how they were made: a column without nulls may have a bitmap that says so.
    """
    if pa.types.is_list(values.type):
        return _OFFSET * len(values) + content_bytes(pc.list_flatten(values))
    if pa.types.is_struct(values.type):
        return sum(map(content_bytes, values.flatten()))
    if pa.types.is_string(values.type) or pa.types.is_binary(values.type):
        return _OFFSET * len(values) + (pc.sum(pc.binary_length(values)).as_py() or 0)
    bits: int = values.type.bit_width
    return len(values) * bits // 8


class PartitionFiles:
    """Takes tables folder by folder in order; `finish` returns each folder's files.

    The tables of a partition wait in memory until they are enough for a row group. So the files of a partition depend
    only on its own tables and their order, and not on those of other partitions, which another process may write.
    """

    def __init__(self, spool: Path, target_bytes: int, key: LakeKey | None = None) -> None:
        self._spool, self._target, self._key = spool, target_bytes, key
        self._partitions: dict[str, _Partition] = defaultdict(_Partition)
        spool.mkdir(parents=True, exist_ok=True)

    def add(self, folder: str, table: pa.Table) -> None:
        """Append a table to a folder; every table of a folder has the same schema."""
        partition = self._partitions[folder]
        size = sum(map(content_bytes, table.columns))
        partition.tables.append(table)
        partition.waiting += size
        partition.rows += table.num_rows
        if partition.waiting >= _ROW_GROUP_BYTES:
            self._flush(folder)

    def finish(self) -> dict[str, tuple[list[Path], int]]:
        """Write the waiting tables; return (files in order, rows) by folder."""
        for folder in sorted(self._partitions):
            self._flush(folder)
            self._roll(self._partitions[folder])
        return {folder: (item.files, item.rows) for folder, item in sorted(self._partitions.items())}

    def _flush(self, folder: str) -> None:
        partition = self._partitions[folder]
        if not partition.tables:
            return
        table = pa.concat_tables(partition.tables)
        partition.tables.clear()
        partition.waiting = 0
        if partition.writer is None:
            place = list(self._partitions).index(folder)
            path = self._spool / f"{place:05d}-{len(partition.files):04d}.parquet"
            partition.files.append(path)
            secret = self._key.writing() if self._key else None
            partition.writer = pq.ParquetWriter(
                path, table.schema, compression="zstd", compression_level=3, encryption_properties=secret
            )
        partition.writer.write_table(table, row_group_size=table.num_rows)
        if partition.files[-1].stat().st_size >= self._target:
            self._roll(partition)

    def _roll(self, partition: _Partition) -> None:
        if partition.writer is not None:
            partition.writer.close()
            partition.writer = None
