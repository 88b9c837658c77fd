"""Kills Airflow's own task processes while they work."""

from __future__ import annotations

import random
import re
import signal
import threading
import time
from typing import TYPE_CHECKING

import psutil

from pismo_demo.processes import Notes

if TYPE_CHECKING:
    from pathlib import Path

TASK = re.compile(r"airflow worker -- [0-9a-f]{8}-[0-9a-f-]{27}\s*$")
LIFE = {"find_new_files": 0.5, "land_event_files": 3.0, "flatten_publish_hour": 1.5}


class Killer(threading.Thread):
    """Kills the first task process of each task of the run, some time after it began to work."""

    def __init__(self, home: Path, seed: int, tasks: tuple[str, ...] = tuple(LIFE)) -> None:
        super().__init__(name="killer", daemon=True)
        self._home, self._random = home, random.Random(seed)
        self._over = threading.Event()
        self._tasks_meant = tasks
        self.killed: list[str] = []

    def run(self) -> None:
        while not self._over.wait(0.05):
            for process in self._tasks():
                task = self._working_on(process)
                if task in self._tasks_meant and task not in self.killed:
                    time.sleep(self._random.uniform(0, LIFE[task]))
                    if process.is_running() and self._working_on(process) == task:
                        process.send_signal(signal.SIGKILL)
                        self.killed.append(task)

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
