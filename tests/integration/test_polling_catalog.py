"""Read a table through its catalog all the time while many processes change the lake, and are killed at random.

They land, build, close, report and erase in random order. At no moment does the reader see a row twice. A row that it
has seen once never goes missing, unless it is erased. At the end each file of the ledger is in the table once.

PISMO_READER_SECONDS (8) and PISMO_READER_PROCESSES (3) make it longer and wider (`make soak`).
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from pyiceberg.exceptions import NoSuchTableError
from tests.catalog_reader import event_ids, open_table, table_files
from tests.lakes import LakeUnderTest
from tests.polled_crowd import Crowd, finish_and_compare
from tests.polled_feed import erased

from pismo_lake.check.run import check_lake
from pismo_lake.settings.tables import Tables

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration
SECONDS = float(os.environ.get("PISMO_READER_SECONDS", "8"))
PROCESSES = int(os.environ.get("PISMO_READER_PROCESSES", "3"))
FILES = max(30, int(SECONDS))
PAUSE = 0.1
"""Seconds between two looks of the reader."""


class Reader:
    """Looks at the rows of a table again and again, and notes what no reader may see."""

    def __init__(self, lake: LakeUnderTest) -> None:
        self._lake = lake
        self._seen: set[str] = set()
        self.looks, self.again = 0, 0
        self.faults: list[str] = []

    @property
    def rows(self) -> int:
        """The number of different rows that it has seen."""
        return len(self._seen)

    def look(self) -> None:
        """Read every row of one snapshot, and compare with all earlier looks."""
        found = Counter(self._rows())
        self.looks += 1
        if doubled := sorted(event_id for event_id, times in found.items() if times > 1):
            self.faults.append(f"look {self.looks}: doubled {doubled[:5]} of {len(doubled)}")
        if missing := sorted(event_id for event_id in self._seen - found.keys() if not erased(event_id)):
            self.faults.append(f"look {self.looks}: missing {missing[:5]} of {len(missing)}")
        self._seen |= found.keys()

    def _rows(self) -> list[str]:
        """Return the ids of one snapshot whose files are all there: superseded files are removed at once."""
        while True:
            try:
                with open_table(self._lake) as table:
                    paths = [task.file.file_path.removeprefix("file://") for task in table.scan().plan_files()]
                    return [row for path in paths for row in pq.ParquetFile(path).read(["event_id"])[0].to_pylist()]
            except NoSuchTableError:
                return []
            except FileNotFoundError:
                self.again += 1


def test_a_reader_through_the_catalog_sees_each_row_once(tmp_path: Path) -> None:
    # the first one makes the ledger
    lake = LakeUnderTest(tmp_path, tables=Tables())
    reader, patience = Reader(lake), random.Random(3)
    crowd = Crowd(tmp_path, "", PROCESSES, FILES, "iceberg")
    end, kill_at = time.monotonic() + SECONDS, 0.0
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
    finished = finish_and_compare(tmp_path, FILES, tables=Tables())
    assert event_ids(finished) == sorted(row["event_id"] for row in finished.rows())
    assert table_files(finished) == sorted(path.name for path in (tmp_path / "lake" / "events").rglob("*.parquet"))
    assert not check_lake(finished.settings, finished.ledger).findings
    sys.stdout.write(f"{reader.looks} looks ({reader.again} again), {reader.rows} rows, {crowd.kills} kills\n")
