"""Use other processes to index files early and to build units, on all cores.

A worker indexes a file before its turn, with the contracts of that moment. Its index is used only if it would be the
same at the file's turn: each contract that learned from the file is unchanged until then, and each other one has at
most new paths. Otherwise the file is indexed again in its turn. So the result is always that of a single process.
"""

from __future__ import annotations

import atexit
import gc
import logging
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import forkserver
from typing import TYPE_CHECKING, Any

from pismo_lake.build.day import build_unit
from pismo_lake.build.day_tasks import write_part
from pismo_lake.build.units import UNIT_ERRORS
from pismo_lake.contracts.store import ContractStore
from pismo_lake.decode.container import uncompress
from pismo_lake.errors import FramingError, LandedFileError, MemoryShortError, StalePlanError
from pismo_lake.hours import NO_HOUR
from pismo_lake.index.ahead import Ahead, index_early
from pismo_lake.index.files import read_raw, write_index
from pismo_lake.index.make import MadeIndex
from pismo_lake.ledger import Ledger
from pismo_lake.progress import SILENT
from pismo_lake.storage.without_pandas import leave_pandas_out

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType
    from typing import Self

    from pismo_lake.build.summary import BuildSummary
    from pismo_lake.errors import PismoError
    from pismo_lake.ledger.raw_files import RawFile
    from pismo_lake.progress import Progress
    from pismo_lake.settings.lake import LakeSettings

_LOG = logging.getLogger(__name__)
_FORKS = "forkserver"
"""The workers are forks of one process that has imported their code, and nothing else."""
_IMPORTED_LATE = ("pismo_lake.contracts.references", "dateutil.relativedelta", "numpy.ma")
"""Modules that the first index or build of a process imports, if they are installed."""
_WORTH_IT = 50_000_000
_LONGEST_ANSWER = 30_000
"""The most bytes of learned contracts that a worker returns: they fit into a pipe of 64 KiB at once."""


class Workers:
    """`jobs` processes, started if there is work for them; with one job there are none.

    Without `jobs` there is one for each core, and they are used only if the input is worth their start (50 MB). Each
    has its own ledger connection. They end with this process, even if it is killed.
    """

    def __init__(self, settings: LakeSettings, ledger: Ledger, jobs: int | None = None) -> None:
        self._settings, self._ledger = settings, ledger
        shared = ledger.engine.url.database not in (None, "", ":memory:")
        self.jobs = (jobs or cores()) if shared else 1
        self._asked = jobs is not None
        # a fork of this process would share connections and the locks of other threads
        self._context = multiprocessing.get_context(_FORKS if sys.platform == "linux" else "spawn")
        self._context.set_forkserver_preload([__name__, *_IMPORTED_LATE])
        self._pool: ProcessPoolExecutor | None = None
        self._starting = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def use_for_input(self, size: int) -> Workers | None:
        """Return these workers if they run, or if an input of this many bytes is worth their start."""
        worth = self._asked or self._pool is not None or size >= _WORTH_IT
        return self if self.jobs > 1 and worth else None

    def prepare(self) -> None:
        """Let another process import the code of the workers, which are its forks; do not wait for it."""
        if self._context.get_start_method() == _FORKS:
            forkserver.ensure_running()

    def index(self, file: RawFile) -> Future[Ahead | None] | None:
        """Begin to index a landed file; return None if its turn must come first."""
        if file.publish_hour == NO_HOUR:
            # only the index in its turn gives the hour
            return None
        return self._submit(_index, file)

    def index_alone(self, file: RawFile) -> Ahead | None:
        """Index a file in a process of its own, after a process that indexed several has ended.

        Raises:
            MemoryShortError: the new process ends too: the file is the reason, and would end this process as well.
        """
        found: Ahead | None = self._run_alone(_index, file.name, file.key, file)
        return found

    def build(
        self, units: Iterable[str], forced: Iterable[str], progress: Progress = SILENT
    ) -> tuple[list[BuildSummary], dict[str, PismoError]]:
        """Build units like `build_unit`; in worker processes if they are running anyway.

        Return the summaries, and the errors of units that could not be built.
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
        progress.start("building", len(wanted), noun="units")
        for unit in wanted:
            try:
                done.append(self._finish(unit, begun.get(unit), force=unit in force))
            except UNIT_ERRORS as error:
                failures[unit] = error
                _LOG.warning("not built: %s: %s", unit, error)
            progress.advance()
        return done, failures

    def write_day(self, day: str, token: str, root: str, groups: int) -> Iterator[int]:
        """Write the groups of a planned day, each in a process; yield each group that is staged.

        A group that no process could write is left to the caller.
        """
        begun = [(group, self._submit(_write_part, day, token, group, root)) for group in range(groups)]
        for group, future in begun:
            try:
                if future is not None:
                    future.result()
                    yield group
            except BrokenExecutor:
                self._renew()
                self._run_alone(_write_part, f"group {group + 1} of publish day {day}", "", day, token, group, root)
                yield group
            except StalePlanError as error:
                # the caller finds out if its claim is lost, and else writes the group with the present contract
                _LOG.warning("group %d is left: %s", group + 1, error)

    def _finish(self, unit: str, begun: Future[BuildSummary] | None, *, force: bool) -> BuildSummary:
        if begun is None:
            return build_unit(self._settings, self._ledger, unit, force=force)
        try:
            return begun.result()
        except BrokenExecutor:
            self._renew()
            built: BuildSummary = self._run_alone(_build, unit, "", unit, force)
            return built

    def _run_alone(self, work: Any, name: str, key: str, *arguments: Any) -> Any:
        """Run some work in one new process, after one of several processes has ended."""
        _LOG.warning("a worker process ended (killed, or out of memory?): a new process repeats %s", name)
        with self._start_pool(1) as pool:
            try:
                return pool.submit(work, *arguments).result()
            except BrokenExecutor:
                msg = f"{name}: each process that worked on it ended, most likely because memory was short"
                raise MemoryShortError(msg, key=key, name=name) from None

    def _renew(self) -> None:
        """Drop the pool after a process has ended; the next work starts a new one."""
        with self._starting:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    def _submit(self, work: Any, *arguments: Any) -> Future[Any] | None:
        try:
            # several threads may ask at once
            with self._starting:
                pool = self._pool = self._pool or self._start_pool()
            return pool.submit(work, *arguments)
        except BrokenExecutor:
            self._renew()
            return None

    def _start_pool(self, jobs: int | None = None) -> ProcessPoolExecutor:
        url = self._ledger.engine.url.render_as_string(hide_password=False)
        return ProcessPoolExecutor(
            jobs or self.jobs,
            mp_context=self._context,
            initializer=_begin,
            initargs=(self._settings, url, self._ledger.run, logging.getLogger().level, gc.get_threshold()),
        )


def cores() -> int:
    """Return the number of cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1


@dataclass(slots=True)
class _Process:
    """The state of a worker process."""

    settings: LakeSettings
    ledger: Ledger
    contracts: ContractStore


_HERE: list[_Process] = []


def _begin(settings: LakeSettings, url: str, run: str | None, level: int, thresholds: tuple[int, int, int]) -> None:
    """Prepare a worker process."""
    leave_pandas_out()
    # the parent's own choice; the objects of now live as long as the process
    gc.set_threshold(*thresholds)
    gc.freeze()
    # Ctrl-C reaches every process of the terminal: let the first one stop the others
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    logging.basicConfig(level=level, format="%(levelname)s %(message)s")
    ledger = Ledger.open(url, new=False, migrated=False)
    atexit.register(ledger.close)
    ledger.run = run
    _HERE[:] = [_Process(settings, ledger, ContractStore(ledger, settings))]


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _index(file: RawFile) -> Ahead | None:
    """Return an index, and the contracts that learned from the file."""
    settings, contracts = _HERE[0].settings, _HERE[0].contracts
    try:
        raw = read_raw(file)
        plain = uncompress(raw.data, file.key, settings.max_plain_bytes)
        found, versions, learned = index_early(plain, contracts)
    except (FramingError, LandedFileError, MemoryError):
        # the file's turn reports the error
        return None
    if learned and len(pickle.dumps(learned)) > _LONGEST_ANSWER:
        return None
    # the caller writes it again if its own index would differ
    write_index(settings, file, file.publish_hour, found, raw.sha256)
    # return little: if a worker is killed during a long answer, the pool waits for its end for ever
    totals = replace(found, table=found.table.schema.empty_table(), parsed=(), left=None)
    return Ahead(MadeIndex(totals, len(plain.data), plain.framing, written=True), raw.sha256, versions, learned)


def _build(unit: str, force: bool) -> BuildSummary:  # noqa: FBT001 - called by the pool alone
    return build_unit(_HERE[0].settings, _HERE[0].ledger, unit, force=force)


def _write_part(day: str, token: str, group: int, root: str) -> None:
    write_part(_HERE[0].settings, _HERE[0].ledger, day, token, group, root=root)
