"""Files on a disk of this machine: a temporary file, fsync, a rename or a link, fsync of the folder."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from pismo_lake.errors import LakeError
from pismo_lake.storage.places import local_path

if TYPE_CHECKING:
    from collections.abc import Iterator


class LocalStore:
    """Files at paths of this machine."""

    def read(self, uri: str) -> bytes:
        """Read all bytes of a file."""
        return local_path(uri).read_bytes()

    def read_range(self, uri: str, start: int, end: int) -> bytes:
        """Read bytes `[start, end)` of a file."""
        with local_path(uri).open("rb") as file:
            file.seek(start)
            return file.read(end - start)

    def open(self, uri: str) -> Any:
        """Open a file."""
        return local_path(uri).open("rb")

    def exists(self, uri: str) -> bool:
        """Return whether there is a file."""
        return local_path(uri).is_file()

    def version(self, uri: str) -> tuple[int, str | None]:
        """Return a file's size and a mark of its inode and its time: the same content may have another one."""
        found = local_path(uri).stat()
        if stat.S_ISDIR(found.st_mode):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), uri)
        return found.st_size, f"{found.st_ino:x}-{found.st_mtime_ns:x}"

    def write(self, uri: str, data: bytes | memoryview, *, synced: bool) -> None:
        """Write a file beside its place and rename it."""
        target = local_path(uri)
        with _written(target, data, synced=synced) as temporary:
            temporary.replace(target)
            if synced:
                _sync_folder(target.parent)

    def create(self, uri: str, data: bytes) -> bool:
        """Write a file beside its place and link it, which fails if the name is taken."""
        target = local_path(uri)
        with _written(target, data) as temporary:
            created = _linked(temporary, target)
            # another process may have made it a moment ago: after this it survives a power failure
            _sync_folder(target.parent)
        return created

    def is_refused(self, uri: str) -> bool:  # noqa: ARG002 - one of the protocol
        """Every disk refuses to give a taken name."""
        return True

    def move_in(self, path: Path, uri: str) -> None:
        """Rename a file to its place, which has to be on the same file system."""
        place = local_path(uri)
        _make_folders(place.parent, synced=True)
        with path.open("rb") as file:
            os.fsync(file.fileno())
        path.replace(place)
        _sync_folder(place.parent)

    def remove(self, uri: str) -> None:
        """Delete a file; a folder of this name is no such file."""
        with suppress(FileNotFoundError, IsADirectoryError, NotADirectoryError):
            local_path(uri).unlink()
            # a file that came back after a power failure would be erased data, or doubled rows
            _sync_folder(local_path(uri).parent)

    def find(self, root: str) -> list[str]:
        """Return the paths of all files below a folder, or of one file."""
        path = local_path(root)
        return [str(path)] if path.is_file() else list(_found(path))


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
    """Write a temporary file beside a target, synced if so asked; it is gone in the end."""
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


def _found(root: Path) -> Iterator[str]:
    def failed(error: OSError) -> None:
        # a folder that cannot be read would be passed over without a word; one that was removed meanwhile may be
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            raise error

    for folder, _, names in os.walk(root, onerror=failed):
        yield from (str(path) for path in (Path(folder) / name for name in names) if path.is_file())
