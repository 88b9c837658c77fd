"""Keep the payloads that were parsed for an index, and the few events that were not, until the file is built.

A build that finds them need neither parse nor read the raw file. Nothing depends on them: if they are missing or
damaged, or belong to other bytes, or have other columns than the contract, the build reads the raw file. They are
kept only if landing is a local folder, and inside that folder, so that no data is copied away from the raw file. The
build removes them.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import xxhash

from pismo_lake import storage
from pismo_lake.errors import LakeError
from pismo_lake.paths import COLUMNS, columns_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from pismo_lake.ledger import FileRecord
    from pismo_lake.settings.lake import LakeSettings

    Name = tuple[str, str]

_LOG = logging.getLogger(__name__)
# as long as the digest of earlier versions, which did not use XXH3
_DIGEST = 32
_LENGTH = 8
_WRITING = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
_READING = pa.ipc.IpcReadOptions(use_threads=False)


@dataclass(frozen=True, slots=True)
class ParsedRows:
    """Events of one type that fit their contract: ascending offsets, and a payload row for each."""

    domain: str
    name: str
    offsets: NDArray[np.int64]
    payload: pa.Table

    def at(self, offsets: NDArray[np.int64]) -> tuple[NDArray[np.int64], pa.Table]:
        """Return which of these offsets are here, by position, and their payloads in this order."""
        places = np.searchsorted(self.offsets, offsets).clip(max=len(self.offsets) - 1)
        here = np.flatnonzero(self.offsets[places] == offsets)
        whole = len(here) == len(self.offsets) and np.array_equal(places[here], np.arange(len(here)))
        return here, self.payload if whole else self.payload.take(pa.array(places[here]))


@dataclass(frozen=True, slots=True)
class Kept:
    """The kept parts of a raw file: payloads by domain and event name, and the bytes of other events by offset."""

    parsed: Mapping[Name, Sequence[ParsedRows]] = field(default_factory=dict)
    left: Mapping[int, bytes] = field(default_factory=dict)


def keep(
    settings: LakeSettings, name: str, sha256: str, parsed: Sequence[ParsedRows], left: pa.Table | None = None
) -> None:
    """Keep the parsed payloads of a raw file, and the events that are `left`; they need no sync to disk."""
    uri = _uri(settings, settings.delivery, name)
    if uri is None or not parsed:
        return
    # the first column is found by its position: an event's key may have any name
    pieces = [_to_stream(rows.payload.add_column(0, "offset", pa.array(rows.offsets))) for rows in parsed]
    streams = [[rows.domain, rows.name, piece.size] for rows, piece in zip(parsed, pieces, strict=True)]
    others = b"" if left is None else _to_stream(left).to_pybytes()
    # another lake may have other contracts for the same files
    about = {"lake": settings.lake, "sha256": sha256, "streams": streams, "left": len(others)}
    note = json.dumps(about).encode()
    content = b"".join([*pieces, others, note, len(note).to_bytes(_LENGTH, "big")])
    storage.write_atomic(uri, content + _digest(content), synced=False)


def _digest(content: bytes | memoryview) -> bytes:
    """Return a digest that shows damage; it does not protect against a writer of wrong content."""
    return xxhash.xxh3_128_digest(content).ljust(_DIGEST, b"\0")


def _to_stream(table: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=_WRITING) as stream:
        stream.write_table(table)
    return sink.getvalue()


def read_kept(settings: LakeSettings, file: FileRecord) -> Kept:
    """Return the kept parts of a raw file; none if they are in doubt."""
    uri = _uri(settings, file.delivery, file.name)
    try:
        content = memoryview(storage.read_bytes(uri) if uri else b"")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return Kept()
    end = len(content) - _DIGEST
    if end < _LENGTH or _digest(content[:end]) != content[end:]:
        return Kept()
    length = int.from_bytes(content[end - _LENGTH : end], "big")
    about = json.loads(bytes(content[end - _LENGTH - length : end - _LENGTH]))
    if about["sha256"] != file.sha256 or about["lake"] != settings.lake:
        return Kept()
    try:
        left = _read_left(content, about)
        return Kept(_read(content, about["streams"]), _by_offset(left))
    except (KeyError, ValueError, pa.ArrowException) as error:
        _LOG.warning(
            "cannot read the parsed payloads of %s (%s): the file is parsed again", file.name, type(error).__name__
        )
        return Kept()


def read_kept_tables(content: bytes) -> list[pa.Table]:
    """Return the payloads and the bytes of events in a kept file, of any lake and raw file.

    Raises:
        LakeError: They are damaged, so their content is unknown.
    """
    end = len(content) - _DIGEST
    try:
        length = int.from_bytes(content[end - _LENGTH : end], "big")
        about = json.loads(content[end - _LENGTH - length : end - _LENGTH])
        found = _read(memoryview(content), about["streams"])
        left = _read_left(memoryview(content), about)
    except (KeyError, ValueError, TypeError, pa.ArrowException) as error:
        msg = f"kept payloads are damaged ({type(error).__name__})"
        raise LakeError(msg) from error
    payloads = [rows.payload for each in found.values() for rows in each]
    return payloads if left is None else [*payloads, left.select(["raw"])]


def _read(content: memoryview, streams: Sequence[tuple[str, str, int]]) -> dict[Name, list[ParsedRows]]:
    found: dict[Name, list[ParsedRows]] = {}
    at = 0
    for domain, event, size in streams:
        stream = pa.ipc.open_stream(pa.py_buffer(content[at : at + size]), options=_READING)
        table = stream.read_all().combine_chunks()
        rows = ParsedRows(domain, event, table.column(0).to_numpy(), table.remove_column(0))
        found.setdefault((domain, event), []).append(rows)
        at += size
    return found


def _read_left(content: memoryview, about: Mapping[str, Any]) -> pa.Table | None:
    """Return the events that are left; None if an earlier version wrote the file, or if there were too many."""
    size = about.get("left", 0)
    if not size:
        return None
    at = sum(length for _, _, length in about["streams"])
    return pa.ipc.open_stream(pa.py_buffer(content[at : at + size]), options=_READING).read_all()


def _by_offset(left: pa.Table | None) -> dict[int, bytes]:
    return {} if left is None else dict(zip(left["offset"].to_pylist(), left["raw"].to_pylist(), strict=True))


def let_go(settings: LakeSettings, files: Iterable[FileRecord]) -> None:
    """Remove the kept payloads of files."""
    for file in files:
        uri = _uri(settings, file.delivery, file.name)
        if uri:
            storage.remove(uri)


def remove_kept(settings: LakeSettings, name: str) -> None:
    """Remove the kept payloads of a raw file of the delivery, by the name of the file."""
    if uri := _uri(settings, settings.delivery, name):
        storage.remove(uri)


def let_all_go(root: str) -> None:
    """Remove all parsed payloads of a delivery; builds then parse the raw files."""
    if storage.is_local(root):
        for uri in storage.list_files(storage.join(root, "_index")):
            if uri.endswith(COLUMNS):
                storage.remove(uri)


def _uri(settings: LakeSettings, delivery: str, name: str) -> str | None:
    """Return the URI of the kept payloads; None if none are kept."""
    local = storage.is_local(settings.landing)
    return storage.join(settings.landing, columns_path(delivery, name)) if local else None
