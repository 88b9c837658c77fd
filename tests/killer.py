"""Kills Airflow's own task processes while they work."""

from __future__ import annotations

import os
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
WRITES = {"landing": "landing", "indexing": "landing/sandbox_s3/_index", "building": "lake/events"}
"""The folder that each step writes to; the landing task does all of them."""
LANDING_TASK = "land_event_files"
MOST_FILES = 4
SLICE = 0.02
LOOKS_A_SEARCH = 5
NOTICED_SOON = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
}
"""Settings with which Airflow notices what was killed in seconds, not in minutes."""


class Killer(threading.Thread):
    """Kills the processes of the landing task in each of its steps, after they have written a few files.

    Several processes may work on one mapped task, and their shares depend on the hour of the day: all that live are
    killed. They run in short slices, and they are stopped while the killer looks, so that none ends between two looks
    on a busy machine.
    """

    def __init__(self, home: Path, seed: int, steps: tuple[str, ...] = tuple(WRITES)) -> None:
        super().__init__(name="killer", daemon=True)
        self._home, self._random = home, random.Random(seed)
        self._over = threading.Event()
        self._watched: dict[str, dict[int, psutil.Process]] = {step: {} for step in steps}
        # files from before the first of them do not count
        self._least = {step: self._files(step) + self._random.randint(1, MOST_FILES) for step in steps}
        self._error: Exception | None = None
        self.killed: list[str] = []

    def run(self) -> None:
        turn = 0
        try:
            while not self._over.wait(SLICE):
                if turn % LOOKS_A_SEARCH == 0:
                    self._find()
                for step, processes in self._watched.items():
                    self._look(step, processes)
                turn += 1
        except Exception as error:  # noqa: BLE001 - raised again by `end`
            self._error = error

    def _find(self) -> None:
        noted = Notes(self._home / "running.json").all()
        for process in (process for started in noted for process in task_processes(started.pid)):
            if any(process.pid in processes for processes in self._watched.values()):
                continue
            if task_of(process) == LANDING_TASK:
                for step in self._watched.keys() - set(self.killed):
                    self._watched[step][process.pid] = process

    def _look(self, step: str, processes: dict[int, psutil.Process]) -> None:
        """Stop the processes; kill them if they have written enough in a step, else let them continue."""
        for process in list(processes.values()):
            if not signalled(process, signal.SIGSTOP):
                del processes[process.pid]
        enough = bool(processes) and self._files(step) >= self._least[step]
        for process in processes.values():
            signalled(process, signal.SIGKILL if enough else signal.SIGCONT)
        if enough:
            self.killed.append(step)
            processes.clear()

    def _files(self, step: str) -> int:
        return sum(len(names) for _, _, names in os.walk(self._home / WRITES[step]))

    def end(self) -> None:
        """Stop, and raise the error of the thread, if there is one."""
        self._over.set()
        self.join()
        if self._error is not None:
            raise self._error


def task_processes(pid: int) -> list[psutil.Process]:
    """Return the processes below one that work on a task of Airflow's."""
    try:
        children = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []
    return [child for child in children if TASK.search(command_of(child))]


def command_of(process: psutil.Process) -> str:
    """Return the command line of a process; nothing if it has ended, so that others are seen."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def task_of(process: psutil.Process) -> str:
    """Return the task of such a process, from the log that its supervisor has open."""
    try:
        paths = [file.path for parent in process.parents()[:1] for file in parent.open_files()]
    except psutil.Error:
        return ""
    return next((found[1] for path in paths if (found := re.search(r"/task_id=(\w+)/", path))), "")


def signalled(process: psutil.Process, what: signal.Signals) -> bool:
    """Send a signal; return False if the process has ended."""
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        process.send_signal(what)
    except psutil.NoSuchProcess:
        return False
    return True
