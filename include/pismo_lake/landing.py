"""Land event files: raw bytes verbatim, their index, what they teach the contracts, and only then the record.

Downloads run side by side; indexing and recording go one by one in rank order, so that contracts and parts come
out the same however the downloads raced. A crash anywhere leaves files that the next run lands again, same bytes.
"""

from __future__ import annotations

import hashlib
import io
import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pismo_lake import storage
from pismo_lake.contract_store import ContractStore
from pismo_lake.errors import (
    ConfigError,
    KmsDenied,
    LandingIncompleteError,
    LandingRefusedError,
    PismoError,
    RoleDenied,
    SizeMismatch,
    SourceError,
)
from pismo_lake.indexing import index_bytes, make_index, published_at
from pismo_lake.later_copies import LaterCopies
from pismo_lake.layout import PublishHour, can_be_kept, index_path, landing_path, safe_key
from pismo_lake.ledger import FileRecord, KnownFile, Ledger
from pismo_lake.sightings import Sightings
from pismo_lake.workers import result_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from pismo_lake.index import IndexedFile
    from pismo_lake.settings import LakeSettings
    from pismo_lake.workers import Ahead, Workers

    Fetch = Callable[["RemoteFile"], AbstractContextManager[Iterator[bytes]]]

_LOG = logging.getLogger(__name__)
_PROGRESS_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """An event file at the source; `size` in bytes as listed or announced, None where unknown."""

    key: str
    size: int | None
    etag: str | None = None
    last_modified: datetime | None = None


@dataclass(frozen=True, slots=True)
class LandSummary:
    """What a landing did; `publish_hours` need a build for it, later hours that now hold a losing copy included."""

    files: int
    skipped: int
    bytes: int
    events: int
    rejects: int
    publish_hours: tuple[str, ...]
    unreadable: tuple[str, ...]


def merged(summaries: Iterable[LandSummary]) -> LandSummary:
    """Several landings as one."""
    every = list(summaries)
    files, skipped, size, events, rejects = (
        (
            sum(values)
            for values in zip(*((s.files, s.skipped, s.bytes, s.events, s.rejects) for s in every), strict=True)
        )
        if every
        else (0, 0, 0, 0, 0)
    )
    hours = {hour for summary in every for hour in summary.publish_hours}
    unreadable = tuple(name for summary in every for name in summary.unreadable)
    return LandSummary(files, skipped, size, events, rejects, tuple(sorted(hours)), unreadable)


@dataclass(frozen=True, slots=True)
class _Fetched:
    file: RemoteFile
    raw: bytes
    sha256: str
    ahead: Future[Ahead | None] | None = None


def new_files(files: Iterable[RemoteFile], known: Mapping[str, KnownFile]) -> list[RemoteFile]:
    """The files the ledger does not know, or knows with another size or ETag; each key once, in key order."""
    fresh: dict[str, RemoteFile] = {}
    for file in files:
        have = known.get(file.key)
        same_size = have is not None and file.size in (None, have.size)
        same_etag = have is not None and (not file.etag or not have.etag or file.etag == have.etag)
        if not (same_size and same_etag):
            fresh[file.key] = file
    return [fresh[key] for key in sorted(fresh)]


def land_files(
    settings: LakeSettings,
    ledger: Ledger,
    files: Sequence[RemoteFile],
    fetch: Fetch,
    *,
    parallel: int = 8,
    hour_of: Callable[[RemoteFile, IndexedFile], PublishHour] | None = None,
    later: LaterCopies | None = None,
    seen_by: str = "listed",
    workers: Workers | None = None,
    log: logging.Logger = _LOG,
) -> LandSummary:
    """Fetch and land `files`; raises `LandingIncompleteError` at the end where some could not be landed.

    `fetch` opens a file as an iterator of chunks. The publish hour is the key's, or `hour_of`'s answer. An
    unreadable file (zstd, …) is kept raw, recorded as that and named in the summary. `later` is kept from one landing
    to the next by who lands many batches. `seen_by` says how they were found: ``listed`` | ``announced`` | ``asked``.
    `workers` index files ahead of their turn.
    """
    ordered = sorted((file for file in files if can_be_kept(file.key)), key=_rank)
    sightings = Sightings(ledger, settings.lake, settings.delivery)
    sightings.note(ordered, seen_by)
    lander = Lander(settings, ledger, hour_of, later)
    failures: list[tuple[str, PismoError]] = [_unkept(file) for file in files if not can_be_kept(file.key)]
    started = told = time.monotonic()
    with ThreadPoolExecutor(max_workers=parallel, thread_name_prefix="land") as pool:
        # as many downloads ahead as there are workers: memory stays bounded by `parallel` files
        ahead: list[Future[_Fetched]] = []
        waiting = iter(ordered)
        for position in range(len(ordered)):
            while len(ahead) < parallel and (following := next(waiting, None)) is not None:
                ahead.append(pool.submit(_fetch, following, fetch, workers))
            try:
                lander.land(ahead.pop(0).result(), log)
            except (RoleDenied, KmsDenied):
                # these hold for every file: there is no use in asking for the others
                for future in ahead:
                    future.cancel()
                raise
            except PismoError as error:
                failures.append((ordered[position].key, error))
                log.warning("not landed: %s: %s", ordered[position].key, error)
            if time.monotonic() - told > _PROGRESS_SECONDS:
                told = time.monotonic()
                _progress(log, position + 1, len(ordered), lander, told - started)
    _progress(log, len(ordered), len(ordered), lander, time.monotonic() - started)
    if workers is not None:
        log.info("landing: %d of %d files were indexed ahead", lander.ahead, len(ordered))
    if failures:
        sightings.failed(dict(failures))
        raise incomplete(failures, lander.summary())
    return lander.summary()


def incomplete(failures: Sequence[tuple[str, PismoError]], summary: LandSummary) -> LandingIncompleteError:
    """The error for files that were not landed: a permanent one where no other try can help."""
    refused = all(error.permanent for _, error in failures)
    return (LandingRefusedError if refused else LandingIncompleteError)(failures, summary)


def _unkept(file: RemoteFile) -> tuple[str, PismoError]:
    shown = safe_key(file.key)
    return shown, SourceError(f"{shown} holds a NUL or half a character, no ledger can keep it", key=shown)


def _rank(file: RemoteFile) -> tuple[str, str]:
    return (str(PublishHour.of_key(file.key) or ""), file.key)


def _progress(log: logging.Logger, done: int, total: int, lander: Lander, seconds: float) -> None:
    speed = lander.bytes / 1e6 / max(seconds, 1e-6)
    log.info(
        "landing: %d of %d files, %d events, %.1f MB, %.1f MB/s, %d to go",
        done, total, lander.events, lander.bytes / 1e6, speed, total - done,
    )  # fmt: skip


def _fetch(file: RemoteFile, fetch: Fetch, workers: Workers | None) -> _Fetched:
    buffer, digest = io.BytesIO(), hashlib.sha256()
    with fetch(file) as chunks:
        for chunk in chunks:
            digest.update(chunk)
            buffer.write(chunk)
    raw = buffer.getvalue()
    if file.size is not None and len(raw) != file.size:
        msg = f"{file.key} came with {len(raw)} bytes, {file.size} were announced"
        raise SizeMismatch(msg, key=file.key)
    return _Fetched(file, raw, digest.hexdigest(), workers.index(raw, file) if workers is not None else None)


class Lander:
    """Indexes and records fetched files one by one."""

    def __init__(
        self,
        settings: LakeSettings,
        ledger: Ledger,
        hour_of: Callable[[RemoteFile, IndexedFile], PublishHour] | None,
        later: LaterCopies | None = None,
    ) -> None:
        self._settings, self._ledger, self._hour_of = settings, ledger, hour_of
        self._contracts = ContractStore(ledger, settings)
        self._later = later or LaterCopies(settings, ledger)
        self._sightings = Sightings(ledger, settings.lake, settings.delivery)
        self._hours: set[str] = set()
        self._unreadable: list[str] = []
        self.files = self.skipped = self.bytes = self.events = self.rejects = self.ahead = 0

    def land(self, fetched: _Fetched, log: logging.Logger) -> None:
        settings, file = self._settings, fetched.file
        versions = self._ledger.versions(settings.delivery, settings.lake, file.key)
        same = next((version for version in versions if version.sha256 == fetched.sha256), None)
        if same is not None:
            self._ledger.touch_etag(settings.delivery, settings.lake, same.name, file.etag)
            self._sightings.landed(file.key)
            self._restore(same, file, fetched)
            self.skipped += 1
            return
        if self._hour_of is None and PublishHour.of_key(file.key) is None:
            # nothing is written for it: a report, or a key mistyped by hand
            msg = f"{file.key} does not stand in an hour folder"
            raise ConfigError(msg)
        name = f"{file.key}~{fetched.sha256[:12]}" if versions else file.key
        raw_uri = storage.join(settings.landing, landing_path(settings.delivery, name))
        storage.write_atomic(raw_uri, fetched.raw)
        ahead = result_of(fetched.ahead) if name == file.key else None
        record = self.index(name, file, fetched.raw, fetched.sha256, raw_uri, ahead)
        self.files += 1
        self.bytes += len(fetched.raw)
        self.events += record.events
        self.rejects += record.rejects
        if record.status == "unreadable":
            self._unreadable.append(name)
            log.error("kept, but not readable: %s", record.problem)

    def _restore(self, same: FileRecord, file: RemoteFile, fetched: _Fetched) -> None:
        """Put back what was removed of a landed file; asking for it again is how it is mended."""
        if not storage.exists(same.raw_uri):
            storage.write_atomic(same.raw_uri, fetched.raw)
        if not storage.exists(str(same.index_uri)):
            self.index(same.name, file, fetched.raw, fetched.sha256, same.raw_uri)

    def index(
        self, name: str, file: RemoteFile, raw: bytes, sha256: str, raw_uri: str, ahead: Ahead | None = None
    ) -> FileRecord:
        """Index a raw file that stands in landing, save what contracts learned, record it.

        `ahead` is an index made before, used where it is the one that would be made now.
        """
        settings = self._settings
        if ahead is not None and ahead.holds(self._contracts):
            made = ahead.index
            self.ahead += 1
        else:
            made = make_index(raw, name, self._contracts)
        indexed = made.found
        hour = self._hour(file, indexed)
        index_uri = storage.join(settings.landing, index_path(settings.delivery, name))
        storage.write_atomic(index_uri, made.written or index_bytes(indexed.table, name, file, hour))
        wanted = FileRecord(
            lake=settings.lake,
            delivery=settings.delivery,
            name=name,
            key=file.key,
            size=len(raw),
            etag=file.etag,
            sha256=sha256,
            publish_hour=str(hour),
            raw_uri=raw_uri,
            index_uri=index_uri,
            plain_size=made.plain_size,
            framing=made.framing,
            status="unreadable" if made.problem else "landed",
            problem=made.problem,
            events=indexed.events,
            rejects=indexed.rejects,
            untimed=indexed.untimed,
            min_timestamp=indexed.min_timestamp,
            max_timestamp=indexed.max_timestamp,
            published_at=published_at(file),
        )
        # with the record, so that a crash cannot leave a doubled event unnoticed; after it, for files in between
        shared = self._later.hours_sharing(wanted, indexed.table)
        record = self._ledger.record(wanted, settings.part_bytes, shared)
        between = self._later.hours_sharing(wanted, indexed.table) - shared
        for delivery, sharer in between:
            self._ledger.mark_unbuilt(delivery, settings.lake, sharer)
        self._hours.add(record.publish_hour)
        self._hours.update(hour for delivery, hour in shared | between if delivery == settings.delivery)
        return record

    def _hour(self, file: RemoteFile, indexed: IndexedFile) -> PublishHour:
        hour = PublishHour.of_key(file.key)
        if hour is None:
            assert self._hour_of is not None  # `land` has refused the file
            hour = self._hour_of(file, indexed)
        return hour

    def summary(self) -> LandSummary:
        return LandSummary(
            self.files, self.skipped, self.bytes, self.events, self.rejects, tuple(sorted(self._hours)),
            tuple(self._unreadable),
        )  # fmt: skip
