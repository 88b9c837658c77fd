"""A raw file's index as it is kept: made with the contracts of the ledger, which learn from it, and its bytes."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from pismo_lake.decode import Plain, uncompress
from pismo_lake.errors import FramingError, PismoError
from pismo_lake.index import IndexedFile, index_file

if TYPE_CHECKING:
    import pyarrow as pa

    from pismo_lake.contract_store import ContractStore
    from pismo_lake.landing import RemoteFile
    from pismo_lake.layout import PublishHour

_RELEARN = 50
NOTE = b"pismo_lake"


@dataclass(frozen=True, slots=True)
class MadeIndex:
    """A file's index, its uncompressed size in bytes and its form; `problem` says why it could not be read.

    `written` are the bytes of the index file where they are there already.
    """

    found: IndexedFile
    plain_size: int
    framing: str
    problem: str | None = None
    written: bytes | None = None


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


def published_at(file: RemoteFile) -> str | None:
    """When the source says that the file came to be, UTC."""
    return file.last_modified.astimezone(UTC).isoformat(timespec="seconds") if file.last_modified else None


def index_bytes(table: pa.Table, name: str, file: RemoteFile, hour: PublishHour) -> bytes:
    """An index file, with a note of what the raw bytes and their path do not say for sure, for a ledger's rebuild."""
    note = {"name": name, "key": file.key, "etag": file.etag or "", "publish_hour": str(hour)}
    published = published_at(file)
    note |= {"published_at": published} if published else {}
    sink = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({NOTE: json.dumps(note)}), sink, compression="zstd")
    return sink.getvalue()
