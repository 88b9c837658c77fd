"""Load raw files from local paths or URIs, without Airflow."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

from pismo_lake import storage
from pismo_lake.errors import ConfigError, IndexIncompleteError, NoEventFileError, landing_error
from pismo_lake.hours import NO_HOUR, PublishHour, hour_of_key
from pismo_lake.index.blank import mark_holders
from pismo_lake.index.indexer import IndexSummary
from pismo_lake.index.run import index_landed
from pismo_lake.landing.land import land_files
from pismo_lake.landing.recognise import explain_no_event_file
from pismo_lake.landing.record import add_summaries
from pismo_lake.landing.remote_file import RemoteFile, new_files
from pismo_lake.ledger import FileLedger
from pismo_lake.ledger.builds import BuildLedger
from pismo_lake.ledger.erasures import restore_erasures
from pismo_lake.ledger.raw_files import RawLedger
from pismo_lake.ledger.sightings import Sightings
from pismo_lake.paths import ERASURES, erasures_path
from pismo_lake.progress import SILENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pismo_lake.errors import PismoError
    from pismo_lake.index.table import IndexedFile
    from pismo_lake.landing.land import Landing
    from pismo_lake.landing.record import LandSummary
    from pismo_lake.ledger import Ledger
    from pismo_lake.ledger.raw_files import RawFile
    from pismo_lake.local.workers import Workers
    from pismo_lake.progress import Progress
    from pismo_lake.settings.lake import LakeSettings

_LOG = logging.getLogger(__name__)
_STREAM = "main_stream/"
_OWN = ("/_index/", f"/{ERASURES}/")
_CHUNK_BYTES = 1 << 30
"""The most bytes that are landed before they are indexed and built."""
# more threads take more CPU for the same files, and more memory; a network makes them wait
_THREADS_FOR_DISK = 4
_THREADS_FOR_NETWORK = 8
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class TakenIn:
    """The result of landing and indexing; `failures` has at most two errors of a chunk, one of each.

    `unreadable` and `failures` are only about the given files; `left` is (name, problem) of files of earlier calls.
    """

    landed: LandSummary
    indexed: IndexSummary
    failures: Sequence[PismoError] = ()
    unreadable: Sequence[str] = ()
    left: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class LocalFiles:
    """Raw files by key: the path from ``main_stream/`` on, else the name below the argument."""

    uris: dict[str, str]

    def land(
        self, settings: LakeSettings, ledger: Ledger, hour: PublishHour | None, workers: Workers | None = None,
        progress: Progress = SILENT, between: Callable[[], None] = lambda: None,
    ) -> TakenIn:  # fmt: skip
        """Land and index the new files, a gigabyte at a time; files outside an hour folder belong to `hour`.

        Without `hour`, such a file belongs to the hour of its latest event, which depends only on its content.
        `workers` are used if there is enough work. A file that is no event file is refused before it is landed. It is
        among the `failures`, as are files that could not be landed or indexed.

        Files are landed and indexed in rank order, so contracts and rows do not depend on the chunks. `between` is
        called before each chunk but the first one, so that the rows of a chunk need not wait for the last file.
        """
        self._take_over_erasures(settings, ledger)
        files = [RemoteFile(key, *storage.version(uri)) for key, uri in self.uris.items()]
        fresh = new_files(files, FileLedger(ledger, settings.lake, settings.delivery).find_known(self.uris))
        chunks = _cut(sorted(fresh, key=_rank))
        taken: list[TakenIn] = []
        for chunk, following in zip(chunks, [*chunks[1:], None], strict=True):
            if taken:
                between()
            if workers is not None and workers.use_for_input(sum(file.size or 0 for file in chunk)):
                workers.prepare()
            landing = self._land(settings, ledger, chunk, hour, progress)
            failed = {name for each in taken for name, _ in each.indexed.failures}
            end = _rank(following[0]) if following else None
            waiting = [
                file
                for file in RawLedger(ledger, settings.lake, settings.delivery).list_waiting()
                if file.name not in failed and (end is None or (file.publish_hour, file.name) < end)
            ]
            taken.append(self._index(settings, ledger, landing, waiting, hour, workers, progress))
        every = _join(taken)
        return replace(every, landed=replace(every.landed, skipped=every.landed.skipped + len(files) - len(fresh)))

    def _land(
        self, settings: LakeSettings, ledger: Ledger, files: Sequence[RemoteFile], hour: PublishHour | None,
        progress: Progress,
    ) -> Landing:  # fmt: skip
        """Land some files, but none that is no event file."""

        @contextmanager
        def fetch(file: RemoteFile) -> Iterator[Iterator[bytes]]:
            raw = storage.read_bytes(self.uris[file.key])
            why = explain_no_event_file(raw, file.key, hour_known=hour is not None or hour_of_key(file.key) != NO_HOUR)
            if why is not None:
                msg = f"{self.uris[file.key]} is not an event file: {why}"
                raise NoEventFileError(msg, key=file.key)
            yield iter([raw])

        near = all(storage.is_local(self.uris[file.key]) for file in files)
        parallel = _THREADS_FOR_DISK if near else _THREADS_FOR_NETWORK
        landing = land_files(settings, ledger, files, fetch, parallel=parallel, anywhere=True, progress=progress)
        # so that no report counts them as missing
        if refused := [key for key, error in landing.failures.items() if isinstance(error, NoEventFileError)]:
            Sightings(ledger, settings.lake, settings.delivery).forget(refused)
        return landing

    def _index(
        self, settings: LakeSettings, ledger: Ledger, landing: Landing, waiting: Sequence[RawFile],
        hour: PublishHour | None, workers: Workers | None, progress: Progress,
    ) -> TakenIn:  # fmt: skip
        """Index files that wait, those of earlier calls too."""

        def hour_of(file: RawFile, indexed: IndexedFile) -> PublishHour:
            if hour is not None:
                return hour
            if indexed.max_timestamp is None:
                msg = f"{file.key} has neither an hour folder nor a timed event: give --publish-hour"
                raise ConfigError(msg)
            return PublishHour.of_moment(_EPOCH + timedelta(microseconds=indexed.max_timestamp))

        workers = workers.use_for_input(sum(file.size for file in waiting)) if workers is not None else None
        indexed = index_landed(
            settings, ledger, names={file.name for file in waiting}, hour_of=hour_of, workers=workers, progress=progress
        )
        given = {file.name for file in waiting if file.key in self.uris}
        mine = [failure for failure in indexed.failures if failure[0] in given]
        left = [failure for failure in indexed.failures if failure[0] not in given]
        left += [(name, "it is unreadable") for name in indexed.unreadable if name not in given]
        failures: list[PismoError] = [landing_error(landing.failures)] if landing.failures else []
        failures += [IndexIncompleteError(mine)] if mine else []
        unreadable = [name for name in indexed.unreadable if name in given]
        return TakenIn(landing.summary, indexed, failures, unreadable, left)

    def _take_over_erasures(self, settings: LakeSettings, ledger: Ledger) -> None:
        """Record erasures of a landing zone that files are copied from, before any is landed."""
        roots = {uri.rpartition(_STREAM)[0] for uri in self.uris.values() if _STREAM in uri}
        sources = [storage.join(root, ERASURES) for root in sorted(roots)]
        if any(next(iter(storage.list_files(source)), None) for source in sources):
            folder = storage.join(settings.landing, erasures_path(settings.delivery))
            mark_holders(settings, ledger, restore_erasures(ledger, settings.lake, folder, sources))


def _join(chunks: Sequence[TakenIn]) -> TakenIn:
    """Return the sums of several chunks; a file of an earlier call that failed in each is named once."""
    indexed = reduce(IndexSummary.join, (chunk.indexed for chunk in chunks))
    return TakenIn(
        add_summaries(chunk.landed for chunk in chunks),
        indexed,
        [failure for chunk in chunks for failure in chunk.failures],
        [name for chunk in chunks for name in chunk.unreadable],
        list(dict.fromkeys(left for chunk in chunks for left in chunk.left)),
    )


def _rank(file: RemoteFile) -> tuple[str, str]:
    """Return the rank of a file, as it has it when it waits for its index."""
    return hour_of_key(file.key), file.key


def _cut(files: Sequence[RemoteFile]) -> list[list[RemoteFile]]:
    """Cut files into chunks of bounded bytes, at least one."""
    chunks: list[list[RemoteFile]] = [[]]
    size = 0
    for file in files:
        if chunks[-1] and size + (file.size or 0) > _CHUNK_BYTES:
            chunks.append([])
            size = 0
        chunks[-1].append(file)
        size += file.size or 0
    return chunks


def local_files(arguments: Sequence[str]) -> LocalFiles:
    """Return the files below the given paths or URIs.

    Raises:
        FileNotFoundError: an argument has no files.
    """
    uris: dict[str, str] = {}
    for argument in arguments:
        single = storage.is_local(argument) and Path(argument.removeprefix("file://")).is_file()
        found = [argument] if single else list(storage.list_files(argument))
        if not found:
            msg = f"no file at {argument}"
            raise FileNotFoundError(msg)
        if hidden := storage.hidden_files(argument):
            shown = ", ".join(hidden[:5])
            _LOG.warning("%s: %d file(s) whose names begin with a dot are left out: %s", argument, len(hidden), shown)
        # if this is a copy of the whole bucket, reports/ and other prefixes hold no event files
        in_stream = any("main_stream/" in uri for uri in found)
        for uri in found:
            # a landing zone has folders of our own beside the raw files
            if not single and in_stream and (_STREAM not in uri or uri.rpartition(_STREAM)[0].endswith(_OWN)):
                continue
            key = _key(uri, argument)
            if uris.setdefault(key, uri) != uri:
                msg = f"{uri} and {uris[key]} have the same key {key}: give a folder above both"
                raise ConfigError(msg)
    return LocalFiles(uris)


def _key(uri: str, argument: str) -> str:
    _, found, rest = uri.rpartition("main_stream/")
    if found:
        return f"main_stream/{rest}"
    below = uri.removeprefix(argument.rstrip("/")).strip("/")
    return below or uri.rsplit("/", 1)[-1]


def torn_units(settings: LakeSettings, ledger: Ledger, units: Iterable[str]) -> set[str]:
    """Return the units that lack one of their files in the lake."""
    found = set()
    for unit in units:
        parts = BuildLedger(ledger, settings.lake, settings.delivery, unit).parts()
        if not all(storage.exists(storage.join(settings.lake, path)) for part in parts for path in part.outputs):
            found.add(unit)
    return found
