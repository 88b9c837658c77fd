"""Run `flatten` on a folder: again, and after somebody removed the lake's files."""

from __future__ import annotations

import gzip
import json
import shutil
import sqlite3
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
    # a file with a new time of change is read again
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
    assert ("cannot be written: one name in its path is both a file and a folder" in told) == clash
    assert not list(tmp_path.rglob("*.tmp"))


QUOTED = (
    b"# How to read events\n\nEvery file holds events such as\n\n" + b"some words about them. " * 40 + event("quoted")
)
NO_EVENTS = {
    "README.md": b"# Read me first\n",
    "README with an example": QUOTED,
    "package.json": json.dumps({"name": "x", "data": {"a": 1}}).encode(),
    "list.csv": b"event_id,domain\n1,2\n",
    "packed.md.gz": gzip.compress(b"# Read me first\n"),
    "a.zip": b"PK\x03\x04rest",
    "empty": b"",
    "untimed": event("u", timestamp=...),
}


def files_of(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


@pytest.mark.parametrize("name", NO_EVENTS)
def test_a_file_that_is_no_event_file_is_refused_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / name).write_bytes(NO_EVENTS[name])
    before = files_of(tmp_path)
    command = ["flatten", str(tmp_path / name), "--lake", str(tmp_path / "new" / "lake")]
    assert main(command) == 1
    assert f"{tmp_path / name} is not an event file: " in capsys.readouterr().err
    assert files_of(tmp_path) == before
    # it is refused beside good files too, and the first call has left nothing
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "good").write_bytes(event("good"))
    shutil.copy(tmp_path / name, tmp_path / "raw" / name)
    command = ["flatten", str(tmp_path / "raw"), "--lake", str(tmp_path / "lake")]
    assert main(command) == 1
    assert ids(tmp_path / "lake") == ["good"]
    landed = {path.name for path in (tmp_path / "lake-landing").rglob("*") if path.is_file()}
    assert landed == {"good", "good.parquet"}
    assert main(["flatten", str(tmp_path / "raw" / "good"), "--lake", str(tmp_path / "lake")]) == 0


@pytest.mark.parametrize("name", ["README.md", "package.json", "list.csv", "packed.md.gz"])
def test_it_is_refused_in_an_hour_folder_too_and_the_day_misses_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    folder = tmp_path / "raw" / "main_stream/2026/3/1/9"
    folder.mkdir(parents=True)
    (folder / "good").write_bytes(event("good"))
    (folder / name).write_bytes(NO_EVENTS[name])
    lake = ["--lake", str(tmp_path / "lake")]
    assert main(["flatten", str(tmp_path / "raw"), *lake]) == 1
    assert "is not an event file: it holds no event" in capsys.readouterr().err
    assert main(["close", "--date", "2026-03-01", *lake]) == 0
    assert "2026-03-01 is complete" in capsys.readouterr().out


DAMAGED = {
    "torn at its head": event("lost")[40:] + event("kept"),
    "torn at its end": event("kept") + event("lost")[:-30],
    "torn at both ends": event("lost")[40:-20],
    "gzip cut short": gzip.compress(event("kept") * 50)[:-20],
    "gzip of damage": b"\x1f\x8b" + b"damage" * 20,
    "packed otherwise": b"\x28\xb5\x2f\xfd rest",
    "empty": b"",
    "blank": b" \n\0",
    "with escaped keys": event("kept").replace(b"event_id", b"event\\u005fid"),
    "without ids": event("x").replace(b'"event_id":"x",', b""),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_of_an_hour_is_kept(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "raw" / "main_stream/2026/3/1/9"
    folder.mkdir(parents=True)
    (folder / "f").write_bytes(DAMAGED[name])
    status = main(["flatten", str(tmp_path / "raw"), "--lake", str(tmp_path / "lake")])
    assert status == int(name == "packed otherwise")
    (landed,) = (path for path in (tmp_path / "lake-landing").rglob("f") if path.is_file())
    assert landed.read_bytes() == DAMAGED[name]


def test_the_exit_code_is_about_this_call(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lake = ["--lake", str(tmp_path / "lake")]
    for name, hour in (("bad", 9), ("good", 10)):
        (tmp_path / name / f"main_stream/2026/3/1/{hour}").mkdir(parents=True)
        (tmp_path / name / f"main_stream/2026/3/1/{hour}" / name).write_bytes(event(name))
    assert main(["flatten", str(tmp_path / "bad"), *lake]) == 0
    # as if a call had been killed after landing it, and its bytes had been altered since
    (landed,) = (path for path in (tmp_path / "lake-landing").rglob("bad") if path.is_file())
    with sqlite3.connect(tmp_path / "lake-ledger.db") as base:
        base.execute(
            "INSERT INTO pismo_raw_files (lake, delivery, name, key, size, sha256, publish_hour, raw_uri, landed_at)"
            " SELECT lake, delivery, name, key, size, sha256, publish_hour, raw_uri, landed_at FROM pismo_files"
        )
    base.close()
    landed.write_bytes(event("no"))
    capsys.readouterr()
    assert main(["flatten", str(tmp_path / "good"), *lake]) == 0
    assert "left by an earlier call: main_stream/2026/3/1/9/bad: " in capsys.readouterr().err
    # its own file, its own day
    assert main(["close", "--date", "2026-03-02", *lake]) == 0
    assert "NOT INDEXED" in capsys.readouterr().err
    assert main(["close", "--date", "2026-03-01", *lake]) == 1
    assert main(["files", "--forget", "main_stream/2026/3/1/9/bad", *lake]) == 0
    assert "forgotten" in capsys.readouterr().out
    assert main(["close", "--date", "2026-03-01", *lake]) == 0
    assert ids(tmp_path / "lake") == ["good"]
    assert main(["files", "--forget", "local:main_stream/2026/3/1/10/good", "--forget", "typo", *lake]) == 1
    assert "no file of local is named typo" in capsys.readouterr().err
    assert ids(tmp_path / "lake") == []


@pytest.mark.parametrize("name", ["why?x=1", "100%41", "a#b", "ü +"])
def test_the_ledger_is_beside_a_lake_of_any_name(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "raw/main_stream/2026/3/1/9").mkdir(parents=True)
    (tmp_path / "raw/main_stream/2026/3/1/9/f").write_bytes(event("e-1"))
    lake = ["--lake", str(tmp_path / name)]
    tables = ["--table-format", "iceberg"]
    if "?" in name or "#" in name:
        assert main(["flatten", str(tmp_path / "raw"), *lake, *tables]) == 1
        assert "has ? or #" in capsys.readouterr().err
        assert {path.name for path in tmp_path.iterdir()} == {"raw"}
        tables = []
    assert main(["flatten", str(tmp_path / "raw"), *lake, "--jobs", "2", *tables]) == 0
    assert main(["close", "--date", "2026-03-01", *lake]) == 0
    assert main(["ledger", "migrate", *lake]) == 0
    assert main(["check", *lake]) == 0
    assert ids(tmp_path / name) == ["e-1"]
    beside = {path.name for path in tmp_path.iterdir() if path.is_file() and not path.name.endswith(("-shm", "-wal"))}
    assert beside == {f"{name}-ledger.db"} | {f"{name}-catalog.db" for _ in tables[:1]}
    shutil.rmtree(tmp_path / f"{name}-landing" / "local" / "_index")
    (tmp_path / f"{name}-ledger.db").unlink()
    assert main(["ledger", "rebuild", *lake]) == 0
    assert ids(tmp_path / name) == ["e-1"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--lake", "s3://"], "lake 's3://' is neither a path nor s3://"),
        (["--lake", "s3:///lake", "--landing", "raw"], "lake 's3:///lake' is neither a path nor s3://"),
        (["--lake", "file://"], "lake 'file://' is neither a path nor s3://"),
        (["--lake", "s3:/bucket/lake"], "lake 's3:/bucket/lake' is neither a path nor s3://"),
        (["--lake", "lake", "--landing", "gs://"], "landing 'gs://' is neither a path nor s3://"),
        (["--lake", "lake", "--landing", "lake/raw"], "one of landing and lake is inside the other: lake/raw, lake"),
    ],
)
def test_a_place_that_is_no_place_is_refused_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], options: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_bytes(event("e-1", {"a": 1}))
    assert main(["flatten", "file", "--ledger", "sqlite:///ledger.db", *options]) == 1
    assert says in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"file"}


def test_a_rebuild_says_which_unit_keeps_the_rows_of_a_damaged_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "raw/main_stream/2026/3/1/9").mkdir(parents=True)
    (tmp_path / "raw/main_stream/2026/3/1/9/f").write_bytes(event("e-1"))
    lake = ["--lake", str(tmp_path / "lake")]
    assert main(["flatten", str(tmp_path / "raw"), *lake]) == 0
    (tmp_path / "lake-ledger.db").unlink()
    landed = tmp_path / "lake-landing/local/main_stream/2026/3/1/9/f"
    landed.write_bytes(event("e-2"))
    capsys.readouterr()
    assert main(["ledger", "rebuild", *lake]) == 1
    printed = capsys.readouterr()
    assert "NOT INDEXED, its events are missing: main_stream/2026/3/1/9/f: " in printed.err
    assert "NOT BUILT: 2026-03-01T09: the lake has rows of main_stream/2026/3/1/9/f" in printed.err
    assert printed.out.endswith("0 unit(s) built\n")
    assert ids(tmp_path / "lake") == ["e-1"]
    assert main(["report", "--date", "2026-03-01", *lake]) == 1
    assert "incomplete" in capsys.readouterr().out
    assert main(["files", "--forget", "main_stream/2026/3/1/9/f", *lake]) == 0
    assert not landed.exists()
    assert ids(tmp_path / "lake") == ["e-1"]
    assert main(["flatten", str(tmp_path / "raw"), *lake]) == 0
    assert ids(tmp_path / "lake") == ["e-1"]
    assert main(["check", *lake]) == 0
