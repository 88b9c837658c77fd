"""Other processes of this machine that index files ahead and build units, so that `flatten` uses every core.

Files are indexed ahead of their turn with the contracts as they are by then. Such an index is taken only where, when
the file's turn comes, every contract it was made with is still the same and none had anything to learn; otherwise the
file is indexed again in its turn. So the result is the one of a single process, whatever the processes did.
"""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import os
import signal
import threading
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pismo_lake.build.day import build_unit
from pismo_lake.build.units import UNIT_ERRORS
from pismo_lake.contracts.store import ContractStore
from pismo_lake.decode.container import uncompress
from pismo_lake.errors import FramingError, LandedFileError, MemoryShortError
from pismo_lake.hours import NO_HOUR
from pismo_lake.index.ahead import Ahead
from pismo_lake.index.files import read_raw, write_index
from pismo_lake.index.make import MadeIndex, index_file
from pismo_lake.ledger import Ledger
from pismo_lake.paths import safe_segment

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Self

    from pismo_lake.build.summary import BuildSummary
    from pismo_lake.contracts.contract import Contract
    from pismo_lake.errors import PismoError
    from pismo_lake.ledger.raw_files import RawFile
    from pismo_lake.settings.lake import LakeSettings

_LOG = logging.getLogger(__name__)
_WORTH_IT = 50_000_000


class Workers:
    """`jobs` processes, started when there is something for them to do; with one job there are none.

    Without `jobs` there are as many as the process has cores, and they are asked only where the input is worth their
    start (50 MB). Each has a ledger connection of its own. They end with this process, also if it is killed.
    """

    def __init__(self, settings: LakeSettings, ledger: Ledger, jobs: int | None = None) -> None:
        self._settings, self._ledger = settings, ledger
        shared = ledger.engine.url.database not in (None, "", ":memory:")
        self.jobs = (jobs or cores()) if shared else 1
        self._asked = jobs is not None
        self._pool: ProcessPoolExecutor | None = None
        self._starting = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def for_input(self, size: int) -> Workers | None:
        """These workers, where an input of this many bytes is worth their start."""
        return self if self.jobs > 1 and (self._asked or size >= _WORTH_IT) else None

    def index(self, file: RawFile) -> Future[Ahead | None] | None:
        """Begin to index a landed file; None where it cannot be done ahead."""
        if file.publish_hour == NO_HOUR:
            # who indexes it decides on the hour
            return None
        return self._submit(_index, file)

    def alone(self, file: RawFile) -> Ahead | None:
        """Index a file in a process of its own, after one that indexed it among others has ended unasked.

        `MemoryShortError` if this one ends, too: the file is the reason, and would end this process as well.
        """
        found: Ahead | None = self._alone(_index, file.name, file.key, file)
        return found

    def build(
        self, units: Iterable[str], forced: Iterable[str]
    ) -> tuple[list[BuildSummary], dict[str, PismoError]]:  # fmt: skip
        """Build units, as `build_unit` does one after the other; in processes if these are at work anyway.

        Returns the summaries, and the errors of units that could not be built.
        """
        wanted, force = sorted(units), set(forced)
        begun: dict[str, Future[BuildSummary]] = {}
        if len(wanted) > 1 and self.jobs > 1 and (self._asked or self._pool is not None):
            for unit in wanted:
                future = self._submit(_build, unit, unit in force)
                if future is not None:
                    begun[unit] = future
        done: list[BuildSummary] = []
        failures: dict[str, PismoError] = {}
        for unit in wanted:
            try:
                done.append(self._built(unit, begun.get(unit), force=unit in force))
            except UNIT_ERRORS as error:
                failures[unit] = error
                _LOG.warning("not built: %s: %s", unit, error)
        return done, failures

    def _built(self, unit: str, begun: Future[BuildSummary] | None, *, force: bool) -> BuildSummary:
        if begun is None:
            return build_unit(self._settings, self._ledger, unit, force=force)
        try:
            return begun.result()
        except BrokenExecutor:
            self._renew()
            built: BuildSummary = self._alone(_build, unit, "", unit, force)
            return built

    def _alone(self, work: Any, name: str, key: str, *arguments: Any) -> Any:
        """Let one new process do some work, after another one of many has ended at it or beside it."""
        _LOG.warning("a worker process ended (killed, or out of memory?): %s is done again by itself", name)
        with self._started(1) as pool:
            try:
                return pool.submit(work, *arguments).result()
            except BrokenExecutor:
                msg = f"{name}: each process that worked on it was ended, most likely for lack of memory"
                raise MemoryShortError(msg, key=key, name=name) from None

    def _renew(self) -> None:
        """Forget processes of which one has ended: new ones are started when there is work."""
        with self._starting:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    def _submit(self, work: Any, *arguments: Any) -> Future[Any] | None:
        try:
            # several threads may ask at once
            with self._starting:
                pool = self._pool = self._pool or self._started()
            return pool.submit(work, *arguments)
        except BrokenExecutor:
            self._renew()
            return None

    def _started(self, jobs: int | None = None) -> ProcessPoolExecutor:
        url = self._ledger.engine.url.render_as_string(hide_password=False)
        return ProcessPoolExecutor(
            jobs or self.jobs,
            # a forked process would share connections and the locks of other threads
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin,
            initargs=(self._settings, url, self._ledger.run, logging.getLogger().level),
        )


def cores() -> int:
    """The cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1


@dataclass(slots=True)
class _Process:
    """What a worker process works with."""

    settings: LakeSettings
    ledger: Ledger
    contracts: ContractStore


_HERE: list[_Process] = []


def _begin(settings: LakeSettings, url: str, run: str | None, level: int) -> None:
    """A worker's first act."""
    # Ctrl-C goes to every process of the terminal: the first one stops the others
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    logging.basicConfig(level=level, format="%(levelname)s %(message)s")
    ledger = Ledger.open(url)
    atexit.register(ledger.close)
    ledger.run = run
    _HERE[:] = [_Process(settings, ledger, ContractStore(ledger, settings))]


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _index(file: RawFile) -> Ahead | None:
    """An index, if the contracts as they are know all that the file has."""
    contracts, used = _HERE[0].contracts, set[tuple[str, str]]()
    contracts.refresh()

    def contract_of(domain: str, event_type: str) -> Contract:
        used.add((safe_segment(domain), safe_segment(event_type)))
        return contracts.get(domain, event_type)

    try:
        raw = read_raw(file)
        plain = uncompress(raw.data, file.key, _HERE[0].settings.max_plain_bytes)
        found = index_file(plain, contract_of)
    except (FramingError, LandedFileError, MemoryError):
        # whose turn it is says what is wrong
        return None
    finally:
        learned = contracts.forget_learned()
    if learned:
        return None
    # its owner writes it again where this is not the one it would make in its turn
    write_index(_HERE[0].settings, file, file.publish_hour, found, raw.sha256)
    versions = {key: contracts.version(*key) for key in used}
    # little goes back: a worker that is killed in the midst of a long answer would leave the pool waiting for its end
    totals = replace(found, table=found.table.schema.empty_table(), parsed=())
    return Ahead(MadeIndex(totals, len(plain.data), plain.framing, written=True), raw.sha256, versions)


def _build(unit: str, force: bool) -> BuildSummary:  # noqa: FBT001 - called by the pool alone
    return build_unit(_HERE[0].settings, _HERE[0].ledger, unit, force=force)
