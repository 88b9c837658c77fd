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
WRITES = {
    "land_event_files": "landing",
    "index_publish_hour": "landing/sandbox_s3/_index",
    "flatten_publish_hour": "lake/events",
}
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
    """Kills the processes of each task after they have written a few files.

    Several processes may work on one mapped task, and their shares depend on the hour of the day: all that live are
    killed. They run in short slices, and they are stopped while the killer looks, so that none ends between two looks
    on a busy machine.
    """

    def __init__(self, home: Path, seed: int, tasks: tuple[str, ...] = tuple(WRITES)) -> None:
        super().__init__(name="killer", daemon=True)
        self._home, self._random = home, random.Random(seed)
        self._over = threading.Event()
        self._watched: dict[str, dict[int, psutil.Process]] = {task: {} for task in tasks}
        # files from before the first of them do not count
        self._least = {task: self._files(task) + self._random.randint(1, MOST_FILES) for task in tasks}
        self._error: Exception | None = None
        self.killed: list[str] = []

    def run(self) -> None:
        turn = 0
        try:
            while not self._over.wait(SLICE):
                if turn % LOOKS_A_SEARCH == 0:
                    self._find()
                for task, processes in self._watched.items():
                    self._look(task, processes)
                turn += 1
        except Exception as error:  # noqa: BLE001 - raised again by `end`
            self._error = error

    def _find(self) -> None:
        noted = Notes(self._home / "running.json").all()
        for process in (process for started in noted for process in task_processes(started.pid)):
            if any(process.pid in processes for processes in self._watched.values()):
                continue
            task = task_of(process)
            if task in self._watched and task not in self.killed:
                self._watched[task][process.pid] = process

    def _look(self, task: str, processes: dict[int, psutil.Process]) -> None:
        """Stop a task's processes; kill them if they have written enough, else let them continue."""
        for process in list(processes.values()):
            if not signalled(process, signal.SIGSTOP):
                del processes[process.pid]
        enough = bool(processes) and self._files(task) >= self._least[task]
        for process in processes.values():
            signalled(process, signal.SIGKILL if enough else signal.SIGCONT)
        if enough:
            self.killed.append(task)
            processes.clear()

    def _files(self, task: str) -> int:
        return sum(len(names) for _, _, names in os.walk(self._home / WRITES[task]))

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
