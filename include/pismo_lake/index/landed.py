"""Read landed raw files again after indexing, only if they are unchanged."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from pismo_lake import storage
from pismo_lake.decode.container import MAX_PLAIN_BYTES, uncompress
from pismo_lake.errors import FramingError
from pismo_lake.index.files import changed_error, missing_error, read_index
from pismo_lake.index.keys import content_hash

if TYPE_CHECKING:
    from mmap import mmap

    import pyarrow as pa

    from pismo_lake.ledger import FileRecord


_HASHED = ["offset", "length", "reason", "content_hash"]


def landed_bytes(record: FileRecord) -> bytes:
    """Read a landed file.

    Raises:
        LandedFileError: it is gone, or it has changed in another way than by an erasure.
    """
    try:
        data = storage.read_bytes(record.raw_uri)
    except FileNotFoundError:
        raise missing_error(record) from None
    if not is_as_landed(record, data):
        raise changed_error(record)
    return data


def landed_map(record: FileRecord) -> mmap:
    """Map a local file that is not compressed and not empty; errors as `landed_bytes`."""
    try:
        data = storage.map_file(record.raw_uri)
    except (FileNotFoundError, ValueError):
        # ValueError: an empty file cannot be mapped
        raise missing_error(record) from None
    if not is_as_landed(record, data):
        raise changed_error(record)
    return data


def event_bytes(record: FileRecord, offset: int, length: int) -> bytes:
    """Read a byte range of a landed file's uncompressed content; errors as `landed_bytes`."""
    return uncompress(landed_bytes(record), record.name, record.plain_size).data[offset : offset + length]


def is_as_landed(record: FileRecord, data: bytes | mmap) -> bool:
    """Return whether bytes have the recorded digest, or differ only by erased events."""
    if hashlib.sha256(data).hexdigest() == record.sha256:
        return True
    return is_only_blanked(bytes(data), record.name, read_index(record, _HASHED), record.plain_size)


def is_only_blanked(data: bytes, name: str, index: pa.Table, size: int | None = None) -> bool:
    """Return whether an erasure alone explains how the bytes differ from their index.

    Then each event is unchanged or all blank, and at least one is blank. An erasure writes the file again, so the
    digest of the file does not match any more, but those of its events do. `size` is the number of uncompressed bytes,
    if known.
    """
    try:
        plain = uncompress(data, name, size or MAX_PLAIN_BYTES).data
    except FramingError:
        return False
    events = index.filter(pc.is_null(index.column("reason"))).select(["offset", "length", "content_hash"])
    blanked = 0
    for start, length, known in zip(*(column.to_pylist() for column in events.columns), strict=True):
        event = plain[start : start + length]
        if content_hash(event) != known:
            if len(event) != length or event.strip(b" "):
                return False
            blanked += 1
    return blanked > 0 and size in (None, len(plain))
