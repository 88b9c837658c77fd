"""Define the common part of all object stores: each request passes its gate first."""

from __future__ import annotations

import shutil
import tempfile
from abc import ABC, abstractmethod
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pismo_lake.storage.store import Gate

_PIECE = 8 << 20


class ObjectStore(ABC):
    """Pass the gate, then ask the store; a subclass makes the requests.

    A request takes long and cannot be called back, so the gate is not held open while it runs.
    """

    @abstractmethod
    def version(self, uri: str) -> tuple[int, str | None]:
        """Return an object's size, and a mark that changes with its content."""

    @abstractmethod
    def open(self, uri: str) -> Any:
        """Open an object to read from."""

    @abstractmethod
    def put(self, uri: str, data: bytes) -> None:
        """Write or replace an object."""

    @abstractmethod
    def send(self, path: Path, uri: str) -> None:
        """Write or replace an object with the content of a local file."""

    @abstractmethod
    def delete(self, uri: str) -> None:
        """Delete an object; a missing one is no error."""

    def exists(self, uri: str) -> bool:
        """Return whether there is an object of this name."""
        try:
            self.version(uri)
        except FileNotFoundError:
            return False
        return True

    def is_refused(self, uri: str) -> bool:  # noqa: ARG002 - one of the protocol
        """Return True, as the store refuses to replace an object."""
        return True

    def is_in_use(self, uri: str) -> bool:  # noqa: ARG002 - one of the protocol
        """Return False, as writers make no temporary objects."""
        return False

    def write(self, uri: str, data: bytes | memoryview, *, synced: bool, gate: Gate = nullcontext) -> None:  # noqa: ARG002 - one of the protocol
        """Write or replace an object."""
        _pass(gate)
        self.put(uri, bytes(data))

    def move_in(self, path: Path, uri: str, *, gate: Gate = nullcontext) -> None:
        """Send a file, a large one in parts, and delete it here."""
        _pass(gate)
        self.send(path, uri)
        path.unlink()

    def copy(self, source: str, uri: str, *, gate: Gate = nullcontext) -> None:
        """Copy an object; the store does it, if it can."""
        _pass(gate)
        self.duplicate(source, uri)

    def duplicate(self, source: str, uri: str) -> None:
        """Copy an object by way of this machine; a subclass may ask its store to do it."""
        with tempfile.NamedTemporaryFile(prefix="pismo-copy-") as file:
            with self.open(source) as content:
                shutil.copyfileobj(content, file, _PIECE)
            file.flush()
            self.send(Path(file.name), uri)

    def remove(self, uri: str, *, gate: Gate = nullcontext) -> None:
        """Delete an object."""
        _pass(gate)
        self.delete(uri)


def _pass(gate: Gate) -> None:
    with gate():
        pass
