"""Commit to the Iceberg tables of a lake with a year of closed days: `make bench ARGS="tables --tables 30"`.

It prints the CPU seconds of a commit of one table, and of the commits of a close. Each table has a file for each closed
day; all files are links to a few small ones, because a commit reads only their footers. SQLite has ledger and catalog.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from pismo_lake.catalog.lake import commit_lake, commit_unit
from pismo_lake.ledger import Ledger
from pismo_lake.ledger.builds import BuildLedger
from pismo_lake.paths import output_name
from pismo_lake.settings.lake import LakeSettings
from pismo_lake.settings.tables import Tables

if TYPE_CHECKING:
    from collections.abc import Sequence

_FIRST = date(2025, 1, 1)
_COLUMNS = 40


def main(arguments: Sequence[str]) -> int:
    """Make a lake of closed days, commit hours and a close of the next day, print one table."""
    parser = argparse.ArgumentParser(prog="benchmarks tables", description=__doc__)
    parser.add_argument("--tables", type=int, default=30)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--hours", type=int, default=24, help="commits of hours before the close")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="pismo-tables-") as folder:
        lake = _Lake(Path(folder), options.tables)
        for number in range(options.days):
            lake.record(str(_FIRST + timedelta(days=number)))
        first = lake.measure(lambda: commit_lake(lake.settings, lake.ledger))
        day = str(_FIRST + timedelta(days=options.days))
        hours = [f"{day}T{hour:02d}" for hour in range(options.hours)]
        commits = [lake.measure(lambda unit=hour: lake.commit(unit)) / options.tables for hour in hours]  # type: ignore[misc]
        closing = lake.measure(lambda: lake.commit(day, hours))
        lake.ledger.close()
    print(f"machine      {os.cpu_count()} cores; {options.tables} tables, {options.days} closed days")
    print(f"first commit {first:.1f} s of CPU for all tables, {first / options.tables:.2f} s a table")
    print(f"an hour      {statistics.mean(commits):.3f} s of CPU a table, {max(commits):.3f} s at most")
    print(f"a close      {closing:.1f} s of CPU for all tables, {closing / options.tables:.3f} s a table")
    return 0


class _Lake:
    """A lake whose ledger has builds, and whose files are links."""

    def __init__(self, root: Path, tables: int) -> None:
        self._root = root
        self.settings = LakeSettings("bench", str(root / "landing"), str(root / "lake"), tables=Tables())
        self.ledger = Ledger.open(f"sqlite:///{root / 'lake-ledger.db'}")
        self._folders = [f"events/domain=bench/event_type=type_{number}-1" for number in range(tables)]
        self._file = root / "file.parquet"
        columns = {f"data__{number}": ["text"] for number in range(_COLUMNS)}
        pq.write_table(pa.table({"event_id": ["e"]} | columns), self._file)

    def record(self, unit: str, replaced: Sequence[str] = ()) -> list[str]:
        """Record a unit with a file in each table; return the paths of files that it replaces."""
        name = output_name("bench", unit, 0, "0" * 64)
        paths = [f"{folder}/event_date={unit[:10]}/{name}" for folder in self._folders]
        for path in paths:
            place = self._root / "lake" / path
            place.parent.mkdir(parents=True, exist_ok=True)
            os.link(self._file, place)
        gone = []
        for other in replaced:
            builds = BuildLedger(self.ledger, self.settings.lake, "bench", other)
            gone += [path for part in builds.parts() for path in part.outputs]
            builds.drop(0, builds.claim(0))
        builds = BuildLedger(self.ledger, self.settings.lake, "bench", unit)
        token = builds.claim(0)
        builds.commit(
            0, token, fingerprint="", outputs=paths, counts={}, taken_in=[], verify=lambda _: None
        )  # fmt: skip
        return [*paths, *gone]

    def commit(self, unit: str, replaced: Sequence[str] = ()) -> None:
        """Record a unit, and commit its tables."""
        commit_unit(self.settings, self.ledger, unit, self.record(unit, replaced))

    @staticmethod
    def measure(work: object) -> float:
        """Return the CPU seconds of some work."""
        before = resource.getrusage(resource.RUSAGE_SELF)
        work()  # type: ignore[operator]
        after = resource.getrusage(resource.RUSAGE_SELF)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    import sys

    raise SystemExit(main(sys.argv[1:]))
