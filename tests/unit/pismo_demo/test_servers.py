"""A start may take long, as long as there is progress."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pismo_demo.errors import DemoError
from pismo_demo.processes import Notes, start, stop
from pismo_demo.servers import _wait

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pismo_demo.processes import Started


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    notes = Notes(tmp_path / "running.json")
    found = start("sleeper", ["sleep", "600"], {"PATH": "/usr/bin:/bin"}, tmp_path / "log", notes)
    yield found
    stop(found)


def test_a_start_that_makes_progress_is_waited_for(started: Started) -> None:
    answers = [["api-server"], ["api-server"], ["scheduler", "triggerer"], ["triggerer"], []]

    def missing() -> list[str]:
        with Path(started.log).open("a") as log:
            log.write("another line\n")
        return answers.pop(0)

    # the time without progress is over at once, so only progress keeps this going
    _wait("Airflow", started, missing, still_seconds=0.4)
    assert answers == []


def test_a_start_without_progress_says_what_is_missing(started: Started) -> None:
    with pytest.raises(DemoError, match=r"no progress for 0 s \(missing: scheduler\)"):
        _wait("Airflow", started, lambda: ["scheduler"], still_seconds=0.0)


def test_a_log_is_no_progress_once_the_api_answers(started: Started) -> None:
    def missing() -> list[str]:
        with Path(started.log).open("a") as log:
            log.write("GET /api/v2/monitor/health\n")
        return ["scheduler"]

    with pytest.raises(DemoError, match="no progress"):
        _wait("Airflow", started, missing, still_seconds=0.0)


def test_a_process_that_has_ended_is_not_waited_for(started: Started) -> None:
    stop(started)
    with pytest.raises(DemoError, match="Airflow ended"):
        _wait("Airflow", started, lambda: ["api-server"])
