"""Write tables as Parquet: zstd, and dictionaries only if values repeat.

A dictionary of ids costs time and makes the file larger. The rows decide which columns have one, so the same rows give
the same bytes.
"""

from __future__ import annotations

import hashlib
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
_HASHES = ("dedupe_key", "content_hash", "content_xxh3")
DIGEST = b"pismo_lake.sha256"
# the digest is of the file with these zeros in its place
_NO_DIGEST = b"0" * 64
_LENGTH = bytes([len(_NO_DIGEST)])


def parquet_bytes(table: pa.Table, key: LakeKey | None) -> memoryview:
    """Return a table as Parquet bytes; without encryption, equal rows give equal bytes."""
    sink = io.BytesIO()
    secret = key.writing() if key else None
    repeating = list(_list_repeating(table.slice(0, _LOOKED_AT)))
    # levels above 1 take a fifth longer, without smaller files here
    pq.write_table(
        table, sink, compression="zstd", compression_level=1, use_dictionary=repeating, encryption_properties=secret
    )
    return sink.getbuffer()


def index_bytes(table: pa.Table) -> bytes:
    """Write a file's index with a digest of all its bytes.

    Hashes do not compress, and statistics are not needed.
    """
    sink = io.BytesIO()
    codecs = {name: "none" if name in _HASHES else "zstd" for name in table.schema.names}
    options = {"compression": codecs, "use_dictionary": _INDEX_DICTIONARIES, "write_statistics": False}
    with pq.ParquetWriter(sink, table.schema, **options) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({DIGEST: _NO_DIGEST})
    content = sink.getvalue()
    at = _digest_at(content)
    digest = hashlib.sha256(content).hexdigest().encode()
    return content[:at] + digest + content[at + len(digest) :]


def digest_holds(content: bytes) -> bool | None:
    """Return whether an index file is unchanged, by the digest in its footer; None without one."""
    at = _digest_at(content)
    if at < 0:
        return None
    end = at + len(_NO_DIGEST)
    view = memoryview(content)
    digest = hashlib.sha256(view[:at])
    digest.update(_NO_DIGEST)
    digest.update(view[end:])
    return digest.hexdigest().encode() == content[at:end]


def _digest_at(content: bytes) -> int:
    """Return the place of the digest in the footer; -1 if there is none."""
    begin = max(len(content) - 8 - int.from_bytes(content[-8:-4], "little"), 0)
    found = content.rfind(DIGEST, begin)
    # between a key and its value are the number of a field and the length of the value
    return content.find(_LENGTH, found) + len(_LENGTH) if found >= 0 else -1


def _list_repeating(sample: pa.Table) -> Iterator[str]:
    """Yield Parquet's names of the columns whose values repeat, or that are lists."""
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
