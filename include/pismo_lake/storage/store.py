"""Define the work of a store: all that the lake asks for.

tests/integration/test_stores.py tries each of these promises on every store, with its real server.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    Gate = Callable[[], AbstractContextManager[None]]


class Store(Protocol):
    """Read and write files by their URI; keep no answers, because other processes write too.

    A missing file is a `FileNotFoundError`. All other errors are those of the store or of its library, and `naming`
    converts them.

    A gate decides at the last moment if a file may appear or disappear. A disk holds it open for the rename or the
    removal alone. A request to an object store takes long and cannot be called back, so it only passes the gate before.
    """

    def read(self, uri: str) -> bytes:
        """Read all bytes of one version of a file."""

    def read_range(self, uri: str, start: int, end: int) -> bytes:
        """Read bytes `[start, end)` of a file."""

    def open(self, uri: str) -> Any:
        """Open a binary file object that can seek."""

    def exists(self, uri: str) -> bool:
        """Return whether there is a file; a folder does not count."""

    def version(self, uri: str) -> tuple[int, str | None]:
        """Return a file's size, and a mark that changes with its content."""

    def write(self, uri: str, data: bytes | memoryview, *, synced: bool, gate: Gate = nullcontext) -> None:
        """Write or replace a file, whole or not at all."""

    def create(self, uri: str, data: bytes) -> bool:
        """Write a file if there is none, whole or not at all; return whether this call wrote it."""

    def is_refused(self, uri: str) -> bool:
        """Return whether the store itself refuses to replace a file, if asked to."""

    def is_in_use(self, uri: str) -> bool:
        """Return whether the writer of a temporary file may still be at work."""

    def move_in(self, path: Path, uri: str, *, gate: Gate = nullcontext) -> None:
        """Move a finished local file to a URI, whole or not at all."""

    def copy(self, source: str, uri: str, *, gate: Gate = nullcontext) -> None:
        """Copy a file of this store to another name, whole or not at all."""

    def remove(self, uri: str, *, gate: Gate = nullcontext) -> None:
        """Delete a file; a missing file is no error."""

    def find(self, root: str) -> list[str]:
        """Return the URIs of all files below a root, in any order; for a file, its own URI."""

    def folders(self, root: str) -> list[str]:
        """Return the names of folders directly below a root, in any order; none without a root."""
