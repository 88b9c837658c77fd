"""Allow one demo at a time in a checkout, and stop it in order on a signal."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil

from pismo_demo.errors import DemoError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import FrameType

LOCK = "lock"
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PATIENCE = 300.0
_CLOCK_SLACK = 2.0


@contextmanager
def hold(home: Path) -> Iterator[None]:
    """Hold the checkout's lock; the system releases it even if the holder is killed."""
    with (home / LOCK).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            msg = "a demo is running in this checkout; wait for it, or stop it with: make demo-down"
            raise DemoError(msg) from None
        file.seek(0)
        file.truncate()
        me = psutil.Process()
        file.write(json.dumps({"pid": me.pid, "created": me.create_time()}))
        file.flush()
        yield


def interrupt_holder(home: Path) -> None:
    """Tell the holder of the lock to stop, and wait until it has."""
    path = home / LOCK
    until, noted = time.monotonic() + _PATIENCE, False
    while _is_held(path):
        if not noted:
            _tell(path)
            noted = True
        if time.monotonic() > until:
            msg = f"the running demo does not stop; {path} names its process"
            raise DemoError(msg)
        time.sleep(0.2)


@contextmanager
def signals_raise() -> Iterator[None]:
    """Turn Ctrl-C, an ended terminal and `kill` into KeyboardInterrupt."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def signals_wait() -> Iterator[None]:
    """Ignore signals, so that a second Ctrl-C does not leave processes running."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_held(path: Path) -> bool:
    if not path.exists():
        return False
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        return False


def _tell(path: Path) -> None:
    try:
        note = json.loads(path.read_text())
        process = psutil.Process(note["pid"])
        if abs(process.create_time() - note["created"]) < _CLOCK_SLACK:
            os.kill(process.pid, signal.SIGTERM)
    except (ValueError, KeyError, psutil.Error, ProcessLookupError):
        # it has ended, or has not written its note yet
        return
