"""Define the project's errors in one tree.

Messages name the key, role or host, and never a payload, a key or a secret. *temporary*: a retry may help.

PismoError
├── ConfigError           a delivery or a setting is wrong
│   ├── NoLedgerError        the given place has no ledger
│   └── ParamsError          the Params of a run are wrong, or do not fit together
├── ChecksFailedError     checks of the doctor failed: rights, keys or settings are missing
├── SourceError           one object, or one right, at Pismo's side; has `.key`
│   ├── AccessDenied
│   │   ├── ListingDenied    no s3:ListBucket: a supported mode
│   │   ├── KmsDenied        the object may be read, its KMS key may not be used
│   │   ├── RoleDenied       sts:AssumeRole was refused
│   │   ├── KeysDenied       the server accepts none of the SSH keys
│   │   └── HostKeyDenied    the server shows another host key than the pinned one
│   ├── NoEventFileError     a file given by hand holds no event
│   ├── SourceRefused        the source cannot be used as configured: no such bucket, another region, a wrong clock
│   ├── FileArchived         the object is in an archived storage class: it must be restored first
│   ├── QuarantinedError     too many attempts to land the object failed; it is tried only on demand
│   ├── FileMissing          temporary: announced or listed, but missing
│   ├── SizeMismatch         temporary: another size than announced
│   └── SourceUnavailable    temporary: throttled, cut off, timed out
├── NoticeError           a message that is not a notice of this delivery; it stays in the queue
├── FramingError          an event file in an unknown form; the raw file is kept
├── LandingIncompleteError  temporary: some files were not landed, all others were
│   └── LandingRefusedError     the same, but a retry cannot help
├── LedgerError           temporary: the ledger cannot be reached
│   └── LedgerRefused           no database, no right to it, or a read-only disk
│       └── LedgerVersionError      the ledger is older or newer than this program
├── ReplayError           events cannot be sent again as asked for
│   ├── EventsRefusedError      some events cannot be sent to the target, all others were
│   ├── SeenFileError           a file with the ids that a consumer has cannot be read
│   ├── ReplayTakenOverError    another process sends the events of the same replay
│   ├── TargetRefused           the target of a replay refuses: a right, an address or a secret is wrong
│   │   └── TargetDenied            a right of its connection is missing
│   └── TargetUnavailable       temporary: the target does not answer, or takes no more for now
├── LedgerMismatchError   the ledger is not the lake's present one: another one, an older copy, or a new one
├── StorageError          a file of landing or lake cannot be read or written; has `.uri`
│   ├── StorageRefused          a right, a bucket or a setting is missing or wrong
│   └── StorageUnavailable      temporary: no answer, throttled, or a full disk
└── LakeError             data in the lake or in landing is wrong or missing
    ├── LandedFileError         a landed file, or its index, is gone or has changed
    │   ├── IndexGoneError          the index of a landed file is not there any more
    │   ├── RawChangedError         the bytes of a landed file are not those that were landed
    │   └── MemoryShortError        a file needs more memory than the process may have
    ├── BuildIncompleteError    some units could not be built, all others were
    ├── IndexIncompleteError    some landed files could not be indexed, all others were
    ├── UnbalancedError         a closed day's control totals differ
    ├── DayIncompleteError      a closed day is not complete
    ├── BuildSupersededError    temporary: other runs took the part over again and again
    └── TableBusyError          temporary: other runs changed a table again and again, or its catalog does not answer
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class PismoError(Exception):
    """Root of the tree; if `permanent`, a retry cannot help."""

    permanent: ClassVar[bool] = True


class ConfigError(PismoError):
    """A delivery or a setting is wrong."""


class NoLedgerError(ConfigError):
    """The given place has no ledger, and none may be created."""


class ParamsError(ConfigError):
    """The Params of a run are wrong, or do not fit together."""


class ChecksFailedError(PismoError):
    """Checks of the doctor failed: rights, keys or settings are missing."""


class SourceError(PismoError):
    """An error of one object, or of one right, at the source."""

    def __init__(self, message: str, *, key: str = "") -> None:
        super().__init__(message)
        self.key = key


class AccessDenied(SourceError):  # noqa: N818 - the name the field uses
    """A right is missing."""


class ListingDenied(AccessDenied):
    """`s3:ListBucket` is not granted."""


class KmsDenied(AccessDenied):
    """The bucket's KMS key may not be used for decryption."""


class RoleDenied(AccessDenied):
    """`sts:AssumeRole` was refused."""


class KeysDenied(AccessDenied):
    """The SFTP server accepted none of the keys."""


class HostKeyDenied(AccessDenied):
    """The SFTP server's host key is not the pinned one."""


class NoEventFileError(SourceError):
    """A file that was given by hand holds no event; it is not landed."""


class SourceRefused(SourceError):  # noqa: N818 - like its siblings
    """The source cannot be used as configured; this affects each of its objects."""


class FileArchived(SourceError):  # noqa: N818 - like its siblings
    """The object is in an archived storage class and must be restored before it can be read."""


class QuarantinedError(SourceError):
    """Too many attempts to land the object have failed; it is tried again only on demand."""


class FileMissing(SourceError):  # noqa: N818 - a noun of this field
    """The object is missing."""

    permanent = False


class SizeMismatch(SourceError):  # noqa: N818 - a noun of this field
    """The object has another size than announced."""

    permanent = False


class SourceUnavailable(SourceError):  # noqa: N818 - a noun of this field
    """The source did not answer correctly; try again."""

    permanent = False


class NoticeError(PismoError):
    """A message that is no notice, or a notice of another organisation or bucket."""


class FramingError(PismoError):
    """The file has a form that cannot be read."""


class LedgerError(PismoError):
    """The ledger cannot be reached or opened."""

    permanent = False


class LedgerMismatchError(PismoError):
    """The ledger is not the lake's present one; the message names the command that repairs it."""


class ReplayError(PismoError):
    """Events cannot be sent again as asked for."""


class EventsRefusedError(ReplayError):
    """Some events of a replay cannot be sent to its target; all others were."""


class SeenFileError(ReplayError):
    """A file with the ids of events is missing or damaged, or holds no ids."""


class ReplayTakenOverError(ReplayError):
    """Another process sends the events of the same replay; this one has ended."""


class TargetRefused(ReplayError):  # noqa: N818 - like its siblings
    """The target of a replay refuses: a right, an address or a secret is wrong."""


class TargetDenied(TargetRefused):
    """The target of a replay denies a call: its connection lacks a right."""


class TargetUnavailable(ReplayError):  # noqa: N818 - like its siblings
    """The target of a replay does not answer, or takes no more for now; try again."""

    permanent = False


class LedgerRefused(LedgerError):  # noqa: N818 - like its siblings
    """The ledger is no database, its disk is read-only, or it refuses this user."""

    permanent = True


class LedgerVersionError(LedgerRefused):
    """The version of the ledger is older or newer than the one that this program needs."""


class StorageError(PismoError):
    """A file of landing or lake cannot be read or written."""

    def __init__(self, message: str, *, uri: str = "") -> None:
        super().__init__(message)
        self.uri = uri


class StorageRefused(StorageError):  # noqa: N818 - like its siblings
    """A right, a bucket or a setting of the storage is missing or wrong."""


class StorageUnavailable(StorageError):  # noqa: N818 - like its siblings
    """The storage did not answer correctly, or its disk is full; try again."""

    permanent = False


class LakeError(PismoError):
    """Data in the lake or in landing is wrong or missing."""


class LandedFileError(LakeError):
    """A landed file, or its index, is gone or has changed; `name` is the landed version's."""

    def __init__(self, message: str, *, key: str, name: str = "") -> None:
        super().__init__(message)
        self.key = key
        self.name = name

    def __reduce__(self) -> tuple[Any, ...]:
        return _landed_file_error, (type(self), str(self), self.key, self.name)


class IndexGoneError(LandedFileError, FileNotFoundError):
    """The index of a landed file is not there any more."""


class RawChangedError(LandedFileError):
    """The bytes of a landed file are not those that were landed; an erasure may have blanked them."""


class MemoryShortError(LandedFileError):
    """A file needs more memory than the process may have."""


def _landed_file_error(kind: type[LandedFileError], message: str, key: str, name: str) -> LandedFileError:
    """Restore the error in another process."""
    return kind(message, key=key, name=name)


class IndexIncompleteError(LakeError):
    """Landed files could not be indexed; `failures` has each reason, by file name.

    Their events are not in the lake.
    """

    def __init__(self, failures: Sequence[tuple[str, str]]) -> None:
        shown = "; ".join(f"{name}: {problem}" for name, problem in failures[:5])
        super().__init__(f"{len(failures)} landed file(s) could not be indexed, so their events are missing: {shown}")
        self.failures = dict(failures)


class BuildIncompleteError(LakeError):
    """Units could not be built, all others were; `failures` has each unit's error."""

    def __init__(self, failures: Mapping[str, PismoError]) -> None:
        shown = "; ".join(f"{unit}: {error}" for unit, error in failures.items())
        super().__init__(f"{len(failures)} unit(s) could not be built, all others are: {shown}")
        self.failures = dict(failures)


class UnbalancedError(LakeError):
    """A closed day's control totals differ; the message names each difference."""


class DayIncompleteError(LakeError):
    """A closed day is not complete; the message has the reasons, like its report."""


class BuildSupersededError(LakeError):
    """Other runs took the part over, or widened its columns, each time that it was built."""

    permanent = False


class StalePlanError(BuildSupersededError):
    """The plan of a close is not valid any more: another run took the day over, or its inputs have changed."""


class TableBusyError(LakeError):
    """Other runs changed a table each time that it was committed, or its catalog does not answer."""

    permanent = False


class LandingIncompleteError(PismoError):
    """Some files could not be landed; all others were. `failures` has the error of each key."""

    permanent = False

    def __init__(self, failures: Mapping[str, PismoError]) -> None:
        shown = "; ".join(f"{key}: {error}" for key, error in list(failures.items())[:5])
        super().__init__(f"{len(failures)} file(s) not landed, the others are: {shown}")
        self.failures = dict(failures)


class LandingRefusedError(LandingIncompleteError):
    """Files could not be landed, and a retry cannot help: missing rights, wrong keys."""

    permanent = True


def landing_error(failures: Mapping[str, PismoError]) -> LandingIncompleteError:
    """Return the error for failed files; it is permanent if a retry can help none of them."""
    refused = all(error.permanent for error in failures.values())
    return (LandingRefusedError if refused else LandingIncompleteError)(failures)
