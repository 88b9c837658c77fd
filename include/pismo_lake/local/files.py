"""Load raw files from local paths or URIs, without Airflow."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pismo_lake import storage
from pismo_lake.errors import ConfigError, IndexIncompleteError, NoEventFileError, landing_error
from pismo_lake.hours import NO_HOUR, PublishHour, hour_of_key
from pismo_lake.index.blank import mark_holders
from pismo_lake.index.run import index_landed
from pismo_lake.landing.land import land_files
from pismo_lake.landing.recognise import explain_no_event_file
from pismo_lake.landing.remote_file import RemoteFile, new_files
from pismo_lake.ledger import FileLedger
from pismo_lake.ledger.builds import BuildLedger
from pismo_lake.ledger.erasures import restore_erasures
from pismo_lake.ledger.raw_files import RawLedger
from pismo_lake.ledger.sightings import Sightings
from pismo_lake.paths import ERASURES, erasures_path
from pismo_lake.progress import SILENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pismo_lake.errors import PismoError
    from pismo_lake.index.indexer import IndexSummary
    from pismo_lake.index.table import IndexedFile
    from pismo_lake.landing.record import LandSummary
    from pismo_lake.ledger import Ledger
    from pismo_lake.ledger.raw_files import RawFile
    from pismo_lake.local.workers import Workers
    from pismo_lake.progress import Progress
    from pismo_lake.settings.lake import LakeSettings

_LOG = logging.getLogger(__name__)
_STREAM = "main_stream/"
_OWN = ("/_index/", f"/{ERASURES}/")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class TakenIn:
    """The result of landing and indexing; `failures` has at most two errors, one of each.

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
        progress: Progress = SILENT,
    ) -> TakenIn:  # fmt: skip
        """Land and index the new files; files outside an hour folder belong to `hour`.

        Without `hour`, such a file belongs to the hour of its latest event, which depends only on its content.
        `workers` are used if there is enough work. A file that is no event file is refused before it is landed. It is
        among the `failures`, as are files that could not be landed or indexed.
        """

        def hour_of(file: RawFile, indexed: IndexedFile) -> PublishHour:
            if hour is not None:
                return hour
            if indexed.max_timestamp is None:
                msg = f"{file.key} has neither an hour folder nor a timed event: give --publish-hour"
                raise ConfigError(msg)
            return PublishHour.of_moment(_EPOCH + timedelta(microseconds=indexed.max_timestamp))

        self._take_over_erasures(settings, ledger)
        files = [RemoteFile(key, *storage.version(uri)) for key, uri in self.uris.items()]
        fresh = new_files(files, FileLedger(ledger, settings.lake, settings.delivery).find_known(self.uris))
        failures: list[PismoError] = []

        @contextmanager
        def fetch(file: RemoteFile) -> Iterator[Iterator[bytes]]:
            raw = storage.read_bytes(self.uris[file.key])
            why = explain_no_event_file(raw, file.key, hour_known=hour is not None or hour_of_key(file.key) != NO_HOUR)
            if why is not None:
                msg = f"{self.uris[file.key]} is not an event file: {why}"
                raise NoEventFileError(msg, key=file.key)
            yield iter([raw])

        if workers is not None and workers.use_for_input(sum(file.size or 0 for file in fresh)):
            workers.prepare()
        landing = land_files(settings, ledger, fresh, fetch, anywhere=True, progress=progress)
        if landing.failures:
            failures.append(landing_error(landing.failures))
            # so that no report counts them as missing
            refused = [key for key, error in landing.failures.items() if isinstance(error, NoEventFileError)]
            Sightings(ledger, settings.lake, settings.delivery).forget(refused)
        landed = replace(landing.summary, skipped=landing.summary.skipped + len(files) - len(fresh))
        # this includes files that an earlier call left without an index
        waiting = RawLedger(ledger, settings.lake, settings.delivery).list_waiting()
        workers = workers.use_for_input(sum(file.size for file in waiting)) if workers is not None else None
        indexed = index_landed(settings, ledger, hour_of=hour_of, workers=workers, progress=progress)
        given = {file.name for file in waiting if file.key in self.uris}
        mine = [failure for failure in indexed.failures if failure[0] in given]
        if mine:
            failures.append(IndexIncompleteError(mine))
        left = [failure for failure in indexed.failures if failure[0] not in given]
        left += [(name, "it is unreadable") for name in indexed.unreadable if name not in given]
        return TakenIn(landed, indexed, failures, [name for name in indexed.unreadable if name in given], left)

    def _take_over_erasures(self, settings: LakeSettings, ledger: Ledger) -> None:
        """Record erasures of a landing zone that files are copied from, before any is landed."""
        roots = {uri.rpartition(_STREAM)[0] for uri in self.uris.values() if _STREAM in uri}
        sources = [storage.join(root, ERASURES) for root in sorted(roots)]
        if any(next(iter(storage.list_files(source)), None) for source in sources):
            folder = storage.join(settings.landing, erasures_path(settings.delivery))
            mark_holders(settings, ledger, restore_erasures(ledger, settings.lake, folder, sources))


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
