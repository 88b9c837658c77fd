"""The demo stops only its own processes, with all that they have started."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from tests.waiting import until

from pismo_demo.processes import Notes, Started, alive, start, stop

if TYPE_CHECKING:
    from collections.abc import Iterator

# a child in a process group of its own, as Airflow's task supervisor makes them
PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], process_group=0)
print(child.pid, flush=True)
{then}
"""
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    return Notes(tmp_path / "running.json")


@contextmanager
def running(code: str, tmp_path: Path, notes: Notes) -> Iterator[tuple[Started, str]]:
    """Return a process and its first output."""
    started = start("it", [sys.executable, "-c", code], os.environ, tmp_path / "log", notes)
    try:
        until(lambda: Path(started.log).read_text().endswith("\n"))
        yield started, Path(started.log).read_text().strip()
    finally:
        stop(started, patience=0)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_stops_children_too(tmp_path: Path, notes: Notes) -> None:
    with running(PARENT.format(then="time.sleep(600)"), tmp_path, notes) as (started, child):
        assert alive(started)
        assert stop(started) == 2
        assert not alive(started)
        assert gone(int(child))


def test_stops_children_whose_parent_has_ended(tmp_path: Path, notes: Notes) -> None:
    with running(PARENT.format(then=""), tmp_path, notes) as (started, child):
        until(lambda: not alive(started))
        assert stop(started) == 1
        assert gone(int(child))


def test_kills_what_does_not_listen(tmp_path: Path, notes: Notes) -> None:
    with running(STUBBORN, tmp_path, notes) as (started, _):
        assert stop(started, patience=0.3) == 1
        assert not alive(started)


def test_a_number_that_is_another_process_now_is_left_alone(tmp_path: Path, notes: Notes) -> None:
    with running(STUBBORN, tmp_path, notes) as (started, _):
        earlier = replace(started, created=started.created - 60)
        assert not alive(earlier)
        assert stop(earlier, patience=0) == 0
        assert alive(started)


def test_stopping_twice_is_nothing(tmp_path: Path, notes: Notes) -> None:
    with running(STUBBORN, tmp_path, notes) as (started, _):
        stop(started, patience=0)
        assert stop(started) == 0


def test_notes_come_and_go(tmp_path: Path, notes: Notes) -> None:
    first, second = Started("a", 1, 1.0, "x"), Started("b", 2, 2.0, "y")
    notes.add(first)
    notes.add(second)
    assert notes.all() == [first, second]
    notes.remove(first)
    notes.remove(second)
    assert notes.all() == []
    assert not (tmp_path / "running.json").exists()


def test_a_spoilt_note_is_no_note(tmp_path: Path, notes: Notes) -> None:
    (tmp_path / "running.json").write_text('[{"name": "a"')
    assert notes.all() == []
