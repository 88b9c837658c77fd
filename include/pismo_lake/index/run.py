"""Index the landed files that wait for it, in rank order.

A file is recorded after its index is written. Until then it waits in the ledger, also after a crash.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import pyarrow as pa

from pismo_lake.errors import LedgerError, PismoError, StorageUnavailable
from pismo_lake.index.files import Raw, read_raw
from pismo_lake.index.indexer import Indexer, IndexSummary
from pismo_lake.ledger.raw_files import FileForgottenError, RawLedger
from pismo_lake.progress import SILENT, size_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Set

    from pismo_lake.index.ahead import Ahead, Indexers
    from pismo_lake.index.indexer import HourOf
    from pismo_lake.ledger import Ledger
    from pismo_lake.progress import Progress
    from pismo_lake.settings.lake import LakeSettings

_LOG = logging.getLogger(__name__)
_PROGRESS_SECONDS = 10.0
_READ_AHEAD = 2
# errors that a file's content may cause if this program has a defect: they must not stop other files
_DEFECTS = (ArithmeticError, AssertionError, LookupError, TypeError, ValueError, RecursionError)


def index_landed(
    settings: LakeSettings,
    ledger: Ledger,
    hours: Iterable[str] | None = None,
    *,
    names: Set[str] | None = None,
    apart: bool = False,
    hour_of: HourOf | None = None,
    workers: Indexers | None = None,
    log: logging.Logger = _LOG,
    progress: Progress = SILENT,
) -> IndexSummary:
    """Index the files that wait for it, one file at a time.

    Args:
        settings: the settings of the lake.
        ledger: its ledger.
        hours: the publish hours of the files, or None for all.
        names: the names of the files, or None for all of the hours.
        apart: give these files parts of their own, so that others can be indexed and built at the same time.
        hour_of: returns the publish hour of a file whose key has none.
        workers: index files before their turn.
        log: the logger of the run.
        progress: shows how many files are indexed.
    """
    raws = RawLedger(ledger, settings.lake, settings.delivery)
    waiting = [file for file in raws.list_waiting(hours) if names is None or file.name in names]
    indexer = Indexer(settings, ledger, hour_of, raws, apart=apart)
    started = logged = time.monotonic()
    progress.start("indexing", len(waiting), sum(file.size for file in waiting))
    with ThreadPoolExecutor(_READ_AHEAD, thread_name_prefix="read") as pool:
        ahead: deque[Future[Ahead | None] | Future[Raw] | None] = deque()
        following = iter(waiting)
        for position, file in enumerate(waiting):
            # the first file of a new lake teaches most contracts: files begun before its end would be indexed again
            able = workers if workers and (position or indexer.knows_contracts) else None
            most = _READ_AHEAD + (able.jobs if able else 0) if able or not workers else 1
            while len(ahead) < most and (n := next(following, None)):
                ahead.append(able.index(n) if able else pool.submit(read_raw, n))
            try:
                indexer.take(file, ahead.popleft(), workers)
            except (LedgerError, StorageUnavailable):
                # not the fault of one file, and temporary: the files wait until the next run
                raise
            except (FileForgottenError, PismoError, pa.ArrowException, MemoryError, *_DEFECTS) as error:
                if raws.is_forgotten(file.name):
                    log.info("not indexed: %s was forgotten meanwhile", file.name)
                    indexer.forget(file)
                else:
                    problem = indexer.record_failure(file, error)
                    raws.record_problem(file.name, problem)
                    log.warning("not indexed: %s: %s", file.name, problem)
            progress.advance(1, file.size)
            if time.monotonic() - logged > _PROGRESS_SECONDS:
                logged = time.monotonic()
                _progress(log, position + 1, len(waiting), indexer, logged - started)
    _progress(log, len(waiting), len(waiting), indexer, time.monotonic() - started)
    if workers is not None:
        log.info("indexing: workers indexed %d of %d files", indexer.ahead, len(waiting))
    for name in indexer.unreadable:
        log.error("kept in landing, but unreadable: %s", name)
    return indexer.summary()


def _progress(log: logging.Logger, done: int, total: int, indexer: Indexer, seconds: float) -> None:
    log.info(
        "indexing: %d of %d files, %d events, %s, %s/s, %d to go", done, total, indexer.events,
        size_text(indexer.bytes), size_text(indexer.bytes / max(seconds, 1e-6)), total - done,
    )  # fmt: skip
