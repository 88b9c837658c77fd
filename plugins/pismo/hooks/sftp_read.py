"""Read a remote file with parallel requests, and resume at the byte that was reached."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import asyncssh

from pismo.hooks.sftp_errors import LOST
from pismo.hooks.sftp_pieces import Pieces
from pismo_lake.errors import SizeMismatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pismo.hooks.sftp_session import Session

_WINDOW = 4 << 20
_SAFE_BLOCK, _LARGEST_BLOCK = 16 << 10, 256 << 10
_FEWER = 4
_MAY_BE_THE_END = (asyncssh.SFTPFailure, asyncssh.SFTPInvalidParameter, asyncssh.SFTPOpUnsupported)


@asynccontextmanager
async def open_remote(session: Session, path: bytes, seconds: float) -> AsyncIterator[asyncssh.SFTPClientFile]:
    """Open a remote file; each `read` of it is one request.

    asyncssh can split reads by itself, but then leaves the other parts running if one fails.
    """
    async with session.request() as client, asyncio.timeout(seconds):
        remote = await client.open(path, "rb", block_size=0)
    try:
        yield remote
    finally:
        with suppress(asyncssh.Error, OSError):
            async with session.request(), asyncio.timeout(seconds):
                await remote.close()


class Download:
    """The bytes of one remote file, read over one or several connections.

    `size` is the announced length, or None. If sizes are not `believed`, the file is read to its end, and its length
    is the number of bytes that arrive. `place` and `key` name the file in errors.
    """

    def __init__(
        self, place: str, key: str, size: int | None, *, believed: bool, reads: int, stall_seconds: float
    ) -> None:
        self.data = bytearray()
        self._place, self._key, self._believed, self._stall_seconds = place, key, believed, stall_seconds
        self._announced = size if believed else None
        self._reads = reads
        self._version: tuple[int | None, int | None] = (None, None)

    async def go_on(self, session: Session, remote: asyncssh.SFTPClientFile) -> None:
        """Read the missing bytes.

        Raises:
            TimeoutError: no read was answered in time.
            SizeMismatch: the length is wrong.
        """
        stated = await self._read_stated_size(session, remote)
        block = min(session.client.limits.max_read_len or _SAFE_BLOCK, _LARGEST_BLOCK)
        pieces = Pieces(self.data, hint=stated or 0, exact=self._announced is not None, block=block)
        try:
            ended = False
            while not ended:
                doubt = await self._fill(session, remote, pieces, _WINDOW // block)
                if doubt is not None:
                    ended = await self._ends_at(session, remote, pieces, doubt, stated)
                else:
                    # without a trusted size, check the end with a second request
                    ended = self._believed or not await self._goes_on(session, remote, pieces, block)
        except asyncssh.SFTPError:
            # some servers refuse reads if too many run at once
            self._reads = max(1, self._reads // _FEWER)
            raise
        if not pieces.whole:
            msg = f"the answers contradict each other: the file ends at byte {pieces.end}, but more bytes follow"
            raise asyncssh.SFTPBadMessage(msg)
        self._check_length(stated)

    async def _read_stated_size(self, session: Session, remote: asyncssh.SFTPClientFile) -> int | None:
        """Return the size that the server states; start over if the file may have changed."""
        if self._announced is not None and not self.data:
            return self._announced
        version: tuple[int | None, int | None] = (None, None)
        try:
            async with session.request(), asyncio.timeout(self._stall_seconds):
                attrs = await remote.stat()
            version = attrs.size, attrs.mtime
        except asyncssh.SFTPError as error:
            if isinstance(error, LOST):
                raise
        if self._believed:
            same = version[0] is not None and version[0] == self._announced
        else:
            # sizes are not trusted: only an unchanged modification time shows that the file is the same
            same = version[1] is not None and version == self._version
        if not same:
            self.data.clear()
        self._version = version
        return version[0] if self._announced is None else self._announced

    async def _fill(
        self, session: Session, remote: asyncssh.SFTPClientFile, pieces: Pieces, most: int
    ) -> tuple[int, int, asyncssh.SFTPError] | None:
        """Read until the end; return the first refused range if the file may end there."""
        doubt: tuple[int, int, asyncssh.SFTPError] | None = None
        tasks: dict[asyncio.Task[bytes], tuple[int, int]] = {}
        try:
            while True:
                while len(tasks) < min(self._reads, max(most, 1)) and (piece := pieces.take()) is not None:
                    tasks[asyncio.create_task(session.read(remote, *piece))] = piece
                if not tasks:
                    return doubt if doubt is not None and doubt[0] == pieces.end else None
                for task in await session.first_done(tasks, self._stall_seconds):
                    offset, length = tasks.pop(task)
                    refusal = self._refusal(task, offset)
                    if refusal is not None:
                        pieces.end_at(offset)
                        doubt = (offset, length, refusal) if doubt is None or offset < doubt[0] else doubt
                        continue
                    pieces.take_answer(offset, length, b"" if task.exception() else task.result())
                    if self._announced is not None and len(self.data) > self._announced:
                        raise self._mismatch(f"more than {self._announced}")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _refusal(self, task: asyncio.Task[bytes], offset: int) -> asyncssh.SFTPError | None:
        """Return a status that may mean the end of the file; raise any other error."""
        error = task.exception()
        if error is None:
            return None
        if not isinstance(error, asyncssh.SFTPError) or isinstance(error, LOST):
            raise error
        if self._announced is None and isinstance(error, _MAY_BE_THE_END):
            return error
        if self._announced is None or offset < self._announced:
            raise error
        # all announced bytes come before it: some servers answer FAILURE after the end
        return None

    async def _ends_at(
        self,
        session: Session,
        remote: asyncssh.SFTPClientFile,
        pieces: Pieces,
        doubt: tuple[int, int, asyncssh.SFTPError],
        stated: int | None,
    ) -> bool:
        """Return whether the file ends at a refused range; if not, take the bytes there.

        No other read of the file is running, and each request is shorter than the last: the server may have refused
        because there were too many reads, or because a range crossed the end. If the stated size is larger, or no byte
        has arrived yet, the refusal is raised.
        """
        offset, length, refusal = doubt
        if self._believed and stated is not None and offset >= stated:
            return True
        if not offset or offset < (stated or 0):
            raise refusal
        while length:
            try:
                async with asyncio.timeout(self._stall_seconds):
                    content = await session.read(remote, offset, length)
            except asyncssh.SFTPError as error:
                if isinstance(error, LOST):
                    raise
                length //= 2
                continue
            if content:
                pieces.go_on(content)
            return not content
        return True

    async def _goes_on(self, session: Session, remote: asyncssh.SFTPClientFile, pieces: Pieces, block: int) -> bool:
        """Read once more at the end; return whether bytes arrived, and take them."""
        try:
            async with asyncio.timeout(self._stall_seconds):
                content = await session.read(remote, len(self.data), block)
        except _MAY_BE_THE_END:
            return False
        if content:
            pieces.go_on(content)
        return bool(content)

    def _check_length(self, stated: int | None) -> None:
        expected = self._announced
        if expected is not None and len(self.data) != expected:
            raise self._mismatch(str(len(self.data)))
        if self._believed and stated is not None and len(self.data) < stated:
            raise self._mismatch(str(len(self.data)), stated)

    def _mismatch(self, came: str, expected: int | None = None) -> SizeMismatch:
        expected = self._announced if expected is None else expected
        return SizeMismatch(
            f"{self._place}/{self._key} has {came} bytes, but {expected} were announced. If the sizes that this"
            " server states can be wrong, set source.size_is_right: false",
            key=self._key,
        )
