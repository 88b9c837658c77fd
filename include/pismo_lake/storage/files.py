"""Read and write files at local paths and in object stores.

Writes are whole or not at all. No listing is kept, because other processes write too. If a disk or a store refuses,
the error is a `StorageError` that names the file. `store.Store` defines the work of a store, and `registry` finds the
store of a URI.
"""

from __future__ import annotations

import hashlib
from contextlib import nullcontext
from mmap import ACCESS_READ, mmap
from typing import TYPE_CHECKING, Any

import orjson

from pismo_lake.storage import leftovers
from pismo_lake.storage.errors import naming, sound
from pismo_lake.storage.places import local_path
from pismo_lake.storage.registry import store_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pismo_lake.storage.store import Gate

_PIECE = 8 << 20


def read_bytes(uri: str) -> bytes:
    """Read all bytes of a file; FileNotFoundError if there is none."""
    with naming(uri, "read"):
        return store_of(uri).read(uri)


def read_json(uri: str) -> dict[str, Any]:
    """Read a JSON object that was written by this program; `LakeError` if it is damaged."""
    data = read_bytes(uri)
    with sound(uri):
        return dict(orjson.loads(data))


def map_file(uri: str) -> mmap:
    """Map a local file that is not empty into memory; only the parts in use are read."""
    with naming(uri, "read"), local_path(uri).open("rb") as file:
        return mmap(file.fileno(), 0, access=ACCESS_READ)


def read_range(uri: str, start: int, end: int) -> bytes:
    """Read bytes `[start, end)` of a file."""
    with naming(uri, "read"):
        return store_of(uri).read_range(uri, start, end) if start < end else b""


def exists(uri: str) -> bool:
    """Return whether there is a file."""
    with naming(uri, "looked for"):
        return store_of(uri).exists(uri)


def size(uri: str) -> int:
    """Return a file's size in bytes."""
    return version(uri)[0]


def version(uri: str) -> tuple[int, str | None]:
    """Return a file's size in bytes, and a mark that changes with the content (None if unknown).

    For a local file the mark has its inode and its time of change, so equal content may have different marks.
    """
    with naming(uri, "looked at"):
        return store_of(uri).version(uri)


def open_for_reading(uri: str) -> Any:
    """Open a file in binary mode, for readers that seek."""
    with naming(uri, "read"):
        return store_of(uri).open(uri)


def sha256(uri: str) -> str:
    """Return the SHA-256 of a file in hex, read in pieces; FileNotFoundError if there is none."""
    with open_for_reading(uri) as file, naming(uri, "read"):
        digest = hashlib.sha256()
        while piece := file.read(_PIECE):
            digest.update(piece)
        return digest.hexdigest()


def write_atomic(uri: str, data: bytes | memoryview, *, synced: bool = True, gate: Gate = nullcontext) -> None:
    """Write a file; readers see the old state or the new one, even after a crash.

    If it is not `synced`, a power failure may leave any content. Use this only for files that may be lost, and whose
    damage is noticed. `gate` is explained in `store.Store`.
    """
    with naming(uri, "written"):
        store_of(uri).write(uri, data, synced=synced, gate=gate)


def create(uri: str, data: bytes) -> bool:
    """Write a file if there is none, whole or not at all; return whether this call wrote it."""
    with naming(uri, "written"):
        return store_of(uri).create(uri, data)


def is_refused(uri: str) -> bool:
    """Return whether the disk or the store itself refuses to replace a file, if asked to."""
    with naming(uri, "written"):
        return store_of(uri).is_refused(uri)


def move_in(path: Path, uri: str, *, gate: Gate = nullcontext) -> None:
    """Move a finished local file to a URI, whole or not at all.

    A local target must be on the same file system, because the file is renamed. An object store gets a large file in
    parts. `gate` is explained in `store.Store`.
    """
    with naming(uri, "written"):
        store_of(uri).move_in(path, uri, gate=gate)


def copy(source: str, uri: str, *, gate: Gate = nullcontext) -> None:
    """Copy an object to another name in its store, whole or not at all. `gate` is explained in `store.Store`."""
    with naming(uri, "written"):
        store_of(uri).copy(source, uri, gate=gate)


def remove(uri: str, *, gate: Gate = nullcontext) -> None:
    """Delete a file; a missing file is no error. `gate` is explained in `store.Store`."""
    with naming(uri, "removed"):
        store_of(uri).remove(uri, gate=gate)


def list_files(root: str) -> Iterator[str]:
    """Yield the URIs of all files below `root`, sorted by path, without `hidden_files`."""
    yield from (uri for uri in _find(root) if not uri.rsplit("/", 1)[-1].startswith("."))


def list_every_file(root: str) -> list[str]:
    """Return the URIs of all files below `root`, sorted by path, temporary files of writers too."""
    return _find(root)


def list_folders(root: str) -> list[str]:
    """Return the names of folders directly below `root`, sorted; none if there is no root."""
    with naming(root, "listed"):
        return sorted(store_of(root).folders(root))


def is_temporary(uri: str) -> bool:
    """Return whether a file has the name of a temporary file of a writer."""
    return leftovers.is_temporary(uri.rsplit("/", 1)[-1])


def is_in_use(uri: str) -> bool:
    """Return whether the writer of a temporary file may still be at work."""
    with naming(uri, "looked at"):
        return store_of(uri).is_in_use(uri)


def hidden_files(root: str) -> list[str]:
    """Return the names of files below a `root` that begin with a dot (after a crash), sorted."""
    names = (uri.rsplit("/", 1)[-1] for uri in _find(root))
    return sorted(name for name in names if name.startswith("."))


def _find(root: str) -> list[str]:
    """Return the URIs of all files below a root, sorted; none if the root does not exist."""
    with naming(root, "listed"):
        return sorted(store_of(root).find(root))
