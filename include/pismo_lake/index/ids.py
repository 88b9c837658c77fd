"""Write and search the sorted event ids of a closed day, in one Parquet file.

A search reads a footer and one row group, not the day. The file is in `<lake>/_ids/`, which dataset readers ignore. It
is one of the day's outputs: written, recorded and replaced with them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pismo_lake import storage
from pismo_lake.index.files import read_index
from pismo_lake.paths import IDS
from pismo_lake.storage.errors import sound

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pismo_lake.ledger import FileRecord

SCHEMA = pa.schema(
    [
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
    ]
)
_EVENTS_AT_ONCE = 2_000_000
_ROW_GROUP = 32_768
_ROWS_AT_ONCE = 8 * _ROW_GROUP
_SAMPLED_FILES = 16


def ids_folder(publish_date: str) -> str:
    """Return the folder of a day's id index, relative to the lake."""
    return f"{IDS}/publish_date={publish_date}"


def write_ids(files: Sequence[FileRecord], path: Path) -> int:
    """Write the sorted ids of files to a local path, and return their number.

    Memory holds two million ids at a time.
    """
    total = sum(record.events + record.rejects for record in files)
    edges = _edges(files, math.ceil(total / _EVENTS_AT_ONCE))
    # number the names in order: numbers need a fraction of their memory
    ordered = sorted(files, key=lambda record: record.name)
    names = pa.array([record.name for record in ordered], pa.string())
    written = 0
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        for low, high in zip([None, *edges], [*edges, None], strict=True):
            tables = [_select_between(record, number, low, high) for number, record in enumerate(ordered)]
            if not tables:
                continue
            table = pa.concat_tables(tables)
            del tables
            table = table.sort_by([(column, "ascending") for column in table.column_names])
            for start in range(0, table.num_rows, _ROWS_AT_ONCE):
                some = table.slice(start, _ROWS_AT_ONCE).combine_chunks()
                named = some.set_column(1, SCHEMA.field("name"), names.take(some.column("number").combine_chunks()))
                writer.write_table(named.cast(SCHEMA), row_group_size=_ROW_GROUP)
            written += table.num_rows
    return written


def _edges(files: Sequence[FileRecord], parts: int) -> list[str]:
    """Return ids that split all ids into ranges of about equal size, estimated from some files."""
    if parts < 2:
        return []
    step = max(1, len(files) // _SAMPLED_FILES)
    sample = np.sort(np.concatenate([_ids(record).column("event_id").to_numpy() for record in files[::step]]))
    return sorted({str(sample[len(sample) * place // parts]) for place in range(1, parts)}) if len(sample) else []


def _ids(record: FileRecord) -> pa.Table:
    index = read_index(record, ["event_id", "offset"])
    return index.filter(pc.is_valid(index.column("event_id")))


def _select_between(record: FileRecord, number: int, low: str | None, high: str | None) -> pa.Table:
    table = _ids(record)
    ids = table.column("event_id")
    if low is not None:
        table = table.filter(pc.greater_equal(ids, low))
    if high is not None:
        table = table.filter(pc.less(table.column("event_id"), high))
    numbers = pa.repeat(pa.scalar(number, pa.int32()), table.num_rows)
    columns = {"event_id": table.column("event_id"), "number": numbers, "offset": table.column("offset")}
    return pa.table(columns)


def find_ids(uri: str, event_id: str) -> list[tuple[str, int]]:
    """Return (file name, offset) of every copy of an id in a day's index."""
    with storage.open_for_reading(uri) as source, sound(uri):
        file = pq.ParquetFile(source)
        groups = [group for group in range(file.num_row_groups) if may_hold(file, group, "event_id", event_id)]
        if not groups:
            return []
        table = file.read_row_groups(groups, use_threads=False)
    found = table.filter(pc.equal(table.column("event_id"), event_id))
    return list(zip(found.column("name").to_pylist(), found.column("offset").to_pylist(), strict=True))


def may_hold(file: pq.ParquetFile, group: int, column: str, value: Any) -> bool:
    """Return whether a row group's statistics allow a value; True if it has no statistics."""
    metadata = file.metadata.row_group(group)
    place = next(i for i in range(metadata.num_columns) if metadata.column(i).path_in_schema == column)
    statistics = metadata.column(place).statistics
    if statistics is None or not statistics.has_min_max:
        return True
    return bool(statistics.min <= value <= statistics.max)


def row_groups_with(file: pq.ParquetFile, column: str, value: Any) -> Iterator[int]:
    """Return the row groups that may hold a value."""
    return (group for group in range(file.num_row_groups) if may_hold(file, group, column, value))
