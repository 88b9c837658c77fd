"""Files at local paths and in object stores, through one small door.

Writes are whole or not at all. No listing is kept: other processes write too. Each refusal of a disk or a store is a
`StorageError` that names the file. `store.Store` says what a store can do, `registry` which one has a URI.
"""

from __future__ import annotations

from mmap import ACCESS_READ, mmap
from typing import TYPE_CHECKING, Any

import orjson

from pismo_lake.storage.errors import naming, sound
from pismo_lake.storage.places import local_path
from pismo_lake.storage.registry import store_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def read_bytes(uri: str) -> bytes:
    """Read all bytes of a file; FileNotFoundError if there is none."""
    with naming(uri, "read"):
        return store_of(uri).read(uri)


def read_json(uri: str) -> dict[str, Any]:
    """Read a JSON object that was written by this program; `LakeError` if it is damaged."""
    data = read_bytes(uri)
    with sound(uri):
        return dict(orjson.loads(data))


def mapped(uri: str) -> mmap:
    """Map a local file that is not empty; only the parts that are looked at are read."""
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
    """Return a file's size in bytes and a mark that other content does not have as well, or None for the mark.

    Of a local file the mark is made of its inode and when it was changed: the same content may have another one.
    """
    with naming(uri, "looked at"):
        return store_of(uri).version(uri)


def open_for_reading(uri: str) -> Any:
    """Open a binary file object to read from, for readers that seek."""
    with naming(uri, "read"):
        return store_of(uri).open(uri)


def write_atomic(uri: str, data: bytes | memoryview, *, synced: bool = True) -> None:
    """Write a file so that a reader, or a crash, sees the old state or the new one and nothing between.

    If it is not `synced`, a machine that fails may leave anything: for files that may be lost and that show damage.
    """
    with naming(uri, "written"):
        store_of(uri).write(uri, data, synced=synced)


def create(uri: str, data: bytes) -> bool:
    """Write a file as `write_atomic` does if there is none and return True; leave one that is there, return False."""
    with naming(uri, "written"):
        return store_of(uri).create(uri, data)


def is_refused(uri: str) -> bool:
    """Return whether overwriting a file at this place is refused by the disk or the store itself."""
    with naming(uri, "written"):
        return store_of(uri).is_refused(uri)


def move_in(path: Path, uri: str) -> None:
    """Move a finished local file to a URI, whole or not at all; a large one is sent to an object store in parts.

    Into a local URI it is renamed, so `path` has to be on the same file system.
    """
    with naming(uri, "written"):
        store_of(uri).move_in(path, uri)


def remove(uri: str) -> None:
    """Delete a file; one that is gone already is no error."""
    with naming(uri, "removed"):
        store_of(uri).remove(uri)


def list_files(root: str) -> Iterator[str]:
    """URIs of all files below `root`, sorted by path, without `hidden_files`, which a crash leaves behind."""
    yield from (uri for uri in _found(root) if not uri.rsplit("/", 1)[-1].startswith("."))


def hidden_files(root: str) -> list[str]:
    """Names of the files below a `root` that begin with a dot, sorted."""
    names = (uri.rsplit("/", 1)[-1] for uri in _found(root))
    return sorted(name for name in names if name.startswith("."))


def _found(root: str) -> list[str]:
    """URIs of all files below a root, sorted; none if it is not there."""
    with naming(root, "listed"):
        return sorted(store_of(root).find(root))
