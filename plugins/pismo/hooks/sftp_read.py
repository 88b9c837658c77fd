"""Read a remote file with several requests under way, and go on after a cut at the byte that was reached."""

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

    asyncssh would split reads by itself, but leaves its parts behind when one of them fails.
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
    """The bytes of one remote file, read over as many connections as it takes.

    `size` is the announced length, None if there is none. If sizes are not `believed`, the file is read to its end
    and its length is the one that comes. `place` and `key` name the file in errors.
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
        """Read what is missing. TimeoutError if no read is answered in time, `SizeMismatch` for a wrong length."""
        stated = await self._stated_size(session, remote)
        block = min(session.client.limits.max_read_len or _SAFE_BLOCK, _LARGEST_BLOCK)
        pieces = Pieces(self.data, hint=stated or 0, exact=self._announced is not None, block=block)
        try:
            ended = False
            while not ended:
                doubt = await self._fill(session, remote, pieces, _WINDOW // block)
                if doubt is not None:
                    ended = await self._ends_at(session, remote, pieces, doubt, stated)
                else:
                    # without a size to compare with, an end is asked for twice
                    ended = self._believed or not await self._goes_on(session, remote, pieces, block)
        except asyncssh.SFTPError:
            # some servers refuse reads when too many are under way
            self._reads = max(1, self._reads // _FEWER)
            raise
        if not pieces.whole:
            msg = f"the answers contradict each other: an end at byte {pieces.end}, and bytes behind it"
            raise asyncssh.SFTPBadMessage(msg)
        self._check_length(stated)

    async def _stated_size(self, session: Session, remote: asyncssh.SFTPClientFile) -> int | None:
        """Return the size that the server states, and start over if this may be another file than before."""
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
            # no size to believe: only an unchanged modification time says that it is the same file
            same = version[1] is not None and version == self._version
        if not same:
            self.data.clear()
        self._version = version
        return version[0] if self._announced is None else self._announced

    async def _fill(
        self, session: Session, remote: asyncssh.SFTPClientFile, pieces: Pieces, most: int
    ) -> tuple[int, int, asyncssh.SFTPError] | None:
        """Read until the end. Return the first range that the server refused, if that may be the end."""
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
                    pieces.answered(offset, length, b"" if task.exception() else task.result())
                    if self._announced is not None and len(self.data) > self._announced:
                        raise self._mismatch(f"more than {self._announced}")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _refusal(self, task: asyncio.Task[bytes], offset: int) -> asyncssh.SFTPError | None:
        """Return a status that may say that the file ends here; raise any other error."""
        error = task.exception()
        if error is None:
            return None
        if not isinstance(error, asyncssh.SFTPError) or isinstance(error, LOST):
            raise error
        if self._announced is None and isinstance(error, _MAY_BE_THE_END):
            return error
        if self._announced is None or offset < self._announced:
            raise error
        # all announced bytes are before it: some servers answer FAILURE behind the end
        return None

    async def _ends_at(
        self,
        session: Session,
        remote: asyncssh.SFTPClientFile,
        pieces: Pieces,
        doubt: tuple[int, int, asyncssh.SFTPError],
        stated: int | None,
    ) -> bool:
        """Whether the file ends where a range was refused. If not, the bytes that can be read there are taken.

        No other read of the file is under way, and it asks for less and less: the server may have refused too many
        reads, or a range that reaches over the end. If the file is said to be longer, or nothing came of it yet, the
        refusal is an error.
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
        """Read once more at the end. Whether there are bytes after all, which are taken then."""
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
            f"{self._place}/{self._key} came with {came} bytes, {expected} were announced. If the sizes that this"
            " server states are wrong, set source.size_is_right: false",
            key=self._key,
        )
