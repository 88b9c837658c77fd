"""Read the lake all the time while many processes change it, and are killed at random.

Processes land, build, close, report and erase in random order. A reader looks at the lake without the code of the
lake: a row that it has seen once never goes missing, unless it is erased. It sees a row twice only while a unit is
built again, while a close replaces the hours of its day, or between the builds of two hours with copies of the event.
At the end the lake is that of an undisturbed run, byte for byte.

PISMO_READER_SECONDS (12) and PISMO_READER_PROCESSES (3) make it longer and wider (`make soak`).
"""

from __future__ import annotations

import os
import random
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from tests.lakes import LakeUnderTest
from tests.polled_crowd import Crowd, finish_and_compare
from tests.polled_feed import erased, has_copies
from tests.postgres import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration
SECONDS = float(os.environ.get("PISMO_READER_SECONDS", "12"))
PROCESSES = int(os.environ.get("PISMO_READER_PROCESSES", "3"))
FILES = min(max(80, int(SECONDS)), 2400)
"""More than the 72 hours of the feed, so that files of one hour have copies of one event. Hours of work change the
same files again and again; more files would only make the comparison at the end longer."""
PAUSE = 0.02
"""Seconds between two looks of the reader."""


class Reader:
    """Looks at the rows of the lake again and again, and notes what no reader may see."""

    def __init__(self, lake: Path) -> None:
        self._lake = lake
        self._seen: set[str] = set()
        self.looks, self.doubled = 0, 0
        self.faults: list[str] = []

    @property
    def rows(self) -> int:
        """The number of different rows that it has seen."""
        return len(self._seen)

    def look(self) -> None:
        """Read every row once, and compare with all earlier looks."""
        places: dict[str, list[str]] = {}
        for name, ids in self._snapshot():
            for event_id in ids:
                places.setdefault(event_id, []).append(name)
        missing = {event_id for event_id in self._seen - places.keys() if not erased(event_id)}
        self._seen |= places.keys()
        self.looks += 1
        if missing:
            self.faults.append(f"look {self.looks}: missing {sorted(missing)[:5]} of {len(missing)}")
        for event_id, names in places.items():
            if len(names) > 1:
                self.doubled += 1
                units = {name.removeprefix("test-").split("-p")[0] for name in names}
                takes_over = len({unit[:10] for unit in units}) == 1 and any("T" not in unit for unit in units)
                if len(units) > 1 and not takes_over and not has_copies(event_id):
                    self.faults.append(f"look {self.looks}: {event_id} is in {sorted(names)}")

    def _snapshot(self) -> Iterator[tuple[str, list[str]]]:
        """Open all files of one moment: the listing is the same before and after they are opened."""
        while True:
            before = self._list()
            with ExitStack() as files:
                try:
                    opened = [(path.name, files.enter_context(path.open("rb"))) for path in before]
                except FileNotFoundError:
                    continue
                if self._list() != before:
                    continue
                for name, file in opened:
                    yield name, pq.ParquetFile(file).read(["event_id"])["event_id"].to_pylist()
                return

    def _list(self) -> list[Path]:
        return sorted(self._lake.glob("events/**/*.parquet"))


@pytest.fixture(params=["sqlite", "postgresql"])
def ledgers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield the server of the ledgers, or nothing for SQLite."""
    if request.param == "sqlite":
        yield ""
        return
    server = PostgresServer(connections=4 * PROCESSES + 20)
    try:
        server.start()
        monkeypatch.setattr("tests.lakes.SERVER", server.url)
        yield server.url
        server.stop()
    finally:
        server.remove()


def test_a_reader_never_misses_a_row(ledgers: str, tmp_path: Path) -> None:
    reader, crowd, patience = Reader(tmp_path / "lake"), Crowd(tmp_path, ledgers, PROCESSES, FILES), random.Random(3)
    end, kill_at = time.monotonic() + SECONDS, 0.0
    # the first one makes the ledger
    LakeUnderTest(tmp_path)
    try:
        crowd.start()
        while time.monotonic() < end or crowd.kills < PROCESSES or reader.rows < FILES:
            reader.look()
            assert not reader.faults, (reader.faults[:5], crowd.told())
            if time.monotonic() > kill_at and reader.rows:
                crowd.kill_one()
                kill_at = time.monotonic() + patience.uniform(0.5, 3)
            crowd.start()
            time.sleep(PAUSE)
        crowd.stop()
    finally:
        crowd.close()
    finish_and_compare(tmp_path, FILES)
    counts = (reader.looks, reader.rows, crowd.kills, reader.doubled)
    sys.stdout.write("{} looks, {} rows, {} kills, {} times a row seen twice\n".format(*counts))
