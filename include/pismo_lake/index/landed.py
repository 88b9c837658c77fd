"""Read landed raw files again after indexing, only if they are unchanged."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from pismo_lake import storage
from pismo_lake.decode.container import MAX_PLAIN_BYTES, uncompress
from pismo_lake.errors import FramingError
from pismo_lake.index.files import changed_error, missing_error, read_index
from pismo_lake.index.keys import is_content

if TYPE_CHECKING:
    from mmap import mmap

    import numpy as np
    from numpy.typing import NDArray

    from pismo_lake.ledger import FileRecord


_HASHED = ["offset", "length", "content_hash", "content_xxh3"]


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


def usable_events(record: FileRecord, rows: NDArray[np.int64]) -> list[bytes]:
    """Read some of the usable events of a landed file, by their numbers; errors as `landed_bytes`."""
    index = read_index(record, ["offset", "length", "reason"])
    events = index.filter(pc.is_null(index.column("reason"))).take(pa.array(rows))
    data = uncompress(landed_bytes(record), record.name, record.plain_size).data
    spans = zip(events.column("offset").to_pylist(), events.column("length").to_pylist(), strict=True)
    return [data[start : start + length] for start, length in spans]


def is_as_landed(record: FileRecord, data: bytes | mmap) -> bool:
    """Return whether bytes have the recorded digest, or differ only by erased events."""
    if hashlib.sha256(data).hexdigest() == record.sha256:
        return True
    return is_only_blanked(bytes(data), record.name, read_index(record, ["reason", *_HASHED]), record.plain_size)


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
    events = index.select(_HASHED).filter(pc.is_null(index.column("reason")))
    blanked = 0
    for start, length, earlier, xxh3 in zip(*(column.to_pylist() for column in events.columns), strict=True):
        event = plain[start : start + length]
        if not is_content(event, earlier, xxh3):
            if len(event) != length or event.strip(b" "):
                return False
            blanked += 1
    return blanked > 0 and size in (None, len(plain))
