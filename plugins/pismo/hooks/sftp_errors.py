"""The project's errors for those of asyncssh; texts name the place and the path, never a key."""

from __future__ import annotations

import asyncssh

from pismo_lake.errors import AccessDenied, FileMissing, HostKeyDenied, SourceError, SourceUnavailable

LOST = (
    asyncssh.DisconnectError, asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection, asyncssh.ChannelOpenError,
    OSError,
)  # fmt: skip
"""After these the connection is not to be used again; OSError has TimeoutError and ConnectionError under it."""

_MISSING = (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath)
_DENIED = (asyncssh.SFTPPermissionDenied, asyncssh.SFTPWriteProtect)


def named(error: Exception, place: str, key: str) -> SourceError:
    """What an error of asyncssh, or of the network below it, means for a path at a place."""
    if isinstance(error, SourceError):
        return error
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return HostKeyDenied(
            f"{place}: the server's host key is none of those pinned in the connection. It was changed, or this is"
            " another server: ask Pismo before you replace host_key",
            key=key,
        )
    if isinstance(error, _MISSING):
        return FileMissing(f"{place}/{key}: no such file", key=key)
    if isinstance(error, _DENIED):
        return AccessDenied(f"{place}/{key}: permission denied", key=key)
    if isinstance(error, asyncssh.KeyExchangeFailed):
        return AccessDenied(f"{place}: no common cipher, key exchange or host key algorithm", key=key)
    if isinstance(error, TimeoutError):
        return SourceUnavailable(f"{place}/{key}: no answer in time", key=key)
    return SourceUnavailable(f"{place}/{key}: {type(error).__name__}", key=key)
