"""Read landed raw files again, after they were indexed: only if they are still the ones that were landed."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from pismo_lake import storage
from pismo_lake.decode.container import uncompress
from pismo_lake.errors import FramingError
from pismo_lake.index.files import altered, gone, read_index
from pismo_lake.index.keys import content_hash

if TYPE_CHECKING:
    from mmap import mmap

    from pismo_lake.ledger.engine import FileRecord


def landed_bytes(record: FileRecord) -> bytes:
    """Read a landed file; `LandedFileError` if it is gone, or is neither as it was landed nor blanked by an erasure."""
    try:
        data = storage.read_bytes(record.raw_uri)
    except FileNotFoundError:
        raise gone(record) from None
    if not as_landed(record, data):
        raise altered(record)
    return data


def landed_map(record: FileRecord) -> mmap:
    """Map a local file that is not compressed and not empty; errors as `landed_bytes`."""
    try:
        data = storage.mapped(record.raw_uri)
    except (FileNotFoundError, ValueError):
        # ValueError: an empty file cannot be mapped
        raise gone(record) from None
    if not as_landed(record, data):
        raise altered(record)
    return data


def event_bytes(record: FileRecord, offset: int, length: int) -> bytes:
    """Read a byte range of a landed file's uncompressed content; errors as `landed_bytes`."""
    return uncompress(landed_bytes(record), record.name, record.plain_size).data[offset : offset + length]


def as_landed(record: FileRecord, data: bytes | mmap) -> bool:
    """Whether bytes have the digest that was recorded, or differ by erased events alone."""
    return hashlib.sha256(data).hexdigest() == record.sha256 or _only_blanked(record, bytes(data))


def _only_blanked(record: FileRecord, data: bytes) -> bool:
    """Whether each event is as it was indexed or all blank, as an erasure leaves it, and some event is blank.

    An erasure writes the file anew, so the file's own digest does not hold any more: those of its events do.
    """
    try:
        plain = uncompress(data, record.name, record.plain_size).data
    except FramingError:
        return False
    index = read_index(record, ["offset", "length", "reason", "content_hash"])
    events = index.filter(pc.is_null(index.column("reason"))).select(["offset", "length", "content_hash"])
    blanked = 0
    for start, length, known in zip(*(column.to_pylist() for column in events.columns), strict=True):
        event = plain[start : start + length]
        if content_hash(event) != known:
            if len(event) != length or event.strip(b" "):
                return False
            blanked += 1
    return blanked > 0 and len(plain) == record.plain_size
