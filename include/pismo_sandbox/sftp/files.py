"""What the in-process SFTP server serves: the files below a root, for reading only, with the faults of a policy."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NoReturn, cast

import asyncssh

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

_WRITING = asyncssh.FXF_WRITE | asyncssh.FXF_APPEND | asyncssh.FXF_CREAT | asyncssh.FXF_TRUNC
# long enough that what was served is with the client when its connection is cut
_CUT_DELAY = 0.3


@dataclass(slots=True)
class SftpPolicy:
    """What the server allows and which faults it plays; paths are relative to its root, a folder stands for all in it.

    `cut_after` and `stall_after` count the bytes served of one opened file. `connections` counts the connections that
    are open now, `made` all that were made.
    """

    authorized: list[str]
    cut_after: int | None = None
    cuts_left: int | None = None
    stall_after: int | None = None
    drip: float | None = None
    denied: set[str] = field(default_factory=set)
    vanished: set[str] = field(default_factory=set)
    listing_delay: float = 0.0
    refuse_connections: bool = False
    silent: bool = False
    log: list[tuple[str, str]] = field(default_factory=list)
    connections: int = 0
    made: int = 0
    most_connections: int = 0


class Link:
    """One client's TCP connection."""

    def __init__(self, transport: asyncio.WriteTransport) -> None:
        self._transport = transport
        self.gone = asyncio.Event()
        self.cut_due = False

    def abort(self) -> None:
        """End it at once."""
        self._transport.abort()
        self.gone.set()

    async def gone_within(self, seconds: float) -> bool:
        """Whether the connection ends in that time; waits it out where it does not."""
        try:
            await asyncio.wait_for(self.gone.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def cut_soon(self) -> None:
        """End it when what was served has gone out."""
        self.cut_due = True
        asyncio.get_running_loop().call_later(_CUT_DELAY, self.abort)


def _refused(operation: str, at: int = 0) -> Callable[..., Any]:
    """A method of Files that notes the path, or opened file, among its arguments, and denies."""

    def refuse(files: Files, *arguments: Any) -> NoReturn:
        path = arguments[at]
        files.note(operation, path if isinstance(path, bytes) else os.path.relpath(path.name, files.root))
        raise asyncssh.SFTPPermissionDenied("Permission denied")

    return refuse


class Files(asyncssh.SFTPServer):
    """The files below a root, to be read and listed."""

    def __init__(self, chan: asyncssh.SSHServerChannel[bytes], root: Path, policy: SftpPolicy, link: Link) -> None:
        self.root = os.fsencode(root.resolve())
        super().__init__(chan, chroot=self.root)
        self._policy, self._link = policy, link
        self._served: dict[object, int] = {}

    def map_path(self, path: bytes) -> bytes:
        """Where it stands on disk; a link that leads out of the root leads nowhere."""
        mapped = super().map_path(path)
        real = os.path.realpath(mapped)
        if real != self.root and not real.startswith(self.root + b"/"):
            raise asyncssh.SFTPNoSuchFile("No such file")
        return mapped

    def note(self, operation: str, path: bytes) -> PurePosixPath:
        """Log what was asked for; where that is below the root."""
        below = PurePosixPath(os.fsdecode(os.path.relpath(super().map_path(path), self.root)))
        self._policy.log.append((operation, str(below)))
        return below

    def _check(self, below: PurePosixPath, *, reading: bool) -> None:
        names = {str(below), *map(str, below.parents)}
        if names & self._policy.vanished:
            raise asyncssh.SFTPNoSuchFile("No such file")
        if reading and names & self._policy.denied:
            raise asyncssh.SFTPPermissionDenied("Permission denied")

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> Any:
        if pflags & _WRITING:
            _refused("write")(self, path)
        self._check(self.note("open", path), reading=True)
        return super().open(path, pflags, attrs)

    async def read(self, file_obj: object, offset: int, size: int) -> bytes:
        policy, link = self._policy, self._link
        if policy.drip and await link.gone_within(policy.drip):
            raise asyncssh.SFTPConnectionLost("Connection lost")
        served = self._served.get(file_obj, 0)
        cut_after = policy.cut_after if policy.cuts_left != 0 else None
        room = min([size, *(limit - served for limit in (cut_after, policy.stall_after) if limit is not None)])
        data = b""
        if room > 0 and not link.cut_due:
            data = cast("bytes", super().read(file_obj, offset, room))
            self._served[file_obj] = served = served + len(data)
        if cut_after is not None and served >= cut_after and not link.cut_due:
            policy.cuts_left = policy.cuts_left and policy.cuts_left - 1
            link.cut_soon()
        if data or (room > 0 and not link.cut_due):
            return data
        await link.gone.wait()
        raise asyncssh.SFTPConnectionLost("Connection lost")

    def close(self, file_obj: object) -> Any:
        self._served.pop(file_obj, None)
        return super().close(file_obj)

    def stat(self, path: bytes) -> Any:
        self._check(self.note("stat", path), reading=False)
        return super().stat(path)

    def lstat(self, path: bytes) -> Any:
        self._check(self.note("lstat", path), reading=False)
        return super().lstat(path)

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        self._check(self.note("list", path), reading=True)
        folder = Path(os.fsdecode(self.map_path(path)))
        for number, found in enumerate([(".", folder), ("..", folder), *((e.name, e) for e in folder.iterdir())]):
            if number % 100 == 0:
                await asyncio.sleep(self._policy.listing_delay)
            with suppress(FileNotFoundError):
                attrs = asyncssh.SFTPAttrs.from_local(found[1].lstat())
                yield asyncssh.SFTPName(os.fsencode(found[0]), attrs=attrs)

    write = _refused("write")
    setstat = lsetstat = fsetstat = _refused("setstat")
    remove = _refused("remove")
    mkdir = _refused("mkdir")
    rmdir = _refused("rmdir")
    rename = posix_rename = _refused("rename")
    symlink = _refused("symlink", at=1)
    link = _refused("link", at=1)
