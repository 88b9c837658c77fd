"""Kills Airflow's own task processes while they work."""

from __future__ import annotations

import random
import re
import signal
import threading
from typing import TYPE_CHECKING

import psutil

from pismo_demo.processes import Notes

if TYPE_CHECKING:
    from pathlib import Path

TASK = re.compile(r"airflow worker -- [0-9a-f]{8}-[0-9a-f-]{27}\s*$")
WRITES = {"land_event_files": "landing", "flatten_publish_hour": "lake/events"}
MOST_FILES = 4


class Killer(threading.Thread):
    """Kills the first task process of each task of the run once it has written a few files, so in its midst."""

    def __init__(self, home: Path, seed: int, tasks: tuple[str, ...] = tuple(WRITES)) -> None:
        super().__init__(name="killer", daemon=True)
        self._home, self._random = home, random.Random(seed)
        self._over = threading.Event()
        self._tasks_meant = tasks
        self.killed: list[str] = []

    def run(self) -> None:
        while not self._over.wait(0.05):
            for process in self._tasks():
                task = self._working_on(process)
                if task in self._tasks_meant and task not in self.killed and self._at_work(process, task):
                    process.send_signal(signal.SIGKILL)
                    self.killed.append(task)

    def _at_work(self, process: psutil.Process, task: str) -> bool:
        """Wait until a task's process has written some files; False where it ended before."""
        least = self._files(task) + self._random.randint(1, MOST_FILES)
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            if self._files(task) >= least:
                return True
            self._over.wait(0.01)
        return False

    def _files(self, task: str) -> int:
        return sum(1 for path in (self._home / WRITES[task]).rglob("*") if path.is_file())

    def end(self) -> None:
        self._over.set()
        self.join()

    def _tasks(self) -> list[psutil.Process]:
        found = []
        for started in Notes(self._home / "running.json").all():
            try:
                children = psutil.Process(started.pid).children(recursive=True)
                found += [child for child in children if TASK.search(" ".join(child.cmdline()))]
            except psutil.Error:
                continue
        return found

    def _working_on(self, process: psutil.Process) -> str:
        """The task whose log its supervisor has open."""
        try:
            paths = [file.path for parent in process.parents()[:1] for file in parent.open_files()]
        except psutil.Error:
            return ""
        return next((found[1] for path in paths if (found := re.search(r"/task_id=(\w+)/", path))), "")
