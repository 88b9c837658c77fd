"""Serve in a thread while a test runs."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import socketserver
    from collections.abc import Iterator

Server = TypeVar("Server", bound="socketserver.BaseServer")


@contextmanager
def serving(server: Server, poll_interval: float = 0.5) -> Iterator[Server]:
    """Let a server answer while the block runs; then close it."""
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(poll_interval,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
