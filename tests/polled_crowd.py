"""Let a crowd of processes work on one lake, and compare the lake at the end with the feed."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
from collections import Counter
from typing import TYPE_CHECKING, Any
from unittest import mock

from tests.lakes import LakeUnderTest
from tests.polled_feed import DAYS, body, erased, events, key_of
from tests.polled_worker import LOG, work_until_stopped
from tests.waiting import PATIENCE

from pismo_lake.events.erase import erase
from pismo_lake.events.find_rows import find_copies
from pismo_lake.paths import ERASURES, TABLES

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess
    from pathlib import Path


class Crowd:
    """Processes that work on one lake until a file says stop; each one that is killed is started again.

    They are forks of one process that has imported the code: a hundred take a third of the memory of a hundred
    interpreters, and a new one starts at once. If the removal of files is given, the lake has tables.
    """

    def __init__(self, root: Path, server: str, processes: int, files: int, remove_files: str = "") -> None:
        self._root, self._processes = root, processes
        self._arguments = (root, files, server, remove_files)
        (root / LOG).touch()
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["tests.polled_worker"])
        self._running: list[BaseProcess] = []
        self._seed, self._random, self.kills = 0, random.Random(11), 0

    def start(self) -> None:
        """Start processes until there are enough; fail if one ended by itself."""
        for worker in [worker for worker in self._running if worker.exitcode is not None]:
            assert worker.exitcode == -signal.SIGKILL, self.told()
            self._running.remove(worker)
            worker.close()
        while len(self._running) < self._processes:
            self._seed += 1
            worker = self._context.Process(target=work_until_stopped, args=(self._seed, *self._arguments))
            # the server of forks looks for the modules in this path only
            with mock.patch.dict(os.environ, PYTHONPATH="include:plugins:."):
                worker.start()
            self._running.append(worker)

    def kill_one(self) -> None:
        """Kill a random process of those that have done a step, if there is one."""
        working = [worker for worker in self._running if (self._root / f"worked-{worker.pid}").exists()]
        if not working:
            return
        victim = self._random.choice(working)
        victim.kill()
        victim.join()
        self.kills += 1

    def stop(self) -> None:
        """Let all processes finish their step and end."""
        (self._root / "stop").touch()
        for worker in self._running:
            worker.join(PATIENCE)
            assert worker.exitcode == 0, self.told()

    def told(self) -> str:
        """Return the end of the processes' output."""
        return (self._root / LOG).read_text()[-3000:]

    def close(self) -> None:
        """Kill all processes that are left."""
        for worker in self._running:
            worker.kill()
            worker.join()
            worker.close()
        self._running.clear()


def finish_and_compare(root: Path, count: int, **settings: Any) -> LakeUnderTest:
    """Bring the lake to its end; compare its rows with the feed, and its files with those of a quiet run."""
    lake = LakeUnderTest(root, **settings)
    _complete(lake, count)
    truth = Counter(event_id for event_id in events(count) if not erased(event_id))
    assert Counter(row["event_id"] for row in lake.rows()) == Counter(truth.keys())
    (root / "quiet").mkdir()
    quiet = LakeUnderTest(root / "quiet")
    quiet.land({key_of(number): body(number) for number in range(count)})
    _complete(quiet, count)
    assert _digest(lake) == _digest(quiet)
    return lake


def _complete(lake: LakeUnderTest, count: int) -> None:
    missing = [number for number in range(count) if not lake.files.find_known([key_of(number)])]
    lake.land({key_of(number): body(number) for number in missing})
    found = find_copies(lake.settings, lake.ledger, filter(erased, events(count)))
    erase(lake.settings, lake.ledger, found, "request 1")
    for day in DAYS:
        lake.close(day)
    lake.build()
    # files that waited for a commit of another unit are removed by the next run
    lake.build()


def _digest(lake: LakeUnderTest) -> dict[str, str]:
    """Return the digests of a lake's files without the records of erasures, which carry their time, and tables."""
    left = (f"/{ERASURES}/", f"/{TABLES}/")
    return {path: digest for path, digest in lake.digest().items() if not any(part in path for part in left)}
