"""A raw file's index as it is kept: made with the contracts of the ledger, which learn from it, and its bytes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from pismo_lake import storage
from pismo_lake.decode.container import uncompress
from pismo_lake.errors import LakeError, LandedFileError
from pismo_lake.index.parsed import keep
from pismo_lake.index.table import SCHEMA, IndexedFile
from pismo_lake.paths import index_path
from pismo_lake.storage import parquet as parquet_out

if TYPE_CHECKING:
    from pismo_lake.ledger import FileRecord
    from pismo_lake.ledger.raw_files import RawFile
    from pismo_lake.settings.lake import LakeSettings

NOTE = b"pismo_lake"


@dataclass(frozen=True, slots=True)
class Raw:
    """A raw file's bytes and their SHA-256."""

    data: bytes
    sha256: str


def read_raw(file: RawFile) -> Raw:
    """A raw file as it stands in landing; `LandedFileError` where it is gone or is not what was landed."""
    try:
        data = storage.read_bytes(file.raw_uri)
    except FileNotFoundError:
        msg = f"{file.name} is gone from landing; ask for its object key again, with force"
        raise LandedFileError(msg, key=file.key) from None
    digest = hashlib.sha256(data).hexdigest()
    if len(data) != file.size or digest != (file.sha256 or digest):
        msg = f"{file.name} is not what was landed; remove it from landing and ask for its object key again, with force"
        raise LandedFileError(msg, key=file.key)
    return Raw(data, digest)


def index_uri_of(settings: LakeSettings, file: RawFile) -> str:
    """Where a landed file's index stands."""
    return storage.join(settings.landing, index_path(settings.delivery, file.name))


def write_index(settings: LakeSettings, file: RawFile, hour: str, found: IndexedFile, sha256: str) -> None:
    """Write a file's index, and keep what was parsed for it."""
    storage.write_atomic(index_uri_of(settings, file), index_bytes(found.table, file, hour))
    keep(settings, file.name, sha256, found.parsed)


def index_bytes(table: pa.Table, file: RawFile, hour: str) -> bytes:
    """An index file, with a note of what the raw bytes and their path do not say for sure, for a ledger's rebuild."""
    note = {"name": file.name, "key": file.key, "etag": file.etag or "", "publish_hour": hour}
    note |= {"published_at": file.published_at} if file.published_at else {}
    return parquet_out.index_bytes(table.replace_schema_metadata({NOTE: json.dumps(note)}))


def read_index(record: FileRecord, columns: list[str] | None = None) -> pa.Table:
    """A landed file's index table."""
    return read_index_at(str(record.index_uri), columns)


def read_index_at(uri: str, columns: list[str] | None = None) -> pa.Table:
    """The index table at a URI; null in a column that it was written without."""
    # not the dataset reader: its threads outlive the process's end now and then
    try:
        file = pq.ParquetFile(pa.BufferReader(storage.read_bytes(uri)))
    except pa.ArrowInvalid as error:
        msg = f"the index {uri} is damaged: remove it, then ask for its object key again, with force"
        raise LakeError(msg) from error
    wanted = SCHEMA.names if columns is None else columns
    table = file.read([name for name in wanted if name in file.schema_arrow.names], use_threads=False)
    for name in wanted:
        if name not in table.schema.names:
            table = table.append_column(SCHEMA.field(name), pa.nulls(len(table), SCHEMA.field(name).type))
    return table.select(wanted)


GZIP = b"\x1f\x8b"


def event_bytes(record: FileRecord, offset: int, length: int) -> bytes:
    """A byte range of a landed file's uncompressed content."""
    uri = record.raw_uri
    if storage.read_range(uri, 0, len(GZIP)) == GZIP:
        return uncompress(storage.read_bytes(uri), record.name, record.plain_size).data[offset : offset + length]
    return storage.read_range(uri, offset, offset + length)
