"""`python -m pismo_lake flatten` on a folder: again, and after somebody removed the lake's files."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from tests.lakes import event

from pismo_lake.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path


def contents(lake: Path) -> dict[str, bytes]:
    return {str(path.relative_to(lake)): path.read_bytes() for path in lake.rglob("*.parquet")}


def ids(lake: Path) -> list[str]:
    tables = (pq.ParquetFile(path).read(["event_id"]) for path in (lake / "events").rglob("*.parquet"))
    return sorted(event_id for table in tables for event_id in table.column(0).to_pylist())


def test_what_is_known_is_counted_and_what_is_gone_comes_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw, lake = tmp_path / "raw" / "main_stream/2026/3/1/9", tmp_path / "lake"
    raw.mkdir(parents=True)
    for number in range(3):
        (raw / f"f{number}").write_bytes(event(f"e-{number}"))
    command = ["flatten", str(tmp_path / "raw"), "--lake", str(lake)]
    assert main(command) == 0
    assert "3 new file(s), 0 known" in capsys.readouterr().out
    before = contents(lake)
    assert main(command) == 0
    assert "0 new file(s), 3 known" in capsys.readouterr().out
    assert contents(lake) == before
    # copied anew, it is looked at again
    (raw / "f1").write_bytes(event("e-1"))
    assert main(command) == 0
    assert "0 new file(s), 3 known" in capsys.readouterr().out
    assert contents(lake) == before
    shutil.rmtree(lake / "events")
    assert main(command) == 0
    assert "0 new file(s), 3 known" in capsys.readouterr().out
    assert contents(lake) == before


def test_another_file_of_the_same_name_and_size_is_another_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "part-0001").write_bytes(event(folder))
        assert main(["flatten", str(tmp_path / folder), "--lake", str(tmp_path / "lake")]) == 0
        assert "1 new file(s), 0 known" in capsys.readouterr().out
    (tmp_path / "one" / "part-0001").write_bytes(event("six"))
    assert main(["flatten", str(tmp_path / "one"), "--lake", str(tmp_path / "lake")]) == 0
    assert ids(tmp_path / "lake") == ["one", "six", "two"]


def test_files_that_begin_with_a_dot_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "raw").mkdir()
    for name in ("a", ".b"):
        (tmp_path / "raw" / name).write_bytes(event(name))
    assert main(["flatten", str(tmp_path / "raw"), "--lake", str(tmp_path / "lake")]) == 0
    assert ids(tmp_path / "lake") == ["a"]
    assert "1 file(s) whose names begin with a dot are left out: .b" in caplog.text


@pytest.mark.parametrize(("first", "second"), [("x", "x/y"), ("x/y", "x"), ("x", "x.parquet/y"), ("x.columns/y", "x")])
def test_a_name_of_a_file_and_of_a_folder_is_told_and_holds_up_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], first: str, second: str
) -> None:
    for folder, name in (("one", first), ("two", second), ("two", "z")):
        (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / name).write_bytes(event(name))
    lake = ["--lake", str(tmp_path / "lake"), "--publish-hour", "2026-03-01T12"]
    assert main(["flatten", str(tmp_path / "one"), *lake]) == 0
    clash = ".columns" not in first
    assert main(["flatten", str(tmp_path / "two"), *lake]) == int(clash)
    assert ids(tmp_path / "lake") == sorted([first, "z", *([] if clash else [second])])
    told = capsys.readouterr().err
    assert ("cannot be written: a name on its way stands for a file and for a folder" in told) == clash
    assert not list(tmp_path.rglob("*.tmp"))
