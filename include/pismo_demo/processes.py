"""Start processes in their own sessions, note them in a file, and stop their whole sessions.

A process number is not enough, because the system reuses numbers. So a note also has the process's start time. `stop`
ends the noted process, if the start time is the same, and the other processes of its session.
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
    """The file with the running processes; it is removed if there are none."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def all(self) -> list[Started]:
        """Return the noted processes in the order of their start."""
        try:
            return [Started(**entry) for entry in json.loads(self._path.read_text())]
        except FileNotFoundError:
            return []
        except (ValueError, TypeError):
            # a crash cut the file short, so it is of no use
            return []

    def add(self, started: Started) -> None:
        """Note a process."""
        self._write([*self.all(), started])

    def remove(self, started: Started) -> None:
        """Forget a process."""
        self._write([entry for entry in self.all() if entry != started])

    def _write(self, entries: list[Started]) -> None:
        if not entries:
            self._path.unlink(missing_ok=True)
            return
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps([asdict(entry) for entry in entries], indent=1))
        fresh.replace(self._path)


def start(name: str, command: Sequence[str], environment: Mapping[str, str], log: Path, notes: Notes) -> Started:
    """Start a command in its own session, with its output in `log`, and note it."""
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
    # from now on only the note is used; no code waits on the object
    process.returncode = process.poll() or 0
    started = Started(name, process.pid, created, str(log))
    notes.add(started)
    return started


def alive(started: Started) -> bool:
    """Return whether the process itself still runs (its children do not count)."""
    _reap(started.pid)
    return _itself(started) is not None


def stop(started: Started, *, patience: float = _TERM_SECONDS) -> int:
    """Ask a process and the rest of its session to end, then kill them; return their number."""
    victims = _session(started)
    for process in victims:
        _signal(process, kill=False)
    waited_until = time.monotonic() + patience
    left = victims
    while left and time.monotonic() < waited_until:
        _reap(started.pid)
        _, left = psutil.wait_procs(left, timeout=0.2)
        # they may have started other processes meanwhile
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
    """Return the processes of the noted one's session; none if its number has a new owner."""
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
        # it has ended, or this user may not end it
        return


def _reap(pid: int) -> None:
    """Collect our own dead child, so that it does not look alive.

    Only its parent can collect a child.
    """
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
