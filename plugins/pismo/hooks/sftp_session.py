"""Hold one open SFTP session, and limit its requests at once."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    import asyncssh

_FEWER = 4


class Session:
    """An SFTP session on its own connection; all its requests share the limit `reads`."""

    def __init__(self, connection: asyncssh.SSHClientConnection, client: asyncssh.SFTPClient, reads: int) -> None:
        self.connection, self.client, self.reads = connection, client, reads
        self._gate = asyncio.Semaphore(reads)
        self._under_way = self._most_under_way = 0
        self._answered_at = 0.0

    @property
    def fewer_reads(self) -> int:
        """The limit for the next connection if this one is lost; some servers end it after too many."""
        return max(1, self.reads // _FEWER) if self._most_under_way > 1 else self.reads

    @asynccontextmanager
    async def request(self) -> AsyncIterator[asyncssh.SFTPClient]:
        """Wait until one more request may start.

        Do not hold two requests in one task: two such tasks may wait for each other.
        """
        async with self._gate:
            if not self._under_way:
                self._answered_at = asyncio.get_running_loop().time()
            self._under_way += 1
            self._most_under_way = max(self._most_under_way, self._under_way)
            try:
                yield self.client
            finally:
                self._under_way -= 1
                self._answered_at = asyncio.get_running_loop().time()

    async def read(self, remote: asyncssh.SFTPClientFile, offset: int, length: int) -> bytes:
        """Read at most `length` bytes in one request; empty at the end of the file."""
        async with self.request():
            content: bytes | str = await remote.read(length, offset)
        # a server may answer with too many bytes: the next answer has the surplus again
        return (content.encode() if isinstance(content, str) else content)[:length]

    async def first_done(self, tasks: Iterable[asyncio.Task[bytes]], seconds: float) -> set[asyncio.Task[bytes]]:
        """Wait for the first of some reads.

        Raises:
            TimeoutError: the server has answered no request for `seconds`.
        """
        left = seconds
        while True:
            done, _ = await asyncio.wait(tasks, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if done:
                return done
            # a read of this file may wait while the server answers reads of other files
            left = self._answered_at + seconds - asyncio.get_running_loop().time()
            if left <= 0:
                raise TimeoutError
