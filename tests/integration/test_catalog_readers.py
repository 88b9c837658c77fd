"""DuckDB, Spark, Polars and pandas read the same rows of a table: after new columns, a close and an erasure."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars
import pytest
from tests.catalog_reader import open_table
from tests.evolved import AMOUNTS, IDS, NUMBERS, evolve
from tests.lakes import LakeUnderTest, find_in_rows
from tests.waiting import PATIENCE

from pismo_lake.events.erase import erase
from pismo_lake.settings.tables import Tables

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.integration
ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-readers" / "bin" / "python"
SPARK = ROOT / ".venv-spark" / "bin" / "python"
ERASED = 4
"""The id of the event that is erased: the first one with the column that became decimal."""
TAGS = [None, None, None, ["a", "b"], None, None]
PRICES = [None, None, None, None, None, Decimal("2.50")]


@pytest.fixture(scope="module")
def table_at(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, int]:
    """Return the metadata, and the only snapshot, of a table after new columns, a close and an erasure."""
    lake = LakeUnderTest(tmp_path_factory.mktemp("evolved"), tables=Tables())
    evolve(lake)
    lake.build()
    lake.close("2026-03-01")
    erase(lake.settings, lake.ledger, find_in_rows(lake.settings, (), [f"e-{ERASED - 1}"]), "request")
    with open_table(lake) as table:
        (only,) = table.snapshots()
        return table.metadata_location, only.snapshot_id


def check(rows: Sequence[Sequence[Any]]) -> None:
    """Compare rows of (id, amount, number, tags, price, date, time) with the published ones."""
    places = [place for place, number in enumerate(IDS) if number != ERASED]
    assert [row[0] for row in rows] == [IDS[place] for place in places]
    for column, expected in ((1, AMOUNTS), (2, NUMBERS), (4, PRICES)):
        found = [None if row[column] is None else Decimal(str(row[column])) for row in rows]
        assert found == [expected[place] for place in places]
    assert [row[3] for row in rows] == [TAGS[place] for place in places]
    assert {str(row[5])[:10] for row in rows} == {"2026-03-01"}
    assert {str(row[6])[:19].replace("T", " ") for row in rows} == {"2026-03-01 12:00:00"}


@pytest.mark.skipif(not PYTHON.exists(), reason="no DuckDB with Iceberg: scripts/readers installs it")
def test_duckdb(table_at: tuple[str, int]) -> None:
    read(table_at, PYTHON, "read_duckdb.py")


@pytest.mark.slow
@pytest.mark.skipif(
    not (SPARK.exists() and shutil.which("java")), reason="no Spark with Iceberg: scripts/spark installs it"
)
def test_spark(table_at: tuple[str, int], tmp_path: Path) -> None:
    read(table_at, SPARK, "read_spark.py", str(tmp_path))


def read(table_at: tuple[str, int], python: Path, reader: str, *arguments: str) -> None:
    """Read the table, and its only snapshot, with the packages of another Python."""
    metadata, snapshot = table_at
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(python), str(ROOT / "tests" / "readers" / reader), metadata, str(snapshot), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    check(found["now"])
    assert found["then"] == [[number] for number in IDS if number != ERASED]


def test_polars(table_at: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    # without its own planner, which is another package, polars warns
    monkeypatch.setenv("POLARS_ICEBERG_PLANNER", "pyiceberg")
    rows = polars.scan_iceberg(table_at[0]).sort("data__id").collect()
    columns = ["data__id", "data__amount", "data__n", "data__tags"]
    price = polars.col("data__lines").list.first().struct.field("value").alias("price")
    check(rows.select(*columns, price, "event_date", "event_timestamp").rows())


def test_pandas(table_at: tuple[str, int]) -> None:
    from pyiceberg.table import StaticTable

    frame = StaticTable.from_metadata(table_at[0]).scan().to_pandas().sort_values("data__id")
    rows = [
        (
            row["data__id"], _plain(row["data__amount"]), _plain(row["data__n"]), _plain(row["data__tags"]),
            # pyiceberg 0.12 reads a missing list of objects as an empty one
            lines[0]["value"] if (lines := _plain(row["data__lines"])) else None,
            row["event_date"], row["event_timestamp"],
        )
        for row in frame.to_dict("records")
    ]  # fmt: skip
    check(rows)
    assert rows[0][5] == date(2026, 3, 1)
    assert rows[0][6] == datetime(2026, 3, 1, 12, tzinfo=UTC)


def _plain(value: Any) -> Any:
    """Return a value of pandas: a missing one as None, and an array as a list."""
    if value is None or (isinstance(value, float) and value != value):
        return None
    return list(value) if hasattr(value, "__len__") and not isinstance(value, str) else value
