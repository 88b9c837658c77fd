"""One demo at a time in a checkout."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pismo_demo.errors import DemoError
from pismo_demo.lock import hold, interrupt_holder, signals_raise, signals_wait

INCLUDE = Path(__file__).resolve().parents[3] / "include"
HOLDER = """
import pathlib, signal, sys
from pismo_demo.lock import hold, signals_raise
with hold(pathlib.Path(sys.argv[1])), signals_raise():
    try:
        print("held", flush=True)
        signal.pause()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


def test_a_second_holder_is_refused(tmp_path: Path) -> None:
    with hold(tmp_path), pytest.raises(DemoError, match="demo-down"), hold(tmp_path):
        pass


def test_it_is_free_again_afterwards(tmp_path: Path) -> None:
    with hold(tmp_path):
        pass
    interrupt_holder(tmp_path)
    with hold(tmp_path):
        pass


def test_the_holder_is_told_to_stop(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(INCLUDE)}
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        interrupt_holder(tmp_path)
        assert holder.stdout.read() == "interrupted\n"
    with hold(tmp_path):
        pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_end_is_an_interrupt(number: signal.Signals) -> None:
    with signals_raise(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)


def test_stopping_is_not_interrupted() -> None:
    with signals_wait():
        signal.raise_signal(signal.SIGINT)
