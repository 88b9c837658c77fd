"""Name the file and the other side's reason in errors of disks and object stores."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pismo_lake.errors import LakeError, PismoError, StorageError, StorageRefused, StorageUnavailable
from pismo_lake.faults import Fault, reason_of, remove_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

_PASSING_ON_DISK = frozenset({
    errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EBUSY,
    errno.EINTR, errno.ESTALE, errno.ETIMEDOUT,
})  # fmt: skip
_ON_DISK = {
    errno.ENOSPC: "free some space on its disk",
    errno.EDQUOT: "raise the quota, or free some space",
    errno.EACCES: "give the user that runs this the right to it",
    errno.EPERM: "give the user that runs this the right to it",
    errno.EROFS: "its file system is mounted read-only",
}
_LIBRARIES = frozenset({"aiobotocore", "aiohttp", "azure", "boto3", "botocore", "fsspec", "google", "s3fs", "urllib3"})
# callers handle these: no such file, a folder instead of a file, a file that exists already
_ANSWERS = (FileNotFoundError, IsADirectoryError, NotADirectoryError, FileExistsError)


_TOO_LONG = "KeyTooLongError"
_ADVICE = "give the identity of storage_conn_id the rights to list, read, write and delete there"


@contextmanager
def naming(uri: str, done: str, advice: str = _ADVICE) -> Iterator[None]:
    """Raise a `StorageError` that names the file if the disk or the store refuses.

    A path that is too long is the fault of this file alone, so it is a `LakeError`. `done` is the participle of the
    work: ``read``, ``written``, ``listed``. If there is no file, or one already, this is an answer and no error.
    `advice` is for a right that is missing.
    """
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        if isinstance(error, _ANSWERS) and is_missing(error):
            raise
        if not _is_foreign(error):
            raise
        raise _convert(error, uri, done, advice) from error


@contextmanager
def sound(uri: str, problem: str = "is damaged, restore it or build it again") -> Iterator[None]:
    """Raise a `LakeError` that names the file and the problem if its content is damaged."""
    try:
        yield
    except Exception as error:
        if not is_of_content(error):
            raise
        msg = f"{uri} {problem}: {type(error).__name__}: {remove_secrets(str(error))}"
        raise LakeError(msg) from error


def is_of_content(error: Exception) -> bool:
    """Return whether an error says that content cannot be read: an error of Arrow, JSON or an encoding.

    A missing file, an error of a disk and a lack of memory are none.
    """
    if isinstance(error, OSError):
        # Arrow's own have no number
        return error.errno is None and not isinstance(error, FileNotFoundError)
    of_arrow = type(error).__module__.partition(".")[0] == "pyarrow" and not isinstance(error, MemoryError)
    return of_arrow or isinstance(error, (ValueError, LookupError, TypeError))


def is_missing(error: OSError) -> bool:
    """Return whether a file is missing, and not the bucket that it should be in."""
    return reason_of(error).fault is not Fault.SETUP


def _is_foreign(error: Exception) -> bool:
    """Return whether a disk, a store or their libraries raised it; else it is a defect of ours."""
    library = type(error).__module__.partition(".")[0]
    return isinstance(error, OSError) or library in _LIBRARIES


def _convert(error: Exception, uri: str, done: str, advice: str) -> PismoError:
    if "://" not in uri or uri.startswith("file://"):
        number = error.errno if isinstance(error, OSError) else None
        if number == errno.ENAMETOOLONG:
            return LakeError(f"{uri} cannot be {done}: {os.strerror(number)}")
        text = os.strerror(number) if number else str(error) or type(error).__name__
        how = f"; {_ON_DISK[number]}" if number in _ON_DISK else ""
        kind = StorageUnavailable if number in _PASSING_ON_DISK else StorageRefused
        return kind(f"{uri} cannot be {done}: {text}{how}", uri=uri)
    reason = reason_of(error)
    text = f"{uri} cannot be {done}: {reason}"
    if reason.code == _TOO_LONG:
        return LakeError(text)
    if reason.fault is Fault.DENIED and not reason.advice:
        text += f"; {advice}"
    return (StorageRefused if reason.fault.permanent else StorageUnavailable)(text, uri=uri)


class NamedFile:
    """A file of an object store whose reads name it if they fail."""

    def __init__(self, file: Any, uri: str) -> None:
        self._file, self._uri = file, uri

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes, or all that is left."""
        with naming(self._uri, "read"):
            return bytes(self._file.read(size))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
