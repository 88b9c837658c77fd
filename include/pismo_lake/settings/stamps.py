"""Find out whether a file has changed since it was read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

Stamp = tuple[int, int, int]
"""Modification time in nanoseconds, size in bytes and inode of a file."""


def stamp_of(path: Path) -> Stamp:
    """Return the stamp of a file.

    Raises:
        OSError: the file's attributes cannot be read.
    """
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
