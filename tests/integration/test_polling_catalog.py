"""Read a table through its catalog all the time while many processes change the lake, and are killed at random.

They land, build, close, report and erase in random order. In no snapshot does the reader see a row twice. A row that it
has seen once never goes missing, unless it is erased. At the end each file of the ledger is in the table once.

PISMO_READER_SECONDS (15) and PISMO_READER_PROCESSES (3) make it longer and wider (`make soak`).
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
from pismo_lake.settings.tables import FileRemoval, Tables

if TYPE_CHECKING:
    from pathlib import Path

    from pyiceberg.table import Table

pytestmark = pytest.mark.integration
SECONDS = float(os.environ.get("PISMO_READER_SECONDS", "15"))
PROCESSES = int(os.environ.get("PISMO_READER_PROCESSES", "3"))
FILES = max(80, int(SECONDS))
"""More than the 72 hours of the feed, so that files of one hour have copies of one event."""
PAUSE = 0.1
"""Seconds between two looks of the reader."""


class Reader:
    """Looks at each snapshot of a table, and notes what no reader may see."""

    def __init__(self, lake: LakeUnderTest) -> None:
        self._lake = lake
        self._seen: set[str] = set()
        self._files: dict[str, list[str]] = {}
        """The ids in each file that was read. Its name has a fingerprint of its content."""
        self._passed: set[int] = set()
        self.looks = 0
        """The number of snapshots whose rows it has compared."""
        self.faults: list[str] = []

    @property
    def rows(self) -> int:
        """The number of different rows that it has seen."""
        return len(self._seen)

    def look(self) -> None:
        """Read the present snapshot, then compare all new snapshots of whose files the rows are known, in order.

        A snapshot whose files are not known is passed over for good: an older one may lack the rows of a newer one.
        """
        try:
            with open_table(self._lake) as table:
                for path in self._paths(table, None):
                    if path not in self._files:
                        self._files[path] = pq.ParquetFile(path).read(["event_id"])[0].to_pylist()
                for entry in table.history():
                    if entry.snapshot_id not in self._passed:
                        paths = self._paths(table, entry.snapshot_id)
                        if all(path in self._files for path in paths):
                            self._compare(entry.snapshot_id, paths)
                        self._passed.add(entry.snapshot_id)
        except (NoSuchTableError, FileNotFoundError):
            # no table yet; or superseded files, which are removed at once
            return

    def _paths(self, table: Table, snapshot_id: int | None) -> list[str]:
        scan = table.scan() if snapshot_id is None else table.scan(snapshot_id=snapshot_id)
        return [task.file.file_path.removeprefix("file://") for task in scan.plan_files()]

    def _compare(self, snapshot_id: int, paths: list[str]) -> None:
        found = Counter(row for path in paths for row in self._files[path])
        if doubled := sorted(event_id for event_id, times in found.items() if times > 1):
            self.faults.append(f"snapshot {snapshot_id}: doubled {doubled[:5]} of {len(doubled)}")
        if missing := sorted(event_id for event_id in self._seen - found.keys() if not erased(event_id)):
            self.faults.append(f"snapshot {snapshot_id}: missing {missing[:5]} of {len(missing)}")
        self._seen |= found.keys()
        self.looks += 1


@pytest.mark.slow
@pytest.mark.parametrize("remove_files", [FileRemoval.AT_ONCE, FileRemoval.AFTER_SNAPSHOTS])
def test_a_reader_through_the_catalog_sees_each_row_once(tmp_path: Path, remove_files: FileRemoval) -> None:
    # the first one makes the ledger
    lake = LakeUnderTest(tmp_path, tables=Tables(remove_files=remove_files))
    reader, patience = Reader(lake), random.Random(3)
    crowd = Crowd(tmp_path, "", PROCESSES, FILES, remove_files.value)
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
    # a close forgets all older snapshots now, so that it removes the files that were kept for them
    finished = finish_and_compare(tmp_path, FILES, tables=Tables(remove_files=remove_files, snapshots_kept_hours=0))
    assert event_ids(finished) == sorted(row["event_id"] for row in finished.rows())
    assert table_files(finished) == sorted(path.name for path in (tmp_path / "lake" / "events").rglob("*.parquet"))
    assert not check_lake(finished.settings, finished.ledger).findings
    sys.stdout.write(f"{reader.looks} snapshots, {reader.rows} rows, {crowd.kills} kills\n")
