"""Read a remote file with many requests under way, and go on after a cut where it had come to."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import asyncssh

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_WINDOW = 4 << 20
_SAFE_BLOCK, _LARGEST_BLOCK = 16 << 10, 256 << 10
_MOST_BLOCKS = 128


@asynccontextmanager
async def opened(client: asyncssh.SFTPClient, path: str, seconds: float) -> AsyncIterator[asyncssh.SFTPClientFile]:
    """A remote file; each `read` of it is one request.

    asyncssh would split reads by itself, but leaves its parts behind when one of them fails.
    """
    async with asyncio.timeout(seconds):
        remote = await client.open(path, "rb", block_size=0)
    try:
        yield remote
    finally:
        with suppress(asyncssh.Error, OSError):
            await asyncio.wait_for(remote.close(), seconds)


async def read_on(
    remote: asyncssh.SFTPClientFile, data: bytearray, size: int | None, *, block: int, stall_seconds: float
) -> None:
    """Append to `data` what the file has beyond it; TimeoutError where nothing at all came for `stall_seconds`.

    `size` is the announced one, `block` what the server gives at a time, in bytes. It starts over where it may not be
    the same file any more.
    """
    if data:
        async with asyncio.timeout(stall_seconds):
            present = (await remote.stat()).size
        if size is None or present != size:
            data.clear()
    block = min(block or _SAFE_BLOCK, _LARGEST_BLOCK)
    while True:
        start = len(data)
        count = min(_WINDOW // block, _MOST_BLOCKS)
        if size is not None and size >= start:
            # up to the announced end and one block beyond it, which is to be empty
            count = min(count, -(-(size - start) // block) + 1)
        blocks = await _blocks(remote, [start + number * block for number in range(count)], block, stall_seconds)
        for content in blocks:
            data += content
            if len(content) < block:
                # the end, or a short answer: the next round tells
                break
        if not blocks[0] or (b"" in blocks and len(data) == size):
            return


async def _blocks(remote: asyncssh.SFTPClientFile, offsets: list[int], block: int, stall_seconds: float) -> list[bytes]:
    tasks = [asyncio.create_task(_read(remote, block, offset)) for offset in offsets]
    pending = set(tasks)
    try:
        while pending:
            done, pending = await asyncio.wait(pending, timeout=stall_seconds, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                raise TimeoutError
            for task in done:
                task.result()
    finally:
        for task in pending:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return [task.result() for task in tasks]


async def _read(remote: asyncssh.SFTPClientFile, size: int, offset: int) -> bytes:
    content: bytes | str = await remote.read(size, offset)
    return content.encode() if isinstance(content, str) else content
