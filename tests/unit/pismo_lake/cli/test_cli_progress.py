"""Test the lines that show progress if there is no terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pismo_lake.cli.progress import Lines, show_progress
from pismo_lake.progress import SILENT

if TYPE_CHECKING:
    import pytest


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_line_comes_every_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    lines = Lines(clock)
    lines.start("landing", 4, 8_000_000)
    for seconds in (1, 10, 19, 20):
        clock.now = float(seconds)
        lines.advance(1, 2_000_000)
    assert capsys.readouterr().err.splitlines() == [
        "landing: 2 of 4 files, 4.0 MB, 400.0 kB/s, 10 s left",
        "landing: 4 of 4 files, 8.0 MB, 400.0 kB/s, 0 s left",
    ]
    lines.start("building", 2, noun="units")
    clock.now = 40.0
    lines.advance()
    assert capsys.readouterr().err == "building: 1 of 2 units, 20 s left\n"
    lines.start("closing", 100)
    clock.now = 50.0
    lines.advance()
    assert capsys.readouterr().err == "closing: 1 of 100 files, 16 min left\n"


def test_no_bytes_and_no_time_are_no_fault(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    lines = Lines(clock)
    lines.start("landing", 2, 100)
    clock.now = 10.0
    lines.advance(1, 0)
    assert capsys.readouterr().err == "landing: 1 of 2 files, 0.0 kB, 0.0 kB/s, time left not known\n"
    lines.start("landing", 0)
    clock.now = 20.0
    lines.advance(0, 0)


def test_the_log_has_the_lines_if_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress(verbose=True) as progress:
        assert progress is SILENT
    with show_progress() as progress:
        assert isinstance(progress, Lines)
