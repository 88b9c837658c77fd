"""Let a crowd of processes work on one lake, and compare the lake at the end with the feed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.lakes import LakeUnderTest
from tests.polled_feed import DAYS, body, erased, events, key_of
from tests.waiting import PATIENCE

from pismo_lake.events.erase import erase
from pismo_lake.events.find_rows import find_copies
from pismo_lake.paths import ERASURES, TABLES

if TYPE_CHECKING:
    from pathlib import Path


class Crowd:
    """Processes that work on one lake until a file says stop; each one that is killed is started again.

    If `tables` is a table format, the lake has tables.
    """

    def __init__(self, root: Path, server: str, processes: int, files: int, tables: str = "") -> None:
        self._root, self._server, self._processes = root, server, processes
        self._arguments = [str(files), *([tables] if tables else [])]
        self._log = (root / "workers.log").open("wb")
        self._running: list[subprocess.Popen[bytes]] = []
        self._seed, self._random, self.kills = 0, random.Random(11), 0

    def start(self) -> None:
        """Start processes until there are enough; fail if one ended by itself."""
        for worker in [worker for worker in self._running if worker.poll() is not None]:
            assert worker.returncode == -signal.SIGKILL, self.told()
            self._running.remove(worker)
        while len(self._running) < self._processes:
            self._seed += 1
            command = [sys.executable, "-m", "tests.polled_worker", str(self._root), str(self._seed)]
            command += self._arguments
            environment = os.environ | {"PYTHONPATH": "include:plugins:.", "PISMO_TEST_LEDGER_URL": self._server}
            if not self._server:
                del environment["PISMO_TEST_LEDGER_URL"]
            worker = subprocess.Popen(command, stdout=self._log, stderr=self._log, env=environment)
            self._running.append(worker)

    def kill_one(self) -> None:
        """Kill a random process of those that have done a step, if there is one."""
        working = [worker for worker in self._running if (self._root / f"worked-{worker.pid}").exists()]
        if not working:
            return
        victim = self._random.choice(working)
        victim.kill()
        victim.wait()
        self.kills += 1

    def stop(self) -> None:
        """Let all processes finish their step and end."""
        (self._root / "stop").touch()
        for worker in self._running:
            assert worker.wait(PATIENCE) == 0, self.told()

    def told(self) -> str:
        """Return the end of the processes' output."""
        return (self._root / "workers.log").read_text()[-3000:]

    def close(self) -> None:
        """Kill all processes that are left."""
        for worker in self._running:
            worker.kill()
            worker.wait()
        self._log.close()


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
