"""Find and remove the temporary files and folders of processes that were killed.

A living process holds a lock on each of its temporary files. The system drops the lock when the process ends, in
whatever way. So a temporary file without a lock has no owner any more.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, BinaryIO

LOCK = ".lock"
"""The file in a temporary folder that its process holds."""
SUFFIX = ".tmp"


def is_temporary(name: str) -> bool:
    """Return whether a writer gives this name to a file that is not finished."""
    return name.startswith(".") and name.endswith(SUFFIX)


def hold(file: Any) -> bool:
    """Lock an open file until it is closed; return False if it was already removed.

    Then make the file again.
    """
    with suppress(OSError):
        # on a file system without locks, leftovers are never removed
        fcntl.flock(file.fileno(), fcntl.LOCK_EX)
    return os.fstat(file.fileno()).st_nlink > 0


@contextmanager
def hold_folder(folder: Path) -> Iterator[Path]:
    """Make a folder, hold it while the block runs, and remove it at the end."""
    try:
        with _new_lock(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _new_lock(folder: Path) -> BinaryIO:
    """Make a folder and its lock; begin again if another process removes the folder before it is locked."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock = (folder / LOCK).open("wb")
        except FileNotFoundError:
            continue
        if hold(lock):
            return lock
        lock.close()


def is_held(path: Path) -> bool:
    """Return whether a running process holds a temporary file, or its temporary folder."""
    lock = path.with_name(LOCK)
    try:
        with (lock if lock.exists() else path).open("rb+") as file:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        # the file is gone, or its file system has no locks
        return False
    return False


def remove_leftovers(root: Path) -> tuple[list[Path], list[Path]]:
    """Remove unlocked temporary files below a folder; return the removed and the locked ones."""
    return remove_unlocked(sorted(_temporary(root)))


def remove_unlocked(paths: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """Remove those of some temporary files that no process holds; return the removed and the locked ones."""
    removed: list[Path] = []
    others: list[Path] = []
    for path in paths:
        with _lock(path) as free:
            if free:
                path.unlink(missing_ok=True)
        # its own process has finished or removed a file that is gone
        (removed if free else others).extend([path] if free or path.exists() else [])
    return removed, others


def remove_folders(folders: list[Path]) -> tuple[list[Path], list[Path]]:
    """Remove unlocked folders of some temporary ones; return the removed and the locked ones."""
    removed: list[Path] = []
    others: list[Path] = []
    for folder in folders:
        with _lock(folder / LOCK) as free:
            if free or _has_files_without_lock(folder):
                shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            # an empty folder may be new; its process makes it again
            folder.rmdir()
        (others if folder.exists() else removed).append(folder)
    return removed, others


def _has_files_without_lock(folder: Path) -> bool:
    """Return whether a folder has files, but no lock: each process makes the lock first."""
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError:
        return False
    return bool(names) and LOCK not in names


def _temporary(root: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(root):
        yield from (Path(folder) / name for name in names if is_temporary(name))


@contextmanager
def _lock(path: Path) -> Iterator[bool]:
    """Yield whether no process holds a file; during the block no other one can."""
    try:
        file = path.open("rb+")
    except OSError:
        yield False
        return
    with file:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True
