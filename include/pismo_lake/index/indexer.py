"""Index landed files one by one, and record each with the builds that it needs."""

from __future__ import annotations

import traceback
from concurrent.futures import BrokenExecutor, Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pismo_lake import storage
from pismo_lake.contracts.store import ContractStore
from pismo_lake.errors import ConfigError, PismoError, RawChangedError
from pismo_lake.hours import NO_HOUR
from pismo_lake.index.ahead import result_of
from pismo_lake.index.blank import Blanker, mark_holders, read_blanked
from pismo_lake.index.files import Raw, index_uri_of, read_index_at, read_raw, write_index
from pismo_lake.index.keys import KEY_COLUMNS
from pismo_lake.index.later_copies import LaterCopies
from pismo_lake.index.make import add_erased, make_index
from pismo_lake.index.parsed import let_go, remove_kept
from pismo_lake.ledger import FileLedger, FileRecord, Ledger
from pismo_lake.ledger.erasures import ErasedMeanwhileError, restore_erasures
from pismo_lake.ledger.known_files import FileKnownError, lock_index
from pismo_lake.paths import erasures_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pyarrow as pa
    from sqlalchemy import Connection

    from pismo_lake.hours import PublishHour
    from pismo_lake.index.ahead import Ahead, Indexers
    from pismo_lake.index.make import MadeIndex
    from pismo_lake.index.table import IndexedFile
    from pismo_lake.ledger.raw_files import RawFile, RawLedger
    from pismo_lake.settings.lake import LakeSettings

    HourOf = Callable[[RawFile, IndexedFile], PublishHour]


@dataclass(frozen=True, slots=True)
class IndexSummary:
    """The result of indexing; `publish_hours` need a build.

    These include later hours that now hold a losing copy. `unreadable` files (zstd, …) are kept raw and recorded as
    unreadable. `failures` are (file name, problem) of files that could not be indexed and still wait.
    """

    files: int
    bytes: int
    events: int
    rejects: int
    publish_hours: tuple[str, ...]
    unreadable: tuple[str, ...]
    failures: tuple[tuple[str, str], ...] = ()

    def join(self, later: IndexSummary) -> IndexSummary:
        """Return the sums of this indexing and a later one; each file that failed is named once."""
        return IndexSummary(
            self.files + later.files,
            self.bytes + later.bytes,
            self.events + later.events,
            self.rejects + later.rejects,
            tuple(sorted({*self.publish_hours, *later.publish_hours})),
            (*self.unreadable, *later.unreadable),
            tuple({**dict(self.failures), **dict(later.failures)}.items()),
        )


class Indexer:
    """Indexes and records landed files one by one.

    Args:
        settings: the settings of the lake.
        ledger: its ledger.
        hour_of: returns the publish hour of a file whose key has none.
        waiting: the record of the waiting files. If it is given, a file that is forgotten meanwhile is not recorded.
        apart: give the files parts of their own in their hours.
    """

    def __init__(
        self,
        settings: LakeSettings,
        ledger: Ledger,
        hour_of: HourOf | None = None,
        waiting: RawLedger | None = None,
        *,
        apart: bool = False,
    ) -> None:
        self._settings, self._ledger, self._hour_of, self._waiting = settings, ledger, hour_of, waiting
        self._contracts = ContractStore(ledger, settings)
        self._files = FileLedger(ledger, settings.lake, settings.delivery)
        self._later = LaterCopies(settings, ledger)
        self._hours: set[str] = set()
        self._last_parts: dict[str, int] | None = {} if apart else None
        self._restore_erasures()
        self._blanker = Blanker(ledger, settings.lake)
        self.unreadable: list[str] = []
        self.failures: list[tuple[str, str]] = []
        self.files = self.bytes = self.events = self.rejects = self.ahead = 0

    @property
    def knows_contracts(self) -> bool:
        """Return whether the lake has a contract already."""
        return bool(self._contracts.names())

    def take(
        self, file: RawFile, begun: Future[Ahead | None] | Future[Raw] | None, workers: Indexers | None = None
    ) -> FileRecord:
        """Index a file of which a reader, or a worker, has begun something.

        If events of the file were erased and blanked, the record is the same as that of the file as it was landed.
        """
        try:
            return self._take(file, begun, workers)
        except RawChangedError:
            blanked = read_blanked(self._settings, file)
            if blanked is None:
                raise
            made = make_index(blanked.data, file.name, self._contracts, self._settings.max_plain_bytes)
            return self._record(file, add_erased(made, blanked.rows), blanked.sha256)

    def _take(
        self, file: RawFile, begun: Future[Ahead | None] | Future[Raw] | None, workers: Indexers | None
    ) -> FileRecord:
        broken = workers is not None and begun is not None and isinstance(begun.exception(), BrokenExecutor)
        got = workers.index_alone(file) if workers is not None and broken else result_of(begun)
        if isinstance(got, Raw):
            return self.index(file, got)
        if got is not None and got.is_taken(self._contracts, file.name):
            self.ahead += 1
            return self._record(file, got.index, got.sha256)
        return self.index(file, read_raw(file))

    def index(self, file: RawFile, raw: Raw) -> FileRecord:
        """Index a raw file in landing, save the learned contracts, and record the file."""
        made = make_index(raw.data, file.name, self._contracts, self._settings.max_plain_bytes)
        return self._record(file, made, raw.sha256)

    def record_failure(self, file: RawFile, error: Exception) -> str:
        """Skip a file that failed, and return the reason."""
        # do not save the part that contracts learned from it before the error
        self._contracts.forget_learned()
        problem = str(error)
        if isinstance(error, MemoryError):
            problem = f"{file.name} ({file.size} bytes in landing) needs more memory than is free"
        elif not isinstance(error, PismoError):
            # leave out the error's own text: it may quote an event
            place = traceback.extract_tb(error.__traceback__)[-1]
            problem = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}, a defect of this program"
        self.failures.append((file.name, problem))
        return problem

    def forget(self, file: RawFile) -> None:
        """Remove the index of a file that was forgotten while it was made, unless a lake has recorded the file."""
        self._contracts.forget_learned()
        uri = index_uri_of(self._settings, file)
        with suppress(FileKnownError):
            storage.remove(uri, gate=partial(lock_index, self._ledger, uri, file.raw_uri))
            remove_kept(self._settings, file.name)

    def _record(self, file: RawFile, made: MadeIndex, sha256: str) -> FileRecord:
        settings, indexed = self._settings, made.found
        hour = self._hour(file, indexed)
        index_uri = index_uri_of(settings, file)
        if not made.written:
            write_index(settings, file, hour, indexed, sha256)
        wanted = FileRecord(
            lake=settings.lake,
            delivery=settings.delivery,
            name=file.name,
            key=file.key,
            size=file.size,
            etag=file.etag,
            sha256=sha256,
            publish_hour=hour,
            raw_uri=file.raw_uri,
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
            published_at=file.published_at,
            landed_at=file.landed_at,
            run=file.run,
        )

        def index() -> pa.Table:
            return read_index_at(index_uri, KEY_COLUMNS) if made.written else indexed.table

        record, shared = self._blank_and_record(wanted, index)
        if record.built:
            # the index was lost and is made again: no build is needed
            let_go(settings, [record])
        self._hours.add(record.publish_hour)
        self._hours.update(hour for delivery, hour in shared if delivery == settings.delivery)
        self.files += 1
        self.bytes += record.size
        self.events += record.events
        self.rejects += record.rejects
        if record.status == "unreadable":
            self.unreadable.append(record.name)
        return record

    def _restore_erasures(self) -> None:
        """Record the erasures that only the lake or landing knows."""
        settings, ledger = self._settings, self._ledger
        folder = storage.join(settings.landing, erasures_path(settings.delivery))
        if fresh := restore_erasures(ledger, settings.lake, folder):
            mark_holders(settings, ledger, fresh)

    def _blank_and_record(
        self, file: FileRecord, index: Callable[[], pa.Table]
    ) -> tuple[FileRecord, set[tuple[str, str]]]:
        """Blank the events in a file that were erased with their bytes before this copy came, and record the file.

        An erasure that comes meanwhile does not know the file: the file is blanked again before it is recorded. Units
        with a later copy of an event are marked in the same transaction. Else a build of this file, by another
        process, could show the event a second time.

        Returns:
            The record, and (delivery, publish hour) of the marked units.

        Raises:
            FileForgottenError: The file was forgotten meanwhile.
        """
        # this reads most of the indexes before the transaction that records the file
        shared = self._later.hours_sharing(file, index)

        def verify(connection: Connection) -> None:
            self._blanker.refuse_further(connection)
            if self._waiting is not None:
                self._waiting.refuse_forgotten(connection, file.name)
            # files that were recorded meanwhile
            shared.update(self._later.hours_sharing(file, index, connection))

        while True:
            if self._blanker.blank(file):
                let_go(self._settings, [file])
            with suppress(ErasedMeanwhileError):
                return self._record_in_part(file, shared, verify), shared

    def _record_in_part(
        self, file: FileRecord, shared: Iterable[tuple[str, str]], verify: Callable[[Connection], None]
    ) -> FileRecord:
        """Record a file in a part of its hour; if this indexer keeps apart, only in one of its own parts."""
        parts = self._last_parts
        joins = None if parts is None else parts.get(file.publish_hour, -1)
        record = self._files.record(file, self._settings.part_bytes, shared, verify, joins)
        if parts is not None:
            parts[record.publish_hour] = record.part
        return record

    def _hour(self, file: RawFile, indexed: IndexedFile) -> str:
        if file.publish_hour != NO_HOUR:
            return file.publish_hour
        if self._hour_of is None:
            msg = f"{file.key} is not in an hour folder"
            raise ConfigError(msg)
        return str(self._hour_of(file, indexed))

    def summary(self) -> IndexSummary:
        """Return the summary of the files indexed so far."""
        return IndexSummary(
            self.files, self.bytes, self.events, self.rejects, tuple(sorted(self._hours)), tuple(self.unreadable),
            tuple(self.failures),
        )  # fmt: skip
