"""Write and read the index of a raw file, and read the raw file's bytes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from pismo_lake import storage
from pismo_lake.errors import IndexGoneError, LandedFileError, RawChangedError
from pismo_lake.index.parsed import keep
from pismo_lake.index.table import SCHEMA, IndexedFile
from pismo_lake.paths import index_path, name_in_landing
from pismo_lake.storage import parquet as parquet_out
from pismo_lake.storage.errors import is_of_content

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
    """Read a raw file in landing.

    Raises:
        LandedFileError: the file is gone; `RawChangedError` if its bytes are not those that were landed.
    """
    try:
        data = storage.read_bytes(file.raw_uri)
    except FileNotFoundError:
        raise missing_error(file) from None
    digest = hashlib.sha256(data).hexdigest()
    if len(data) != file.size or digest != (file.sha256 or digest):
        raise changed_error(file)
    return Raw(data, digest)


def missing_error(file: RawFile | FileRecord) -> LandedFileError:
    """Return the error for a raw file that is not in landing any more."""
    msg = f"{file.name} is gone from landing; ask for its object key again, with force"
    return LandedFileError(msg, key=file.key, name=file.name)


def changed_error(file: RawFile | FileRecord) -> RawChangedError:
    """Return the error for a raw file whose bytes are not those that were landed."""
    msg = f"{file.name} differs from the file that was landed; remove it, and ask for its object key again, with force"
    return RawChangedError(msg, key=file.key, name=file.name)


def index_uri_of(settings: LakeSettings, file: RawFile) -> str:
    """Return the URI of a landed file's index."""
    name = name_in_landing(file.raw_uri, settings.delivery, file.name)
    return storage.join(settings.landing, index_path(settings.delivery, name))


def write_index(settings: LakeSettings, file: RawFile, hour: str, found: IndexedFile, sha256: str) -> None:
    """Write a file's index, and keep its parsed payloads."""
    storage.write_atomic(index_uri_of(settings, file), index_bytes(found.table, file, hour, sha256))
    keep(settings, file.name, sha256, found.parsed, found.left)


def index_bytes(table: pa.Table, file: RawFile, hour: str, sha256: str) -> bytes:
    """Return an index file; its note holds facts that the raw file's path does not tell.

    A rebuild of the ledger needs them. The note also says that the file has a digest, so that one flipped bit cannot
    hide both.
    """
    note = {"name": file.name, "key": file.key, "etag": file.etag or "", "publish_hour": hour}
    note |= {"published_at": file.published_at} if file.published_at else {}
    note |= {"sha256": sha256, "digest": "yes"}
    return parquet_out.index_bytes(table.replace_schema_metadata({NOTE: json.dumps(note)}))


def read_index(record: FileRecord, columns: list[str] | None = None) -> pa.Table:
    """Read a landed file's index table.

    Raises:
        LandedFileError: the index is damaged; `IndexGoneError` if it is not there.
    """
    try:
        return read_index_at(str(record.index_uri), columns)
    except LandedFileError as error:
        raise LandedFileError(str(error), key=record.key, name=record.name) from error.__cause__
    except FileNotFoundError as error:
        msg = f"the index {record.index_uri} is gone; ask for its object key again, with force"
        raise IndexGoneError(msg, key=record.key, name=record.name) from error


def read_index_at(uri: str, columns: list[str] | None = None) -> pa.Table:
    """Read the index table at a URI; a column that the file lacks is null.

    An index of an earlier version has no digest.

    Raises:
        LandedFileError: its bytes differ from the bytes that were written.
    """
    content = storage.read_bytes(uri)
    wanted = SCHEMA.names if columns is None else columns
    try:
        holds = parquet_out.digest_holds(content)
        if holds is False:
            raise _damage_error(uri)
        # not the dataset reader: now and then its threads outlive the end of the process
        file = pq.ParquetFile(pa.BufferReader(content))
        if holds is None and b'"digest"' in (file.schema_arrow.metadata or {}).get(NOTE, b""):
            raise _damage_error(uri)
        table = file.read([name for name in wanted if name in file.schema_arrow.names], use_threads=False)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damage_error(uri) from error
    for name in wanted:
        if name not in table.schema.names:
            table = table.append_column(SCHEMA.field(name), pa.nulls(len(table), SCHEMA.field(name).type))
    return table.select(wanted)


def read_note(uri: str) -> dict[str, str]:
    """Return the note in an index file; nothing if it has none or is damaged.

    Raises:
        FileNotFoundError: there is no such file.
    """
    content = storage.read_bytes(uri)
    try:
        metadata = pq.read_schema(pa.BufferReader(content)).metadata or {}
        return dict(json.loads(metadata[NOTE]))
    except Exception as error:
        if not is_of_content(error):
            raise
        return {}


def _damage_error(uri: str) -> LandedFileError:
    msg = f"the index {uri} is damaged: remove it, then ask for its object key again, with force"
    return LandedFileError(msg, key="")
