"""A raw file's index as it is kept: made with the contracts of the ledger, which learn from it, and its bytes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pismo_lake import parquet_out, storage
from pismo_lake.decode import Plain, uncompress
from pismo_lake.errors import FramingError, LandedFileError, PismoError
from pismo_lake.index import IndexedFile, index_file
from pismo_lake.kept_columns import keep
from pismo_lake.layout import index_path

if TYPE_CHECKING:
    import pyarrow as pa

    from pismo_lake.contract_store import ContractStore
    from pismo_lake.raw_ledger import RawFile
    from pismo_lake.settings import LakeSettings

_RELEARN = 50
NOTE = b"pismo_lake"


@dataclass(frozen=True, slots=True)
class MadeIndex:
    """A file's index, its uncompressed size in bytes and its form; `problem` says why it could not be read.

    Where it is `written`, the index file stands in landing and `found` has its totals alone.
    """

    found: IndexedFile
    plain_size: int
    framing: str
    problem: str | None = None
    written: bool = False


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


def make_index(raw: bytes, name: str, contracts: ContractStore) -> MadeIndex:
    """Index a raw file and save what its events taught the contracts; a file that is not readable has no events."""
    try:
        plain = uncompress(raw, name)
        found = _learn(plain, name, contracts)
    except FramingError as error:
        return MadeIndex(index_file(Plain(b"", "unreadable"), contracts.get), 0, "unreadable", str(error))
    return MadeIndex(found, len(plain.data), plain.framing)


def _learn(plain: Plain, name: str, contracts: ContractStore) -> IndexedFile:
    for _ in range(_RELEARN):
        indexed = index_file(plain, contracts.get)
        if contracts.save(name):
            return indexed
    msg = f"contracts kept changing under {name}"
    raise PismoError(msg)


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
