"""Blank the bytes of erased events in a landed file, and read a file that is blanked.

Blanks are allowed between events in each form of file. So the offsets of all other events stay the same. The size of
the file stays the same too, if that is possible: a file of another size would be fetched again.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pismo_lake import storage
from pismo_lake.decode.container import GZIP, MAX_PLAIN_BYTES, uncompress
from pismo_lake.errors import FramingError, LandedFileError
from pismo_lake.index.files import NOTE, index_uri_of, read_index, read_index_at, read_note
from pismo_lake.index.landed import is_only_blanked, landed_bytes
from pismo_lake.index.table import SCHEMA
from pismo_lake.ledger import FileLedger, LakeFiles
from pismo_lake.ledger.erasures import erased_keys, erasure_count, refuse_further
from pismo_lake.storage import parquet as parquet_out

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from collections.abc import Set as AbstractSet

    from sqlalchemy import Connection

    from pismo_lake.ledger import FileRecord, Ledger
    from pismo_lake.ledger.raw_files import RawFile
    from pismo_lake.settings.lake import LakeSettings

DAMAGED = b"damaged bytes, erased"
"""The mark in the place of bytes that could not be decompressed and may have held an erased event."""
_GZIP_WINDOW = 31


def blank_events(record: FileRecord, keys: AbstractSet[bytes]) -> bool:
    """Overwrite events with blanks in their raw file; return whether the file, or its index, was written.

    `keys` are dedupe keys. Nothing needs the correlation ids of the events any more: the index loses them too.

    Raises:
        LandedFileError: The file is gone, or is not the file that was landed.
    """
    table = read_index(record, ["offset", "length", "dedupe_key", "cid"])
    rows = table.filter(_match_keys(table, keys)).to_pylist()
    raw = landed_bytes(record)
    plain = uncompress(raw, record.name, record.plain_size or MAX_PLAIN_BYTES)
    data = bytearray(plain.data)
    for row in rows:
        data[row["offset"] : row["offset"] + row["length"]] = b" " * row["length"]
    lost = DAMAGED if plain.lost and rows else plain.lost
    changed = data != plain.data or lost != plain.lost
    if changed:
        content = _pack(bytes(data), lost, record.size) if raw.startswith(GZIP) else bytes(data)
        storage.write_atomic(record.raw_uri, content)
    named = any(row["cid"] is not None for row in rows)
    if named:
        _clear_index(record, keys)
    return changed or named


class Blanker:
    """Blank the events of a lake that were erased with their bytes, also those that are erased meanwhile.

    Two processes may blank the same file, each for its own erasure. The later write may lack the blanks of the earlier
    one. So a file that was written is blanked again if there are further erasures by then.
    """

    def __init__(self, ledger: Ledger, lake: str) -> None:
        self._ledger, self._lake = ledger, lake
        self._count, self._keys = -1, set[bytes]()

    def blank(self, record: FileRecord) -> bool:
        """Blank the erased events in a landed file; return whether something was written."""
        written = False
        while self._refresh() or not written:
            if not (self._keys and blank_events(record, self._keys)):
                return written
            written = True
        return written

    def refuse_further(self, connection: Connection) -> None:
        """Raise `ErasedMeanwhileError` if events were erased since the last `blank`."""
        refuse_further(connection, self._lake, self._count)

    def _refresh(self) -> bool:
        """Read the keys of erased events again if there are others; return whether there are."""
        count = erasure_count(self._ledger, self._lake)
        if count == self._count:
            return False
        self._count, self._keys = count, erased_keys(self._ledger, self._lake, raw=True)
        return True


def _clear_index(record: FileRecord, keys: AbstractSet[bytes]) -> None:
    """Remove the correlation ids of events from a file's index."""
    uri = str(record.index_uri)
    content = storage.read_bytes(uri)
    metadata = pq.read_schema(pa.BufferReader(content)).metadata
    table = read_index_at(uri)
    cleared = pc.if_else(_match_keys(table, keys), pa.scalar(None, pa.string()), table.column("cid"))
    table = table.set_column(table.column_names.index("cid"), table.schema.field("cid"), cleared)
    storage.write_atomic(
        uri, parquet_out.index_bytes(table.cast(SCHEMA).replace_schema_metadata(_own_metadata(metadata)))
    )


def _own_metadata(metadata: dict[bytes, bytes] | None) -> dict[bytes, bytes]:
    """Return the note of an index, without the entries that the writer of Parquet adds."""
    return {name: value for name, value in (metadata or {}).items() if name == NOTE}


def select_holders(records: Iterable[FileRecord], keys: AbstractSet[bytes]) -> Iterator[FileRecord]:
    """Yield the landed files that hold a copy of one of these events."""
    for record in records:
        if record.events and pc.any(_match_keys(read_index(record, ["dedupe_key"]), keys)).as_py():
            yield record


def mark_holders(settings: LakeSettings, ledger: Ledger, keys: AbstractSet[bytes]) -> None:
    """Mark units with a copy of these events as not built, so that the next run builds them."""
    if not keys:
        return
    own = (record for record in LakeFiles(ledger, settings.lake).every() if record.delivery == settings.delivery)
    for hour in sorted({record.publish_hour for record in select_holders(own, keys)}):
        FileLedger(ledger, settings.lake, settings.delivery).mark_unbuilt(hour)


@dataclass(frozen=True, slots=True)
class Blanked:
    """A blanked raw file: its bytes, the SHA-256 at landing, index rows of blanked events."""

    data: bytes
    sha256: str
    rows: pa.Table


def read_blanked(settings: LakeSettings, file: RawFile) -> Blanked | None:
    """Return a raw file that differs from the landed one by blanked events alone, or None."""
    uri = index_uri_of(settings, file)
    try:
        data, note = storage.read_bytes(file.raw_uri), read_note(uri)
        rows = read_index_at(uri)
        if not note.get("sha256") or not is_only_blanked(data, file.name, rows):
            return None
        plain = uncompress(data, file.name, settings.max_plain_bytes).data
    except (FileNotFoundError, LandedFileError, FramingError):
        return None
    starts, lengths = (rows.column(name).to_pylist() for name in ("offset", "length"))
    blank = [not plain[start : start + length].strip(b" ") for start, length in zip(starts, lengths, strict=True)]
    erased = pc.and_(pa.array(blank, pa.bool_()), pc.is_null(rows.column("reason").combine_chunks()))
    return Blanked(data, note["sha256"], rows.filter(erased))


def _match_keys(table: pa.Table, keys: AbstractSet[bytes]) -> pa.ChunkedArray:
    return pc.is_in(table.column("dedupe_key"), pa.array(sorted(keys), pa.binary(16)))


def _pack(data: bytes, lost: bytes, size: int) -> bytes:
    """Return gzip bytes of a size, unless they are longer.

    Readers ignore zeros after the end.
    """
    packer = zlib.compressobj(9, zlib.DEFLATED, _GZIP_WINDOW)
    content = packer.compress(data) + packer.flush() + lost
    return content + bytes(max(size - len(content), 0))
