"""Follow the first tutorial: run each of its commands, and compare the output with the text."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = ROOT / "docs" / "tutorial" / "first-lake.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
CHANGING = re.compile(r"…|\d\d:\d\d:\d\d\+00:00 by|make setup")
SPEED = re.compile(r"; [\d.]+ s, [\d.]+ [kM]B/s")


def compared(text: str, folder: Path) -> list[str]:
    """Return the lines that are equal in every run: without times, speeds and shortened lines."""
    text = SPEED.sub("", text.replace(f"{folder}/", ""))
    return [line.rstrip() for line in text.splitlines() if line.strip() and not CHANGING.search(line)]


def queue_pid(folder: Path) -> int | None:
    """Return the process of the tutorial's queue; None if it has ended."""
    file = folder / "data" / "queue.pid"
    with suppress(FileNotFoundError, ProcessLookupError):
        pid = int(file.read_text())
        if b"serve-queue" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    return None


@pytest.fixture
def _ended(tmp_path: Path) -> Iterator[None]:
    """End the queue if the tutorial has not come to its end."""
    yield
    if (pid := queue_pid(tmp_path)) is not None:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.usefixtures("_ended")
def test_the_first_tutorial_works_as_it_says(tmp_path: Path) -> None:
    # the commands are those of a checkout: its .venv, and folders below it
    binaries = tmp_path / ".venv" / "bin"
    binaries.mkdir(parents=True)
    (binaries / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (binaries / "python").chmod(0o755)
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{ROOT / 'include'}", "HOME": str(tmp_path)}

    def run(*command: str) -> str:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    shown, printed, session, commands = 0, "", "", 0
    for language, text in BLOCK.findall(TUTORIAL.read_text()):
        if language == "sh" and text != "make setup\n":
            printed, commands = run("bash", "-euo", "pipefail", "-c", text), commands + 1
        elif language == "python":
            # all blocks run in the same interpreter
            printed, commands = run(sys.executable, "-c", session + text), commands + 1
            session += text if text.startswith("import") else ""
        elif not language:
            lines = compared(text, tmp_path)
            shown += len(lines)
            assert [line for line in lines if line not in compared(printed, tmp_path)] == []
    assert commands == 18
    until(lambda: queue_pid(tmp_path) is None)
    assert shown >= 25
