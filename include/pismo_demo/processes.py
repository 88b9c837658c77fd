"""Start processes in sessions of their own, note them in a file, and stop them with all that they started.

A number alone does not say whose a process is: numbers are used again. A note holds when the process started as well,
and its session: what is stopped is the noted process if it is still that one, and what is left of its session.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_CLOCK_SLACK = 2.0
_TERM_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Started:
    """One process that leads a session; `created` is its start in seconds since 1970."""

    name: str
    pid: int
    created: float
    log: str


class Notes:
    """The file of what is running; removed when nothing is."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def all(self) -> list[Started]:
        """What was noted, in the order it was started."""
        try:
            return [Started(**entry) for entry in json.loads(self._path.read_text())]
        except FileNotFoundError:
            return []
        except (ValueError, TypeError):
            # a note cut short by a crash: there is nothing in it to go by
            return []

    def add(self, started: Started) -> None:
        """Note one more."""
        self._write([*self.all(), started])

    def remove(self, started: Started) -> None:
        """Forget one."""
        self._write([entry for entry in self.all() if entry != started])

    def _write(self, entries: list[Started]) -> None:
        if not entries:
            self._path.unlink(missing_ok=True)
            return
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps([asdict(entry) for entry in entries], indent=1))
        fresh.replace(self._path)


def start(name: str, command: Sequence[str], environment: Mapping[str, str], log: Path, notes: Notes) -> Started:
    """Start a command in a session of its own, its output in `log`, and note it."""
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - the demo's own commands
            list(command),
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        created = psutil.Process(process.pid).create_time()
    except psutil.NoSuchProcess:
        created = time.time()
    # it is looked at through its note from here on; nobody waits on the object
    process.returncode = process.poll() or 0
    started = Started(name, process.pid, created, str(log))
    notes.add(started)
    return started


def alive(started: Started) -> bool:
    """Whether the process itself still runs (not whether children of it do)."""
    _reap(started.pid)
    return _itself(started) is not None


def stop(started: Started, *, patience: float = _TERM_SECONDS) -> int:
    """End a process and the rest of its session: asked first, then killed. How many there were."""
    victims = _session(started)
    for process in victims:
        _signal(process, kill=False)
    waited_until = time.monotonic() + patience
    left = victims
    while left and time.monotonic() < waited_until:
        _reap(started.pid)
        _, left = psutil.wait_procs(left, timeout=0.2)
        # those asked may have started others meanwhile
        left = _session(started)
    for process in left:
        _signal(process, kill=True)
    psutil.wait_procs(left, timeout=5)
    _reap(started.pid)
    return len(victims)


def _itself(started: Started) -> psutil.Process | None:
    try:
        process = psutil.Process(started.pid)
        same = abs(process.create_time() - started.created) < _CLOCK_SLACK
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


def _session(started: Started) -> list[psutil.Process]:
    """Processes of the session that the noted one led; none where its number is somebody else's now."""
    if psutil.pid_exists(started.pid) and not _is_or_was(started):
        return []
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == started.pid and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, PermissionError, psutil.Error):
            continue
    return found


def _is_or_was(started: Started) -> bool:
    try:
        return bool(abs(psutil.Process(started.pid).create_time() - started.created) < _CLOCK_SLACK)
    except psutil.NoSuchProcess:
        return True


def _signal(process: psutil.Process, *, kill: bool) -> None:
    try:
        process.kill() if kill else process.terminate()
    except psutil.Error:
        # gone by itself, or not ours to end
        return


def _reap(pid: int) -> None:
    """Collect our own dead child, so that it does not look alive; another run's children are not ours to collect."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
