"""Serve the files of the in-process SFTP server, read-only, with the faults of a policy."""

from __future__ import annotations

import asyncio
import os
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NoReturn, cast

import asyncssh

from pismo_sandbox.sftp.policy import Links

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from pismo_sandbox.sftp.policy import SftpPolicy

_WRITING = asyncssh.FXF_WRITE | asyncssh.FXF_APPEND | asyncssh.FXF_CREAT | asyncssh.FXF_TRUNC
# long enough for the served bytes to reach the client before its connection is cut
_CUT_DELAY = 0.3
# long enough for all requests that a client sends together to arrive
_REQUESTS_TOGETHER = 0.01
_TYPE_AT = 4


class Link:
    """One client's TCP connection."""

    def __init__(self, transport: asyncio.WriteTransport) -> None:
        self._transport = transport
        self.gone = asyncio.Event()
        self.cut_due = False

    def abort(self) -> None:
        """End the connection at once."""
        self._transport.abort()
        self.gone.set()

    async def wait_gone(self, seconds: float) -> bool:
        """Return whether the connection ends within that time."""
        try:
            await asyncio.wait_for(self.gone.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def cut_soon(self) -> None:
        """End the connection after the served bytes have been sent."""
        self.cut_due = True
        asyncio.get_running_loop().call_later(_CUT_DELAY, self.abort)


class RequestCounter:
    """Counts a client's requests from its packets, because asyncssh serves one at a time."""

    def __init__(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self.under_way = 0
        self._buffer = bytearray()
        # only this way shows requests before they are served
        session: Any = chan._session  # noqa: SLF001
        receive, write = session.data_received, chan.write

        def count_received(data: bytes, datatype: int | None) -> None:
            self._buffer += data
            while len(self._buffer) > _TYPE_AT:
                end = _TYPE_AT + int.from_bytes(self._buffer[:_TYPE_AT], "big")
                if len(self._buffer) < end:
                    break
                self.under_way += 1
                del self._buffer[:end]
            receive(data, datatype)

        def count_written(data: bytes, datatype: int | None = None) -> None:
            # asyncssh writes packet by packet
            self.under_way -= 1
            write(data, datatype)

        session.data_received, chan.write = count_received, count_written  # type: ignore[method-assign]


def _make_refusal(operation: str, at: int = 0) -> Callable[..., Any]:
    """Return a method of Files that logs the path or file among its arguments, and refuses."""

    def refuse(files: Files, *arguments: Any) -> NoReturn:
        path = arguments[at]
        files.note(operation, path if isinstance(path, bytes) else os.path.relpath(path.name, files.root))
        raise asyncssh.SFTPPermissionDenied("Permission denied")

    return refuse


class Files(asyncssh.SFTPServer):
    """The files below a root, which can be read and listed."""

    def __init__(self, chan: asyncssh.SSHServerChannel[bytes], root: Path, policy: SftpPolicy, link: Link) -> None:
        self.root = os.fsencode(root.resolve())
        super().__init__(chan, chroot=self.root)
        self._policy, self._link, self._counter = policy, link, RequestCounter(chan)
        self._served: dict[object, int] = {}

    def map_path(self, path: bytes) -> bytes:
        """Return the path on disk; a link that leads out of the root counts as missing."""
        mapped = super().map_path(path)
        real = os.path.realpath(mapped)
        if real != self.root and not real.startswith(self.root + b"/"):
            raise asyncssh.SFTPNoSuchFile("No such file")
        return mapped

    def note(self, operation: str, path: bytes) -> PurePosixPath:
        """Log a request, and return its path below the root."""
        below = PurePosixPath(os.fsdecode(os.path.relpath(super().map_path(path), self.root)))
        self._policy.log.append((operation, str(below)))
        return below

    def _check(self, below: PurePosixPath, *, reading: bool) -> None:
        names = {str(below), *map(str, below.parents)}
        if names & self._policy.vanished:
            raise self._policy.refusal(asyncssh.FX_NO_SUCH_FILE, "No such file")
        if reading and names & self._policy.denied:
            raise self._policy.refusal(asyncssh.FX_PERMISSION_DENIED, "Permission denied")

    async def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> Any:
        if pflags & _WRITING:
            _make_refusal("write")(self, path)
        await self._check_requests()
        self._check(self.note("open", path), reading=True)
        return super().open(path, pflags, attrs)

    async def read(self, file_obj: object, offset: int, size: int) -> bytes:
        policy, link = self._policy, self._link
        if policy.drip and await link.wait_gone(policy.drip):
            raise asyncssh.SFTPConnectionLost("Connection lost")
        await self._check_requests()
        if policy.past_end != asyncssh.FX_EOF and offset >= (super().fstat(file_obj).st_size):  # type: ignore[union-attr]
            raise policy.refusal(policy.past_end, "Failure")
        if policy.early_ends and offset:
            policy.early_ends -= 1
            return b""
        served = self._served.get(file_obj, 0)
        cut_after = policy.cut_after if policy.cuts_left != 0 else None
        wanted = min(size, policy.answers_most or size) + policy.answers_more
        room = min([wanted, *(limit - served for limit in (cut_after, policy.stall_after) if limit is not None)])
        data = b""
        if room > 0 and not link.cut_due:
            data = cast("bytes", super().read(file_obj, offset, room))
            self._served[file_obj] = served = served + len(data)
            policy.served += len(data)
        if cut_after is not None and served >= cut_after and not link.cut_due:
            policy.cuts_left = policy.cuts_left and policy.cuts_left - 1
            if policy.when_cut is not None:
                policy.when_cut()
            link.cut_soon()
        if data or (room > 0 and not link.cut_due):
            return data
        await link.gone.wait()
        raise asyncssh.SFTPConnectionLost("Connection lost")

    async def _check_requests(self) -> None:
        most = self._policy.most_requests
        if most is None:
            return
        # not a sleep: asyncssh leaves files open if it is cancelled in one
        if await self._link.wait_gone(_REQUESTS_TOGETHER):
            raise asyncssh.SFTPConnectionLost("Connection lost")
        if self._counter.under_way <= most:
            return
        self._policy.log.append(("too many requests", str(self._counter.under_way)))
        if self._policy.too_many is not None:
            raise self._policy.refusal(self._policy.too_many, "Too many requests")
        self._link.abort()
        raise asyncssh.SFTPConnectionLost("Connection lost")

    def close(self, file_obj: object) -> Any:
        self._served.pop(file_obj, None)
        return super().close(file_obj)

    async def stat(self, path: bytes) -> Any:
        await self._check_requests()
        with self._missing_as_set():
            self._check(self.note("stat", path), reading=False)
            return self._attrs(cast("os.stat_result", super().stat(path)))

    def lstat(self, path: bytes) -> Any:
        with self._missing_as_set():
            self._check(self.note("lstat", path), reading=False)
            return self._attrs(cast("os.stat_result", super().lstat(path)))

    def fstat(self, file_obj: object) -> Any:
        return self._attrs(cast("os.stat_result", super().fstat(file_obj)))

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        policy, below = self._policy, self.note("list", path)
        await self._check_requests()
        self._check(below, reading=True)
        if str(below) in policy.unlisted:
            raise policy.refusal(asyncssh.FX_PERMISSION_DENIED, "Permission denied")
        with self._missing_as_set():
            folder = Path(os.fsdecode(self.map_path(path)))
            found = [(".", folder), ("..", folder), *((entry.name, entry) for entry in folder.iterdir())]
        for number, (name, entry) in enumerate(found):
            if number % 100 == 0:
                await asyncio.sleep(policy.listing_delay)
            if number == policy.listing_breaks_after:
                raise policy.refusal(asyncssh.FX_FAILURE, "Failure")
            with suppress(FileNotFoundError):
                followed = policy.links is Links.FOLLOWED
                attrs = self._attrs(entry.stat() if followed else entry.lstat())
                yield asyncssh.SFTPName(os.fsencode(name), policy.longname or b"", attrs)
        for extra in policy.extra_names:
            yield asyncssh.SFTPName(extra, policy.longname or b"", asyncssh.SFTPAttrs(size=0))

    def format_longname(self, name: asyncssh.SFTPName) -> Any:
        """Return a long name; None if attributes have no permission bits."""
        return super().format_longname(name) if self._policy.permissions else None

    def _attrs(self, status: os.stat_result) -> asyncssh.SFTPAttrs:
        attrs = asyncssh.SFTPAttrs.from_local(status)
        if not self._policy.permissions:
            attrs.permissions = None
        attrs.size = self._policy.sizes.state_size(attrs.size)
        return attrs

    @contextmanager
    def _missing_as_set(self) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, NotADirectoryError, asyncssh.SFTPNoSuchFile):
            raise self._policy.refusal(self._policy.missing, "No such file") from None

    write = _make_refusal("write")
    setstat = lsetstat = fsetstat = _make_refusal("setstat")
    remove = _make_refusal("remove")
    mkdir = _make_refusal("mkdir")
    rmdir = _make_refusal("rmdir")
    rename = posix_rename = _make_refusal("rename")
    symlink = _make_refusal("symlink", at=1)
    link = _make_refusal("link", at=1)
