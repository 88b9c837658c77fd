"""Files at local paths and at object-store URIs through one small door (fsspec).

Writes are whole or not at all. On a disk: a temporary file, fsync, a rename or a link, fsync of the folder. In an
object store: a single PUT, which shows an object only once it is complete. No listing is kept: other processes write
too. Each refusal of a disk or a store is a `StorageError` that names the file.
"""

from __future__ import annotations

import errno
import fcntl
import os
import uuid
from contextlib import contextmanager, suppress
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import fsspec
import orjson

from pismo_lake.errors import LakeError
from pismo_lake.storage.create_once import create_once, refuses_to_overwrite
from pismo_lake.storage.errors import NamedFile, is_missing, naming, sound

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
    """The file system of an object store and the path in it; each question is asked anew, nothing is kept."""
    protocol = uri.split("://", 1)[0]
    options = dict(_OPTIONS.get(protocol, dict)()) | {"use_listings_cache": False}
    filesystem = fsspec.filesystem(protocol, **options)
    return filesystem, cast("str", filesystem._strip_protocol(uri))  # noqa: SLF001 - the only way that splits no "::"


def read_bytes(uri: str) -> bytes:
    """Read all bytes of a file; FileNotFoundError if there is none."""
    with naming(uri, "read"):
        if is_local(uri):
            return local_path(uri).read_bytes()
        filesystem, path = _remote(uri)
        # in one request: parts asked for side by side could be of two versions, and HEAD gives no reasons
        whole = {"max_concurrency": 1} if "s3" in filesystem.protocol else {}
        return cast("bytes", filesystem.cat_file(path, **whole))


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
        if is_local(uri):
            with local_path(uri).open("rb") as file:
                file.seek(start)
                return file.read(end - start)
        filesystem, path = _remote(uri)
        return cast("bytes", filesystem.cat_file(path, start=start, end=end))


def exists(uri: str) -> bool:
    """Return whether there is a file."""
    with naming(uri, "looked for"):
        if is_local(uri):
            return local_path(uri).is_file()
        filesystem, path = _remote(uri)
        try:
            return bool(_about(filesystem, path)["type"] == "file")
        except FileNotFoundError as error:
            if is_missing(error):
                return False
            raise


def size(uri: str) -> int:
    """Return a file's size in bytes."""
    return version(uri)[0]


def version(uri: str) -> tuple[int, str | None]:
    """Return a file's size in bytes and a mark that other content does not have as well, or None for the mark.

    Of a local file the mark is made of its inode and when it was changed: the same content may have another one.
    """
    with naming(uri, "looked at"):
        if is_local(uri):
            found = local_path(uri).stat()
            return found.st_size, f"{found.st_ino:x}-{found.st_mtime_ns:x}"
        filesystem, path = _remote(uri)
        about = _about(filesystem, path)
        if about["type"] != "file":
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), uri)
        return int(about["size"]), about.get("ETag") or about.get("etag")


def _about(filesystem: Any, path: str) -> dict[str, Any]:
    """Ask a store about one object."""
    try:
        return cast("dict[str, Any]", filesystem.info(path))
    except PermissionError:
        # the answer to HEAD has no text: GET says why
        filesystem.cat_file(path, start=0, end=1)
        raise


def open_for_reading(uri: str) -> Any:
    """Open a binary file object to read from, for readers that seek."""
    with naming(uri, "read"):
        if is_local(uri):
            return local_path(uri).open("rb")
        filesystem, path = _remote(uri)
        return NamedFile(filesystem.open(path, "rb"), uri)


def write_atomic(uri: str, data: bytes | memoryview, *, synced: bool = True) -> None:
    """Write a file so that a reader, or a crash, sees the old state or the new one and nothing between.

    If it is not `synced`, a machine that fails may leave anything: for files that may be lost and that show damage.
    """
    with naming(uri, "written"):
        if not is_local(uri):
            filesystem, path = _remote(uri)
            filesystem.pipe_file(path, bytes(data))
            return
        target = local_path(uri)
        with _written(target, data, synced=synced) as temporary:
            temporary.replace(target)
            if synced:
                _sync_folder(target.parent)


def create(uri: str, data: bytes) -> bool:
    """Write a file as `write_atomic` does if there is none and return True; leave one that is there, return False.

    Object stores are asked to refuse. One that cannot is found out once, and its writers wait for each other.
    """
    with naming(uri, "written"):
        if not is_local(uri):
            return create_once(*_remote(uri), data)
        target = local_path(uri)
        with _written(target, data) as temporary:
            created = _linked(temporary, target)
            # another process may have made it a moment ago: after this it survives a power failure
            _sync_folder(target.parent)
        return created


def is_refused(uri: str) -> bool:
    """Return whether overwriting a file at this place is refused by the disk or the store itself."""
    with naming(uri, "written"):
        return is_local(uri) or refuses_to_overwrite(*_remote(uri))


def _linked(temporary: Path, target: Path) -> bool:
    """Give a finished file its name if that is free."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        if target.is_dir():
            raise
        return False
    except OSError:
        # a file system without links: the folder is locked, and the lock ends with its process
        with _folder(target.parent) as folder:
            fcntl.flock(folder, fcntl.LOCK_EX)
            if target.is_file():
                return False
            temporary.replace(target)
    return True


@contextmanager
def _written(target: Path, data: bytes | memoryview, *, synced: bool = True) -> Iterator[Path]:
    """Bytes, synced unless asked otherwise, in a temporary file beside a target; it is gone in the end."""
    # a leading dot: dataset readers pass over it should a crash leave it behind
    temporary = target.with_name(f".{target.name[:80]}.{uuid.uuid4().hex}.tmp")
    try:
        with _opened(temporary, synced=synced) as file:
            file.write(data)
            if synced:
                file.flush()
                os.fsync(file.fileno())
        yield temporary
    except (NotADirectoryError, IsADirectoryError, FileExistsError) as error:
        msg = f"{target} cannot be written: a name on its way is one of a file and of a folder"
        raise LakeError(msg) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _opened(path: Path, *, synced: bool) -> BinaryIO:
    """Open a file to write, and make its folders if they are missing."""
    try:
        return path.open("wb")
    except FileNotFoundError:
        _make_folders(path.parent, synced=synced)
        return path.open("wb")


def _make_folders(folder: Path, *, synced: bool) -> None:
    """Make a folder and those above it; a folder is in its own one for good only after that is synced."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for made in reversed(missing):
        made.mkdir(exist_ok=True)
        if synced:
            _sync_folder(made.parent)


@contextmanager
def _folder(path: Path) -> Iterator[int]:
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield number
    finally:
        os.close(number)


def _sync_folder(path: Path) -> None:
    """Write a folder's names to the disk: a file that was renamed or linked in survives a power failure after this."""
    with _folder(path) as folder:
        try:
            os.fsync(folder)
        except OSError as error:
            # some network file systems cannot, and write names through anyway
            if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}:
                raise


def move_in(path: Path, uri: str) -> None:
    """Move a finished local file to a URI, whole or not at all; a large one is sent to an object store in parts.

    Into a local URI it is renamed, so `path` has to be on the same file system.
    """
    with naming(uri, "written"):
        if not is_local(uri):
            filesystem, target = _remote(uri)
            filesystem.put_file(str(path), target)
            path.unlink()
            return
        place = local_path(uri)
        _make_folders(place.parent, synced=True)
        with path.open("rb") as file:
            os.fsync(file.fileno())
        path.replace(place)
        _sync_folder(place.parent)


def remove(uri: str) -> None:
    """Delete a file; one that is gone already is no error."""
    with naming(uri, "removed"):
        if is_local(uri):
            # a folder of this name is no such file
            with suppress(FileNotFoundError, IsADirectoryError, NotADirectoryError):
                local_path(uri).unlink()
                # a file that came back after a power failure would be erased data, or doubled rows
                _sync_folder(local_path(uri).parent)
            return
        filesystem, path = _remote(uri)
        try:
            # without asking whether it is there: another process may have written it a moment ago
            filesystem.rm_file(path)
        except FileNotFoundError as error:
            if not is_missing(error):
                raise


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
        if is_local(root):
            return sorted(_found_on_disk(local_path(root)))
        protocol = root.split("://", 1)[0]
        filesystem, path = _remote(root)
        try:
            found = sorted(filesystem.find(path))
        except FileNotFoundError as error:
            if is_missing(error):
                return []
            raise
        # names that end in a slash are folder markers of consoles
        return [f"{protocol}://{name}" for name in found if not name.endswith("/")]


def _found_on_disk(root: Path) -> Iterator[str]:
    def failed(error: OSError) -> None:
        # a folder that cannot be read would be passed over without a word; one that was removed meanwhile may be
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            raise error

    for folder, _, names in os.walk(root, onerror=failed):
        yield from (str(path) for path in (Path(folder) / name for name in names) if path.is_file())
