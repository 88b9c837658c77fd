"""Write files on a disk so that they survive a crash: fsync, a rename or a link, fsync."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import uuid
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from pismo_lake.errors import LakeError
from pismo_lake.storage.leftovers import hold, is_held
from pismo_lake.storage.places import local_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pismo_lake.storage.store import Gate


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
        """Return a file's size, and its inode and time of change as a mark.

        The same content may have another mark.
        """
        found = local_path(uri).stat()
        if stat.S_ISDIR(found.st_mode):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), uri)
        return found.st_size, f"{found.st_ino:x}-{found.st_mtime_ns:x}"

    def write(self, uri: str, data: bytes | memoryview, *, synced: bool, gate: Gate = nullcontext) -> None:
        """Write a file beside its place and rename it."""
        target = local_path(uri)
        with _write_beside(target, data, synced=synced) as temporary:
            with gate():
                temporary.replace(target)
            if synced:
                _sync_folder(target.parent)

    def create(self, uri: str, data: bytes) -> bool:
        """Write a file beside its place and link it, which fails if the name is in use."""
        target = local_path(uri)
        with _write_beside(target, data) as temporary:
            created = _link(temporary, target)
            # another process may just have created the file: make sure that it survives a power failure
            _sync_folder(target.parent)
        return created

    def is_refused(self, uri: str) -> bool:  # noqa: ARG002 - one of the protocol
        """Return True, as every disk refuses to link to a name in use."""
        return True

    def is_in_use(self, uri: str) -> bool:
        """Return whether a process of this machine holds a temporary file."""
        return is_held(local_path(uri))

    def move_in(self, path: Path, uri: str, *, gate: Gate = nullcontext) -> None:
        """Rename a file to its place, which has to be on the same file system."""
        place = local_path(uri)
        _make_folders(place.parent, synced=True)
        with path.open("rb") as file:
            os.fsync(file.fileno())
        with gate():
            path.replace(place)
        _sync_folder(place.parent)

    def copy(self, source: str, uri: str, *, gate: Gate = nullcontext) -> None:
        """Copy a file beside its new place, and rename it."""
        self.write(uri, self.read(source), synced=True, gate=gate)

    def remove(self, uri: str, *, gate: Gate = nullcontext) -> None:
        """Delete a file; a folder of this name does not count as one."""
        with suppress(FileNotFoundError, IsADirectoryError, NotADirectoryError):
            with gate():
                local_path(uri).unlink()
            # a file that comes back after a power failure would be erased data, or doubled rows
            _sync_folder(local_path(uri).parent)

    def find(self, root: str) -> list[str]:
        """Return the paths of all files below a folder, or of one file."""
        path = local_path(root)
        return [str(path)] if path.is_file() else list(_find(path))

    def folders(self, root: str) -> list[str]:
        """Return the names of the folders in a folder."""
        try:
            with os.scandir(local_path(root)) as entries:
                return [entry.name for entry in entries if entry.is_dir()]
        except (FileNotFoundError, NotADirectoryError):
            return []


def _link(temporary: Path, target: Path) -> bool:
    """Give a finished file its name if the name is free; return whether it was."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        if target.is_dir():
            raise
        return False
    except OSError:
        # a file system without links: lock the folder; the lock ends with its process
        with _folder(target.parent) as folder:
            fcntl.flock(folder, fcntl.LOCK_EX)
            if target.is_file():
                return False
            temporary.replace(target)
    return True


@contextmanager
def _write_beside(target: Path, data: bytes | memoryview, *, synced: bool = True) -> Iterator[Path]:
    """Write a temporary file beside a target, synced if asked; remove it at the end."""
    # a leading dot: readers of datasets ignore the file if a crash leaves it
    temporary = target.with_name(f".{target.name[:80]}.{uuid.uuid4().hex}.tmp")
    try:
        with _open_new(temporary, synced=synced) as file:
            file.write(data)
            file.flush()
            if synced:
                os.fsync(file.fileno())
            # open until it has its name: a temporary file that no process holds may be removed
            yield temporary
    except (NotADirectoryError, IsADirectoryError, FileExistsError) as error:
        msg = f"{target} cannot be written: one name in its path is both a file and a folder"
        raise LakeError(msg) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _open_new(path: Path, *, synced: bool) -> BinaryIO:
    """Open a temporary file to write, and hold it; make its folders if they are missing."""
    while True:
        try:
            file = path.open("wb")
        except FileNotFoundError:
            _make_folders(path.parent, synced=synced)
            file = path.open("wb")
        if hold(file):
            return file
        file.close()


def _make_folders(folder: Path, *, synced: bool) -> None:
    """Make a folder and its parents; sync the parent of each, so that it survives a crash."""
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
    """Sync the names in a folder, so that new and renamed files survive a power failure."""
    with _folder(path) as folder:
        try:
            os.fsync(folder)
        except OSError as error:
            # some network file systems cannot sync a folder; they write names at once
            if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}:
                raise


def _find(root: Path) -> Iterator[str]:
    def failed(error: OSError) -> None:
        # os.walk would skip an unreadable folder in silence; skip only a folder that was removed meanwhile
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            raise error

    for folder, _, names in os.walk(root, onerror=failed):
        yield from (str(path) for path in (Path(folder) / name for name in names) if path.is_file())
