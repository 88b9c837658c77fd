"""The command line as a process: a terminal, a closed pipe, Ctrl-C, a shell that completes."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from typing import TYPE_CHECKING

import pytest
from tests.command_line import start
from tests.lakes import HOUR, event

from pismo_lake import __version__
from pismo_lake.cli.codes import INTERRUPTED, PIPE_CLOSED
from pismo_lake.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

BIG = 300_000
"""Characters of an event that fills every buffer of a pipe."""

_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_terminal(*words: str, columns: int = 100) -> tuple[int, str]:
    """Run the command line on a pseudo-terminal; return its exit code and all its output."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {"TERM": "xterm-256color", "COLUMNS": "", "LINES": ""}
    process = start(*words, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    written = b""
    while True:
        try:
            some = os.read(ours, 65536)
        except OSError:  # Linux: the other end is closed
            break
        if not some:
            break
        written += some
    os.close(ours)
    return process.wait(), _CODES.sub("", written.decode())


@pytest.fixture
def big(lake: str, tmp_path: Path) -> str:
    """Add an event that is larger than any buffer."""
    (tmp_path / "big").write_bytes(event("big", {"text": "x" * BIG}))
    assert main(["flatten", str(tmp_path / "big"), "--lake", lake]) == 0
    return lake


def test_a_terminal_gets_bars_with_files_and_speed(tmp_path: Path) -> None:
    for number in range(3):
        path = tmp_path / "feed" / HOUR / f"f-{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(event(f"e-{number}", {"text": "x" * 1000}))
    size = sum(path.stat().st_size for path in (tmp_path / "feed").rglob("f-*"))
    code, shown = on_terminal("flatten", str(tmp_path / "feed"), "--lake", str(tmp_path / "lake"))
    assert code == 0
    for step in ("landing", "indexing"):
        assert re.search(rf"{step} +━+ 3/3 files +{size / 1e3:.1f} kB [\d.]+ [kM]B/s +\d\d:\d\d", shown), shown
    assert re.search(r"building +━+ 1/1 units +\d\d:\d\d", shown)
    # the results are below the bars, once
    assert shown.index("1/1 units") < shown.index("3 new file(s), 0 known")
    assert shown.count("3 new file(s)") == 1


def test_a_terminal_folds_long_names(lake: str) -> None:
    code, shown = on_terminal("files", "--lake", lake, columns=80)
    assert code == 0
    lines = shown.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) > 3
    assert f"local:{HOUR}/e-1" in "".join(line[50:].strip() for line in lines if line.strip())


def test_a_pipe_gets_neither_bars_nor_colours(lake: str, tmp_path: Path) -> None:
    process = start("flatten", str(tmp_path / "feed"), "--lake", lake, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate()
    assert process.returncode == 0
    assert b"2 known" in out
    assert b"\x1b" not in out + err
    assert err == b""


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_closes_the_pipe_ends_it_quietly(big: str, unbuffered: str) -> None:
    environment = {"PYTHONUNBUFFERED": unbuffered}
    process = start("show", "big", "--lake", big, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.read(1) == b"{"
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == PIPE_CLOSED


def test_a_reader_that_never_reads_ends_it_quietly(lake: str) -> None:
    for words in (["files", "--lake", lake], ["--help"]):
        ours, theirs = os.pipe()
        os.close(ours)
        process = start(*words, stdout=theirs, stderr=subprocess.PIPE)
        os.close(theirs)
        assert process.communicate()[1] == b""
        assert process.returncode == PIPE_CLOSED


def test_ctrl_c_ends_it_with_a_line(big: str) -> None:
    process = start("show", "big", "--lake", big, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    # it is at work: more is to be written than the pipe holds
    assert process.stdout.read(1) == b"{"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == INTERRUPTED
    assert err.decode().startswith("Interrupted: ")
    assert err.count(b"\n") == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_and_options(shell: str) -> None:
    environment = {
        "bash": {"COMP_WORDS": "pismo-lake fl", "COMP_CWORD": "1"},
        "zsh": {"_TYPER_COMPLETE_ARGS": "pismo-lake fl"},
        "fish": {"_TYPER_COMPLETE_ARGS": "pismo-lake fl", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[shell]
    environment |= {"_PISMO_LAKE_COMPLETE": f"complete_{shell}"}
    process = start(stdout=subprocess.PIPE, env=environment)
    assert b"flatten" in process.communicate()[0]
    assert process.returncode == 0


def test_the_version_is_printed() -> None:
    process = start("--version", stdout=subprocess.PIPE)
    assert process.communicate()[0].decode() == f"pismo-lake {__version__}\n"
    assert process.returncode == 0


def test_the_script_for_a_shell_is_of_the_program(tmp_path: Path) -> None:
    environment = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    process = start("--show-completion", "bash", stdout=subprocess.PIPE, env=environment)
    script = process.communicate()[0].decode()
    assert "_PISMO_LAKE_COMPLETE=complete_bash" in script
    assert re.search(r"complete .*pismo-lake$", script, re.MULTILINE)
