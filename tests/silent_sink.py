"""A sink that accepts each connection and never answers, as a broken collector does."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class SilentSink:
    """Reads all that comes; `held` are the seconds for which each connection was open."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=50)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.held: list[float] = []
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            threading.Thread(target=self._hold, args=(connection,), daemon=True).start()

    def _hold(self, connection: socket.socket) -> None:
        begun = time.monotonic()
        with connection, suppress(OSError):
            while connection.recv(65536):
                pass
        self.held.append(time.monotonic() - begun)

    @property
    def accepted(self) -> int:
        """Return how many connections have come."""
        return len(self._open)

    def close(self) -> None:
        """Take no connection any more, and end those that are open."""
        self._listener.close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def silent_sink() -> Iterator[SilentSink]:
    """Listen on a port of this machine."""
    sink = SilentSink()
    try:
        yield sink
    finally:
        sink.close()
