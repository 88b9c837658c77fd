"""Land event files: write the unchanged bytes, and record them in the ledger.

Downloads run in parallel. Each writes its file, and the ledger records several at a time. Bytes in landing are never
overwritten by other bytes. A crash at any point leaves files that the next run finds. The index is made later.
"""

from __future__ import annotations

import hashlib
import logging
import time
import traceback
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pismo_lake import storage
from pismo_lake.errors import (
    ConfigError,
    HostKeyDenied,
    KeysDenied,
    PismoError,
    RoleDenied,
    SizeMismatch,
    SourceError,
    SourceRefused,
    StorageError,
)
from pismo_lake.hours import NO_HOUR, hour_of_key
from pismo_lake.landing.pool import Crew
from pismo_lake.landing.remote_file import RemoteFile
from pismo_lake.ledger.binding import LakeBinding
from pismo_lake.ledger.raw_files import RawFile, RawLedger
from pismo_lake.ledger.sightings import Sightings
from pismo_lake.paths import can_be_kept, is_event_file, landing_path, safe_key
from pismo_lake.progress import SILENT, size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import Self

    from pismo_lake.ledger import Ledger
    from pismo_lake.ledger.raw_files import Version
    from pismo_lake.progress import Progress
    from pismo_lake.settings.lake import LakeSettings

    Fetch = Callable[["RemoteFile"], AbstractContextManager[Iterator[bytes]]]

_LOG = logging.getLogger(__name__)
_PROGRESS_SECONDS = 10.0
# errors of these kinds can come from the content, the key, or an answer about one file
DEFECTS = (ArithmeticError, AssertionError, LookupError, TypeError, ValueError, RecursionError, MemoryError)
_NOTED_TOGETHER, _NOTED_SECONDS = 100, 1.0


@dataclass(frozen=True, slots=True)
class LandSummary:
    """The result of a landing.

    `skipped` files were in landing before. The `publish_hours` of the others wait for an index.
    """

    files: int
    skipped: int
    bytes: int
    publish_hours: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Landing:
    """The summary of a landing, and the error of each key that could not be landed."""

    summary: LandSummary
    failures: Mapping[str, PismoError]


def add_summaries(summaries: Iterable[LandSummary]) -> LandSummary:
    """Add the summaries of several landings."""
    every = list(summaries)
    hours = {hour for summary in every for hour in summary.publish_hours}
    return LandSummary(
        sum(summary.files for summary in every),
        sum(summary.skipped for summary in every),
        sum(summary.bytes for summary in every),
        tuple(sorted(hours)),
    )


def land_files(
    settings: LakeSettings,
    ledger: Ledger,
    files: Sequence[RemoteFile],
    fetch: Fetch,
    *,
    parallel: int = 8,
    anywhere: bool = False,
    seen_by: str = "listed",
    log: logging.Logger = _LOG,
    progress: Progress = SILENT,
) -> Landing:
    """Fetch and land `files`; a file that cannot be landed stops no other file.

    `fetch` opens a file as an iterator of chunks; `parallel` threads call it. Folder markers are left out. Keys
    outside an hour folder are refused, unless they may be `anywhere`. `seen_by` says how the files were found:
    ``listed`` | ``announced`` | ``asked for``.
    """
    # written as a file, a marker's name would block the folder of its files
    files = [file for file in files if is_event_file(file.key)]
    binding = LakeBinding(ledger, settings.lake, settings.delivery, settings.landing)
    binding.check_once()
    able = [file for file in files if can_be_kept(file.key)]
    failures = dict(_refuse_key(file) for file in files if not can_be_kept(file.key))
    sightings = Sightings(ledger, settings.lake, settings.delivery)
    sightings.note([*(file.key for file in able), *failures], seen_by)
    raws = RawLedger(ledger, settings.lake, settings.delivery)
    lander = _Lander(settings, fetch, raws.versions(file.key for file in able), anywhere=anywhere)
    done = _Done(raws, binding, len(able), log)
    progress.start("landing", len(able), sum(file.size or 0 for file in able))
    with Crew(lander.land, able, parallel, fatal=_holds_for_all) as crew, done:
        for file, came in crew.results():
            progress.advance(1, file.size or 0)
            if isinstance(came, _Landed):
                done.take(came, len(failures))
            elif isinstance(came, PismoError) and not _holds_for_all(came):
                log.warning("not landed: %s: %s", file.key, came)
                failures[file.key] = came
            else:
                raise came
    done.log_progress(len(failures))
    if failures:
        sightings.record_failures(failures)
    return Landing(done.summary(), failures)


def _refuse_key(file: RemoteFile) -> tuple[str, PismoError]:
    shown = safe_key(file.key)
    return shown, SourceError(f"{shown} has a NUL or half a character, which no ledger can store", key=shown)


@dataclass(frozen=True, slots=True)
class _Landed:
    """The result of one file: raw files to record, or the `same` version that was landed before."""

    file: RemoteFile
    raws: tuple[RawFile, ...]
    same: Version | None = None
    size: int = 0


def _holds_for_all(error: BaseException) -> bool:
    """Return whether an error affects every file: a refused credential, or a full disk."""
    every = RoleDenied | KeysDenied | HostKeyDenied | SourceRefused | StorageError
    return not isinstance(error, PismoError) or isinstance(error, every)


class _Lander:
    """Fetches and writes single files; many threads use it."""

    def __init__(
        self, settings: LakeSettings, fetch: Fetch, versions: Mapping[str, Sequence[Version]], *, anywhere: bool
    ) -> None:
        self._settings, self._fetch, self._versions, self._anywhere = settings, fetch, versions, anywhere

    def land(self, file: RemoteFile) -> _Landed:
        """Fetch a file and write it; an unexpected error fails only this file."""
        try:
            return self._land(file)
        except DEFECTS as error:
            # leave out the error's own text: it may quote the content
            place = traceback.extract_tb(error.__traceback__)[-1]
            msg = f"{file.key}: {type(error).__name__} at {Path(place.filename).name}:{place.lineno}, a defect"
            raise SourceError(msg, key=file.key) from error

    def _land(self, file: RemoteFile) -> _Landed:
        if not self._anywhere and hour_of_key(file.key) == NO_HOUR:
            # write nothing for a report, or for a key with a typing error
            msg = f"{file.key} is not directly in an hour folder, so it has no publish hour"
            raise ConfigError(msg)
        with self._fetch(file) as chunks:
            raw = b"".join(chunks)
        if file.size is not None and len(raw) != file.size:
            msg = f"{file.key} has {len(raw)} bytes, but {file.size} were announced"
            raise SizeMismatch(msg, key=file.key)
        versions = self._versions.get(file.key, ())
        same = next((version for version in versions if _holds(version, raw)), None)
        if same is not None:
            return self._land_again(file, same, raw)
        digest = hashlib.sha256(raw).hexdigest()
        mine = self._raw_file(file, file.key, len(raw), digest)
        if not versions and storage.create(mine.raw_uri, raw):
            return _Landed(file, (mine,), size=len(raw))
        kept = None if versions else storage.read_bytes(mine.raw_uri)
        if kept == raw:
            return _Landed(file, (mine,), size=len(raw))
        named = self._raw_file(file, f"{file.key}~{digest[:12]}", len(raw), digest)
        storage.write_atomic(named.raw_uri, raw)
        if kept is None:
            return _Landed(file, (named,), size=len(raw))
        # a run landed other bytes and was killed before it recorded them: record both versions
        other = self._raw_file(RemoteFile(file.key, len(kept)), file.key, len(kept))
        return _Landed(file, (other, named), size=len(raw))

    def _raw_file(self, file: RemoteFile, name: str, size: int, sha256: str | None = None) -> RawFile:
        uri = storage.join(self._settings.landing, landing_path(self._settings.delivery, name))
        return RawFile(name, file.key, size, file.etag, sha256, uri, file.published_at)

    def _land_again(self, file: RemoteFile, same: Version, raw: bytes) -> _Landed:
        """Put back the removed raw bytes or index of a landed file, which was asked for again.

        Bytes that are put back are indexed again: erased events in them are blanked then.
        """
        lost = not storage.exists(same.raw_uri)
        if lost:
            storage.write_atomic(same.raw_uri, raw)
        lost |= same.index_uri is not None and not storage.exists(same.index_uri)
        again = replace(self._raw_file(file, same.name, len(raw), same.sha256), raw_uri=same.raw_uri)
        return _Landed(file, (again,) if lost else (), same)


def _holds(version: Version, raw: bytes) -> bool:
    """Return whether a version has these bytes; if it was lost before its index, compare sizes."""
    if version.size != len(raw):
        return False
    if version.sha256 is not None:
        return version.sha256 == hashlib.sha256(raw).hexdigest()
    try:
        return storage.read_bytes(version.raw_uri) == raw
    except FileNotFoundError:
        return True


class _Done:
    """Records landed files, and logs the progress."""

    def __init__(self, raws: RawLedger, binding: LakeBinding, total: int, log: logging.Logger) -> None:
        self._raws, self._binding, self._total, self._log = raws, binding, total, log
        self._hours: set[str] = set()
        self._unnoted: list[_Landed] = []
        self._started = self._logged = self._noted = time.monotonic()
        self._files = self._skipped = self._bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.note()

    def take(self, landed: _Landed, failed: int) -> None:
        """Record files in the ledger, several at a time; after a kill, the next run finds the rest."""
        self._unnoted.append(landed)
        if len(self._unnoted) >= _NOTED_TOGETHER or time.monotonic() - self._noted > _NOTED_SECONDS:
            self.note()
        if time.monotonic() - self._logged > _PROGRESS_SECONDS:
            self._logged = time.monotonic()
            self.log_progress(failed)

    def note(self) -> None:
        """Record the files that are landed and not yet noted."""
        landed, self._unnoted, self._noted = self._unnoted, [], time.monotonic()
        noted = [raw for one in landed for raw in one.raws]
        if noted:
            # not earlier: a landing without files must not create a lake
            self._binding.bind()
            self._raws.note(noted)
        known = {one.same.name: (one.file.key, one.file.etag) for one in landed if one.same is not None}
        if known:
            self._raws.touch(known)
        self._hours.update(raw.publish_hour for raw in noted)
        self._skipped += len(known)
        self._files += len(landed) - len(known)
        self._bytes += sum(one.size for one in landed)

    def log_progress(self, failed: int) -> None:
        """Log a line of progress."""
        speed = size_text(self._bytes / max(time.monotonic() - self._started, 1e-6))
        done = self._files + self._skipped + failed
        self._log.info(
            "landing: %d of %d files, %s, %s/s, %d to go",
            done, self._total, size_text(self._bytes), speed, max(self._total - done, 0),
        )  # fmt: skip

    def summary(self) -> LandSummary:
        """Return the summary of the files landed so far."""
        return LandSummary(self._files, self._skipped, self._bytes, tuple(sorted(self._hours - {NO_HOUR})))
