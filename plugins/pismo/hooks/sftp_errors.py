"""Convert errors of asyncssh; messages have the place, path and reason, never a key."""

from __future__ import annotations

import asyncssh
from asyncssh.packet import PacketDecodeError

from pismo_lake.errors import AccessDenied, FileMissing, HostKeyDenied, SourceError, SourceUnavailable

LOST = (
    asyncssh.DisconnectError, asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection, asyncssh.ChannelOpenError,
    OSError,
)  # fmt: skip
"""After these the connection must not be used again; TimeoutError and ConnectionError are OSErrors."""

FAILED = (asyncssh.Error, OSError, PacketDecodeError)
"""All errors that asyncssh raises for a server; PacketDecodeError (a broken answer) is not an `asyncssh.Error`."""

MISSING = (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath)
_DENIED = (asyncssh.SFTPPermissionDenied, asyncssh.SFTPWriteProtect)
_LONGEST_REASON = 200


def convert_error(error: Exception, place: str, key: str) -> SourceError:
    """Convert an error of asyncssh, or of the network below it, at a path of a place."""
    if isinstance(error, SourceError):
        return error
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return HostKeyDenied(
            f"{place}: the server's host key differs from those pinned in the connection. It was changed, or this is"
            " another server: ask Pismo before you replace host_key",
            key=key,
        )
    reason = f" ({said})" if (said := reason_of(error)) else ""
    if isinstance(error, MISSING):
        return FileMissing(f"{place}/{key}: no such file{reason}", key=key)
    if isinstance(error, _DENIED):
        return AccessDenied(f"{place}/{key}: permission denied{reason}", key=key)
    if isinstance(error, asyncssh.KeyExchangeFailed):
        return AccessDenied(f"{place}: no common cipher, key exchange or host key algorithm{reason}", key=key)
    if isinstance(error, TimeoutError):
        return SourceUnavailable(f"{place}/{key}: no answer in time", key=key)
    return SourceUnavailable(f"{place}/{key}: {type(error).__name__}{reason}", key=key)


def reason_of(error: Exception) -> str:
    """Return the server's own reason in one line, or the system's reason for a network error."""
    if isinstance(error, asyncssh.Error):
        text = error.reason
    elif isinstance(error, OSError):
        text = error.strerror or str(error)
    else:
        text = str(error)
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]}…"
