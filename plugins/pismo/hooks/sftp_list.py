"""List folders of an SFTP server, and find out whether a refused folder exists."""

from __future__ import annotations

import asyncio
import re
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import asyncssh

from pismo.hooks.loop_thread import gather_or_cancel
from pismo.hooks.sftp_errors import LOST, MISSING, reason_of
from pismo_lake.landing.remote_file import RemoteFile
from pismo_lake.paths import can_be_kept

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pismo.hooks.sftp_session import Session
    from pismo_lake.settings.channels import SftpSource

_FOLDERS_AT_ONCE, _LOOKS_AT_ONCE = 8, 16
_LONG_NAME = re.compile(rb"([-dlbcps])[-rwxsStTlL]{9}[.+@]?\s")
_KINDS = {
    b"-": asyncssh.FILEXFER_TYPE_REGULAR,
    b"d": asyncssh.FILEXFER_TYPE_DIRECTORY,
    b"l": asyncssh.FILEXFER_TYPE_SYMLINK,
}
_FILE, _FOLDER = asyncssh.FILEXFER_TYPE_REGULAR, asyncssh.FILEXFER_TYPE_DIRECTORY
_LINK, _UNKNOWN = asyncssh.FILEXFER_TYPE_SYMLINK, asyncssh.FILEXFER_TYPE_UNKNOWN


class Server(Protocol):
    """The parts of the hook that a listing needs."""

    place: str
    source: SftpSource

    @property
    def log(self) -> Any:
        """The hook's log."""

    async def persist(self, work: Callable[[Session], Awaitable[Any]], key: str) -> Any:
        """Do some work on a session, and repeat it on another session if that one is lost."""

    def path_of(self, key: str) -> bytes:
        """Return a key's path at the server."""


@dataclass(frozen=True, slots=True)
class _Refused:
    """A folder that cannot be listed, and that may be missing."""

    reason: str


class Listing:
    """One listing of some folders.

    If a folder is refused, its parent is listed once, and the names in it are kept for its other folders.
    """

    def __init__(self, server: Server) -> None:
        self._server, self._source, self._log = server, server.source, server.log
        self._folders, self._looks = asyncio.Semaphore(_FOLDERS_AT_ONCE), asyncio.Semaphore(_LOOKS_AT_ONCE)
        self._above: dict[str, frozenset[str] | None] = {}
        self._asking = asyncio.Lock()

    async def files(self, groups: Sequence[Sequence[str]]) -> list[RemoteFile]:
        """List groups of folders, each the spellings of one hour; a missing folder has no files.

        Some servers refuse a missing folder instead of reporting it as missing. A refused folder counts as missing if
        its parent can be listed and lacks it, or if another spelling of its hour can be listed.
        """
        firsts = await gather_or_cancel(self._look(group) for group in groups)
        # a busy server may refuse too, so list refused folders again, one at a time and without other requests
        self._above = {folder: names for folder, names in self._above.items() if names is not None}
        return [file for first in firsts for file in await self._settle(first)]

    async def _look(self, folders: Sequence[str]) -> dict[str, list[RemoteFile] | _Refused]:
        answers = await gather_or_cancel(self._one(folder, sure=False) for folder in folders)
        return dict(zip(folders, answers, strict=True))

    async def _settle(self, answers: dict[str, list[RemoteFile] | _Refused]) -> list[RemoteFile]:
        """Return the files of one hour; list its refused folders once more."""
        found: list[RemoteFile] = []
        listed = any(answer for answer in answers.values() if not isinstance(answer, _Refused))
        for folder, first in answers.items():
            answer = await self._one(folder, sure=not listed) if isinstance(first, _Refused) else first
            if isinstance(answer, _Refused):
                self._log.warning(
                    "%s/%s counts as missing: the server refuses it (%s), but another spelling can be listed",
                    self._server.place, folder, answer.reason,
                )  # fmt: skip
            else:
                found += answer
        return found

    async def _one(self, folder: str, *, sure: bool) -> list[RemoteFile] | _Refused:
        """List one folder; if it may be missing, return the refusal, or raise it if `sure`."""

        async def work(session: Session) -> list[RemoteFile] | _Refused:
            try:
                return await self._list(session, folder)
            except MISSING:
                return []
            except asyncssh.SFTPError as error:
                if isinstance(error, (*LOST, _BrokenOffError)):
                    raise
                there = await self._is_there(session, folder)
                if there is False:
                    return []
                if there is None and not sure:
                    return _Refused(reason_of(error))
                raise

        async with self._folders:
            answer: list[RemoteFile] | _Refused = await self._server.persist(work, folder)
            return answer

    async def _list(self, session: Session, folder: str) -> list[RemoteFile]:
        entries = await self._entries(session, folder)
        files = await gather_or_cancel(self._file(session, folder, entry) for entry in entries)
        return [file for file in files if file is not None]

    async def _entries(self, session: Session, folder: str, most: int | None = None) -> list[asyncssh.SFTPName]:
        """Read a folder's entries.

        Raises:
            TimeoutError: no entry arrived for `stall_seconds`.
        """
        # request bytes: with text, asyncssh fails for the whole folder if one name is not UTF-8
        path, found = self._server.path_of(folder.rstrip("/")), list[asyncssh.SFTPName]()

        async def collect() -> None:
            async with aclosing(session.client.scandir(path)) as entries:  # type: ignore[type-var]
                async for entry in entries:
                    if bytes(entry.filename) not in {b".", b".."}:  # type: ignore[arg-type]
                        found.append(entry)
                    if most is not None and len(found) >= most:
                        return

        async with session.request():
            task, seen = asyncio.create_task(collect()), -1
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            try:
                while not task.done():
                    await asyncio.wait({task}, timeout=self._source.stall_seconds)
                    if not task.done() and len(found) == seen:
                        raise TimeoutError
                    seen = len(found)
            finally:
                # do not await it: it would wait until the server closes the folder
                task.cancel()
        error = task.exception()
        if isinstance(error, asyncssh.SFTPError) and found and not isinstance(error, LOST):
            raise _BrokenOffError(f"the listing broke off after {len(found)} names: {reason_of(error)}") from error
        if error is not None:
            raise error
        return found

    # --- is it there? -----------------------------------------------------------------------------------------

    async def _is_there(self, session: Session, folder: str) -> bool | None:
        """Return whether an unlistable folder exists; None if that is unknown."""
        parent, _, name = folder.rstrip("/").rpartition("/")
        names = await self._names(session, parent)
        if names is not None:
            return name in names
        try:
            async with session.request() as client, asyncio.timeout(self._source.stall_seconds):
                await client.stat(self._server.path_of(folder.rstrip("/")))
        except MISSING:
            return False
        except asyncssh.SFTPError as error:
            if isinstance(error, LOST):
                raise
        else:
            return True
        return False if parent and await self._is_there(session, parent) is False else None

    async def _names(self, session: Session, folder: str) -> frozenset[str] | None:
        """Return the names in a folder; None if it cannot be listed."""
        async with self._asking:
            if folder not in self._above:
                try:
                    entries = await self._entries(session, folder)
                except MISSING:
                    entries = []
                except asyncssh.SFTPError as error:
                    if isinstance(error, LOST):
                        raise
                    self._above[folder] = None
                    return None
                self._above[folder] = frozenset(_text(entry).rstrip("/") for entry in entries)
            return self._above[folder]

    # --- kinds of entries -------------------------------------------------------------------------------------

    async def _file(self, session: Session, folder: str, entry: asyncssh.SFTPName) -> RemoteFile | None:
        """Return the event file of an entry; None (and a warning) if it is something else.

        Folder markers are dropped without a warning.
        """
        name = _text(entry)
        key, attrs = f"{folder}{name}", entry.attrs
        kind: int | None = _kind(entry)
        if key.endswith("/"):
            # a folder marker is not an event file
            kind = _FOLDER if name.strip("/") else None
        elif not can_be_kept(key):
            self._log.warning("%s/%s: its name is not UTF-8 or has a NUL", self._server.place, _escape(key))
        if kind is None:
            return None
        if kind in {_LINK, _UNKNOWN}:
            async with self._looks:
                attrs, kind = await self._follow(session, key, entry)
        if kind not in {_FILE, _UNKNOWN}:
            shown = "a folder" if kind == _FOLDER else "neither file nor folder"
            self._log.warning("%s/%s is %s, not an event file: not read", self._server.place, _escape(key), shown)
            return None
        version = f"mtime-{attrs.mtime}" if self._source.mtime_is_version and attrs.mtime is not None else None
        return RemoteFile(key, attrs.size if self._source.size_is_right else None, version)

    async def _follow(self, session: Session, key: str, entry: asyncssh.SFTPName) -> tuple[asyncssh.SFTPAttrs, int]:
        """Return attributes and kind of the file behind a link or without permission bits.

        If the server does not answer for it, it counts as a file: its landing fails and names it.
        """
        path = self._server.path_of(key)
        try:
            async with session.request() as client, asyncio.timeout(self._source.stall_seconds):
                attrs = await client.stat(path)
        except asyncssh.SFTPError as error:
            if isinstance(error, LOST):
                raise
            # a link's size is the length of its target's path
            return (asyncssh.SFTPAttrs() if _kind(entry) == _LINK else entry.attrs), _UNKNOWN
        if attrs.type == _UNKNOWN and await self._has_entries(session, key):
            return attrs, _FOLDER
        return attrs, attrs.type

    async def _has_entries(self, session: Session, key: str) -> bool:
        """Return whether a folder has entries.

        Servers over object stores may list any name as an empty folder.
        """
        try:
            return bool(await self._entries(session, key, most=1))
        except asyncssh.SFTPError as error:
            if isinstance(error, LOST):
                raise
            return False


class _BrokenOffError(asyncssh.SFTPError):
    """A listing failed after some of its names."""

    def __init__(self, reason: str) -> None:
        super().__init__(asyncssh.FX_FAILURE, reason)


def _text(entry: asyncssh.SFTPName) -> str:
    name = entry.filename
    return name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name


def _escape(key: str) -> str:
    """Return a key with escapes for bytes that are not UTF-8 and for unprintable letters."""
    text = key.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def _kind(entry: asyncssh.SFTPName) -> int:
    """Return the kind of an entry; without permission bits, take it from the long name."""
    if entry.attrs.type != _UNKNOWN:
        return entry.attrs.type
    long_name = entry.longname if isinstance(entry.longname, bytes) else (entry.longname or "").encode()
    found = _LONG_NAME.match(long_name)
    return _KINDS.get(found[1], asyncssh.FILEXFER_TYPE_SPECIAL) if found else _UNKNOWN
