"""Files at local paths and at object-store URIs through one small door (fsspec).

Writes are whole or not at all: locally a temporary file, fsync, rename; in an object store a single PUT, which
shows an object only once it is complete.
"""

from __future__ import annotations

import os
import uuid
from contextlib import contextmanager, suppress
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import fsspec

from pismo_lake.errors import LakeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_OPTIONS: dict[str, Callable[[], Mapping[str, Any]]] = {}


def configure(protocol: str, options: Callable[[], Mapping[str, Any]]) -> None:
    """Set the fsspec options (endpoint, credentials) of a protocol such as ``s3`` for this process.

    They are asked for at each use: credentials of a role do not live as long as the closing of a large day.
    """
    _OPTIONS[protocol] = options


def is_local(uri: str) -> bool:
    """Whether the URI is a path of this machine."""
    return "://" not in uri or uri.startswith("file://")


def join(root: str, *parts: str) -> str:
    """Join a root and relative parts with single slashes."""
    return "/".join([root.rstrip("/"), *(part.strip("/") for part in parts)])


def local_path(uri: str) -> Path:
    """The path of a local URI."""
    return Path(uri.removeprefix("file://"))


def _remote(uri: str) -> tuple[Any, str]:
    protocol = uri.split("://", 1)[0]
    filesystem, path = fsspec.core.url_to_fs(uri, **_OPTIONS.get(protocol, dict)())
    return filesystem, cast("str", path)


def read_bytes(uri: str) -> bytes:
    """All bytes of a file; FileNotFoundError where there is none."""
    if is_local(uri):
        return local_path(uri).read_bytes()
    filesystem, path = _remote(uri)
    return cast("bytes", filesystem.cat_file(path))


def mapped(uri: str) -> mmap:
    """A local file that is not empty, of which only what is looked at is read."""
    with local_path(uri).open("rb") as file:
        return mmap(file.fileno(), 0, access=ACCESS_READ)


def read_range(uri: str, start: int, end: int) -> bytes:
    """Bytes `[start, end)` of a file."""
    if is_local(uri):
        with local_path(uri).open("rb") as file:
            file.seek(start)
            return file.read(end - start)
    filesystem, path = _remote(uri)
    return cast("bytes", filesystem.cat_file(path, start=start, end=end))


def exists(uri: str) -> bool:
    """Whether there is a file."""
    if is_local(uri):
        return local_path(uri).is_file()
    filesystem, path = _remote(uri)
    return bool(filesystem.exists(path))


def size(uri: str) -> int:
    """A file's size in bytes."""
    return version(uri)[0]


def version(uri: str) -> tuple[int, str | None]:
    """A file's size in bytes, and a mark that other content does not have as well; None where there is no such mark.

    Of a local file the mark is made of its inode and when it was changed: the same content may have another one.
    """
    if is_local(uri):
        found = local_path(uri).stat()
        return found.st_size, f"{found.st_ino:x}-{found.st_mtime_ns:x}"
    filesystem, path = _remote(uri)
    about = filesystem.info(path)
    return int(about["size"]), about.get("ETag") or about.get("etag")


def open_for_reading(uri: str) -> Any:
    """A binary file object to read from, for readers that seek."""
    if is_local(uri):
        return local_path(uri).open("rb")
    filesystem, path = _remote(uri)
    return filesystem.open(path, "rb")


def write_atomic(uri: str, data: bytes | memoryview, *, synced: bool = True) -> None:
    """Write a file so that a reader, or a crash, sees the old state or the new one and nothing between.

    Where it is not `synced` a machine that fails may leave anything: for what may be lost and tells damage.
    """
    if not is_local(uri):
        filesystem, path = _remote(uri)
        filesystem.pipe_file(path, bytes(data))
        return
    target = local_path(uri)
    with _written(target, data, synced=synced) as temporary:
        temporary.replace(target)


def create(uri: str, data: bytes) -> bool:
    """Write a file as `write_atomic` does, but only where there is none; False where there is one, which stays.

    An object store is asked to refuse (If-None-Match). One that does not know the question overwrites.
    """
    if not is_local(uri):
        filesystem, path = _remote(uri)
        try:
            filesystem.pipe_file(path, data, mode="create")
        except FileExistsError:
            return False
        return True
    target = local_path(uri)
    with _written(target, data) as temporary:
        try:
            os.link(temporary, target)
        except OSError:
            # there is one, or this file system has no links
            if target.is_file():
                return False
            temporary.replace(target)
    return True


@contextmanager
def _written(target: Path, data: bytes | memoryview, *, synced: bool = True) -> Iterator[Path]:
    """Bytes, synced unless told otherwise, in a temporary file beside a target, gone in the end."""
    # a leading dot: dataset readers pass over it should a crash leave it behind
    temporary = target.with_name(f".{target.name[:80]}.{uuid.uuid4().hex}.tmp")
    try:
        with _opened(temporary) as file:
            file.write(data)
            if synced:
                file.flush()
                os.fsync(file.fileno())
        yield temporary
    except (NotADirectoryError, IsADirectoryError, FileExistsError) as error:
        msg = f"{target} cannot be written: a name on its way stands for a file and for a folder"
        raise LakeError(msg) from error
    finally:
        with suppress(NotADirectoryError):
            temporary.unlink(missing_ok=True)


def _opened(path: Path) -> BinaryIO:
    """A file to write, its folders made where they are missing."""
    try:
        return path.open("wb")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("wb")


def move_in(path: Path, uri: str) -> None:
    """Move a finished local file to a URI, whole or not at all; a large one goes to an object store in parts.

    Into a local URI it is renamed, so `path` has to be on the same file system.
    """
    if not is_local(uri):
        filesystem, target = _remote(uri)
        filesystem.put_file(str(path), target)
        path.unlink()
        return
    place = local_path(uri)
    place.parent.mkdir(parents=True, exist_ok=True)
    with path.open("rb") as file:
        os.fsync(file.fileno())
    path.replace(place)


def remove(uri: str) -> None:
    """Delete a file; one that is gone already is no error."""
    if is_local(uri):
        # a folder of this name is no such file
        with suppress(FileNotFoundError, IsADirectoryError, NotADirectoryError):
            local_path(uri).unlink()
        return
    filesystem, path = _remote(uri)
    if filesystem.exists(path):
        filesystem.rm_file(path)


def list_files(root: str) -> Iterator[str]:
    """URIs of all files below `root`, sorted by path; `hidden_files` are left out: those of a crash are such."""
    if is_local(root):
        found = (path for path in local_path(root).rglob("*") if path.is_file() and not path.name.startswith("."))
        yield from sorted(str(path) for path in found)
        return
    protocol = root.split("://", 1)[0]
    filesystem, path = _remote(root)
    if filesystem.exists(path):
        yield from (f"{protocol}://{name}" for name in sorted(filesystem.find(path)))


def hidden_files(root: str) -> list[str]:
    """Names of the files below a local `root` that begin with a dot, sorted."""
    return sorted(path.name for path in local_path(root).rglob(".*") if path.is_file()) if is_local(root) else []
