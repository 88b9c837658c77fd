"""This version continues with lake, landing and ledger of an earlier version.

`tests/earlier_lake.py` has made the archives, each with the version in its name. Only commands are called.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from tests.earlier_lake import CLOSED, NEXT, NEXT_IDS, OPEN, PACKED_IDS, WAITING_IDS, place, run, write

from pismo_lake.errors import LedgerVersionError
from pismo_lake.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterable

ARCHIVES = sorted((Path(__file__).parents[1] / "fixtures").glob("earlier_lake_*.tar.gz"))
LINES_OF_AN_EVENT = 2


@pytest.fixture(params=ARCHIVES, ids=lambda path: path.name)
def root(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Return the folder of the earlier lake."""
    place(request.param, tmp_path)
    return tmp_path


def command(root: Path, *arguments: str | Path) -> str:
    """Run a command that succeeds and return its output."""
    done = run(root, *arguments)
    assert done.returncode == 0, f"{arguments}\n{done.stdout}{done.stderr}"
    return done.stdout


def ids(root: Path, table: str) -> Counter[str]:
    """Return how many rows of a table each event has."""
    files = (root / "lake" / table).rglob("*.parquet")
    return Counter(event_id for path in files for event_id in pq.ParquetFile(path).read()["event_id"].to_pylist())


def check(root: Path, expected: Iterable[str]) -> None:
    """Each event has one row, and its list has as many rows as items."""
    assert ids(root, "events") == dict.fromkeys(expected, 1)
    assert ids(root, "items") == dict.fromkeys(expected, LINES_OF_AN_EVENT)


def test_there_is_an_archive() -> None:
    assert ARCHIVES


def test_files_come_and_days_are_closed(root: Path) -> None:
    check(root, PACKED_IDS)
    assert "3 new file(s), 0 known" in command(root, "flatten", write(root / "next", NEXT))
    expected = [*PACKED_IDS, *WAITING_IDS, *NEXT_IDS]
    check(root, expected)
    closed = command(root, "close", "--date", CLOSED, "--date", OPEN)
    assert closed.count("is complete") == 2
    check(root, expected)
    assert "is complete" in command(root, "report", "--date", CLOSED)
    # its copies are in a closed day, in an hour, and in a file that has just arrived
    assert command(root, "where-is", "closed-3").count("main_stream/") >= 2
    assert "erased" in command(root, "where-is", "erased-1")


def test_runs_between_the_steps_of_an_upgrade(root: Path) -> None:
    place = f"sqlite:///{root}/ledger.db"
    with pytest.raises(LedgerVersionError, match="ledger migrate"):
        Ledger.open(place, migrated=False)  # as a task does before the upgrade's step
    assert "version 0000" in run(root, "ledger", "check").stderr
    assert "migrated from version 0000" in command(root, "ledger", "migrate")
    check(root, PACKED_IDS)
    for number, (path, data) in enumerate(NEXT.items()):
        command(root, "flatten", write(root / f"next-{number}", {path: data}))
        assert "already" in command(root, "ledger", "migrate")
        command(root, "close", "--date", OPEN)
    expected = [*PACKED_IDS, *WAITING_IDS, *NEXT_IDS]
    check(root, expected)
    assert "is complete" in command(root, "close", "--date", CLOSED)
    check(root, expected)
    assert "erased" in command(root, "where-is", "erased-1")


def test_a_lost_ledger_comes_back(root: Path) -> None:
    for path in root.glob("ledger.db*"):
        path.unlink()
    command(root, "ledger", "rebuild")
    check(root, [*PACKED_IDS, *WAITING_IDS])
    command(root, "flatten", write(root / "next", NEXT))
    command(root, "close", "--date", CLOSED, "--date", OPEN)
    check(root, [*PACKED_IDS, *WAITING_IDS, *NEXT_IDS])
