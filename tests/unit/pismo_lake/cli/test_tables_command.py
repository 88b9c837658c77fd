"""The command line keeps tables, and later commands need only the lake."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from pyiceberg.table import StaticTable
from tests.lakes import at, event, key

from pismo_lake.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

DAY = "2026-03-01"


def listed(lake: str, capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, object]]:
    capsys.readouterr()
    assert main(["tables", "--lake", lake, "--json"]) == 0
    return {table["name"]: table for table in json.loads(capsys.readouterr().out)}


def write(root: Path, hour: int, content: bytes) -> None:
    path = root / "raw" / key(hour)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)


def test_tables_of_a_lake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lake, raw = str(tmp_path / "lake"), str(tmp_path / "raw")
    for hour in (3, 4):
        write(tmp_path, hour, event(f"e-{hour}", timestamp=at(hour)) + b"{broken")
    assert main(["flatten", raw, "--lake", lake, "--table-format", "iceberg"]) == 0
    before = listed(lake, capsys)
    assert (tmp_path / "lake-catalog.db").exists()
    assert {name: (table["kind"], table["rows"], table["files"]) for name, table in before.items()} == {
        "lake.rejects": ("rejects", 2, 2),
        "pix.pix_in_1": ("events", 2, 2),
    }
    assert main(["close", "--lake", lake, "--date", DAY]) == 0
    after = listed(lake, capsys)
    assert {name: (table["kind"], table["files"]) for name, table in after.items()} == {
        "lake.rejects": ("rejects", 1),
        "lake.reports": ("reports", 1),
        "pix.pix_in_1": ("events", 1),
    }
    assert before["pix.pix_in_1"]["snapshot_id"] != after["pix.pix_in_1"]["snapshot_id"]
    table = StaticTable.from_metadata(str(after["pix.pix_in_1"]["metadata_location"]))
    assert sorted(row["event_id"] for row in table.scan().to_arrow().to_pylist()) == ["e-3", "e-4"]
    reports = StaticTable.from_metadata(str(after["lake.reports"]["metadata_location"])).scan().to_arrow().to_pylist()
    assert {"section": "day", "metric": "events", "value": 2}.items() <= next(
        row for row in reports if row["section"] == "day" and row["metric"] == "events"
    ).items()
    # a report keeps its name if its content changes
    write(tmp_path, 5, event("e-5", timestamp=at(5)))
    assert main(["flatten", raw, "--lake", lake]) == 0
    assert main(["report", "--lake", lake, "--date", DAY]) == 0
    now = listed(lake, capsys)
    assert (now["lake.reports"]["files"], now["pix.pix_in_1"]["rows"]) == (1, 3)
    reports = StaticTable.from_metadata(str(now["lake.reports"]["metadata_location"])).scan().to_arrow().to_pylist()
    assert [row["value"] for row in reports if (row["section"], row["metric"]) == ("day", "events")] == [3]


def test_a_lake_remembers_when_replaced_files_are_removed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lake, raw = str(tmp_path / "lake"), str(tmp_path / "raw")
    write(tmp_path, 3, event("e-3", timestamp=at(3)))
    assert main(["flatten", raw, "--lake", lake, "--table-format", "iceberg"]) == 0
    (before,) = (tmp_path / "lake" / "events").rglob("*.parquet")
    # the option alone changes the note of the lake, and a later call needs no option
    assert main(["tables", "--lake", lake, "--remove-files", "after_snapshots"]) == 0
    assert main(["close", "--lake", lake, "--date", DAY]) == 0
    assert before.exists()
    assert len(list((tmp_path / "lake" / "events").rglob("*.parquet"))) == 2
    assert listed(lake, capsys)["pix.pix_in_1"]["files"] == 1
    assert main(["close", "--lake", lake, "--date", DAY, "--remove-files", "at_once"]) == 0
    assert not before.exists()


def test_what_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lake = str(tmp_path / "lake")
    assert main(["flatten", str(tmp_path), "--lake", lake, "--table-format", "parquet"]) == 1
    assert "allowed: iceberg" in capsys.readouterr().err
    assert main(["flatten", str(tmp_path), "--lake", lake, "--table-format", "iceberg", "--kms-key", "alias/x"]) == 1
    assert "no reader of the table format can decrypt" in capsys.readouterr().err
    assert main(["flatten", str(tmp_path), "--lake", lake, "--table-format", "iceberg", "--remove-files", "never"]) == 1
    assert "allowed: at_once, after_snapshots" in capsys.readouterr().err
    assert main(["flatten", str(tmp_path), "--lake", lake, "--remove-files", "after_snapshots"]) == 1
    assert "--remove-files needs --table-format" in capsys.readouterr().err


def test_a_lake_with_tables_needs_the_extra(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, 3, event("e-3", timestamp=at(3)))
    lake, call = tmp_path / "lake", ["flatten", str(tmp_path / "raw"), "--lake", str(tmp_path / "lake")]
    # as if the package were not installed
    monkeypatch.setitem(sys.modules, "pismo_lake.catalog.iceberg", None)
    assert main([*call, "--table-format", "iceberg"]) != 0
    assert "table_format needs pyiceberg: pip install -r requirements-iceberg.txt" in capsys.readouterr().err
    # the lake has not become one with tables
    assert not (lake / "_iceberg").exists()
    assert main(call) == 0
    assert len(list((lake / "events").rglob("*.parquet"))) == 1
