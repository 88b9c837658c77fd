"""How tables are written as Parquet: zstd, and dictionaries only where values repeat.

A dictionary of ids costs time and makes the file larger. Which columns have one is read from the rows, so the same rows
give the same bytes.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pismo_lake.storage.encryption import LakeKey

_LOOKED_AT = 1024
_INDEX_DICTIONARIES = ["reason", "org_id", "domain", "event_type", "schema_version"]
_HASHES = ("dedupe_key", "content_hash")


def parquet_bytes(table: pa.Table, key: LakeKey | None) -> memoryview:
    """A table of the lake, the same bytes for the same rows unless they are encrypted."""
    sink = io.BytesIO()
    secret = key.writing() if key else None
    repeating = list(_repeating(table.slice(0, _LOOKED_AT)))
    # levels above 1 take a fifth longer and gain nothing here
    pq.write_table(
        table, sink, compression="zstd", compression_level=1, use_dictionary=repeating, encryption_properties=secret
    )
    return sink.getbuffer()


def index_bytes(table: pa.Table) -> bytes:
    """A file's index: hashes do not compress, and nobody asks for its statistics."""
    sink = io.BytesIO()
    codecs = {name: "none" if name in _HASHES else "zstd" for name in table.schema.names}
    pq.write_table(table, sink, compression=codecs, use_dictionary=_INDEX_DICTIONARIES, write_statistics=False)
    return sink.getvalue()


def _repeating(sample: pa.Table) -> Iterator[str]:
    """Parquet's names of the columns whose values repeat, or that are lists."""
    for field, column in zip(sample.schema, sample.columns, strict=True):
        if pa.types.is_nested(field.type):
            yield from _leaves(field.name, field.type)
        elif 2 * pc.count_distinct(column, mode="only_valid").as_py() <= len(column) - column.null_count:
            yield field.name


def _leaves(name: str, kind: pa.DataType) -> Iterator[str]:
    if pa.types.is_list(kind):
        yield from _leaves(f"{name}.list.element", kind.value_type)
    elif pa.types.is_struct(kind):
        for child in kind:
            yield from _leaves(f"{name}.{child.name}", child.type)
    else:
        yield name
