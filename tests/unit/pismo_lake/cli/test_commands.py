"""Test that commands name errors, and never report success if they have checked nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from tests.lakes import HOUR, event

from pismo_lake.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

DAY = "2026-03-01"
ENTRY = """\
deliveries:
  ours:
    organisation: TN-1
    environment: sandbox
    channel: gcs
    conn_id: c
    source: {{bucket: b}}
    landing: {root}/raw
    lake: {root}/lake-ours
    {ledger}
"""


READING = {
    "files": ["files"],
    "report": ["report", "--date", DAY],
    "close": ["close", "--date", DAY],
    "close dry": ["close", "--date", DAY, "--dry-run"],
    "where": ["where-is", "e-1"],
    "show": ["show", "e-1"],
    "erase": ["erase", "--event-id", "e-1", "--reference", "t"],
    "ddl": ["ddl", "--dialect", "duckdb"],
    "contracts": ["contracts", "show"],
    "dictionary": ["contracts", "dictionary", "--into", "{root}/dictionary"],
}


@pytest.mark.parametrize("command", READING)
def test_a_lake_that_is_not_there_is_told_and_not_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert main([*READING[command], "--lake", str(tmp_path / "typo")]) == 1
    assert f"there is no ledger {tmp_path}/typo-ledger.db" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


FAILING = {
    "no such file": ["flatten", "{root}/nowhere"],
    "no such hour": ["flatten", "{root}/feed", "--publish-hour", "noon"],
    "no landing": ["flatten", "{root}/feed", "--landing", "{root}/file"],
    "no policy": ["flatten", "{root}/feed", "--privacy", "{root}/nowhere"],
    "nothing to rebuild from": ["ledger", "rebuild"],
    **READING,
}


@pytest.mark.parametrize("command", FAILING)
def test_a_command_that_fails_writes_nothing(lake: str, tmp_path: Path, command: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "empty.db").write_bytes(b"")
    before = {path: path.stat().st_size for path in tmp_path.rglob("*")}
    call = [word.format(root=tmp_path) for word in FAILING[command]]
    expected = int("rebuild" not in command)
    for ledger in ([], ["--ledger", f"sqlite:///{tmp_path}/new/ledger.db"]):
        assert main([*call, "--lake", str(tmp_path / "deep" / "typo"), *ledger]) == expected
    if command in READING:
        # nor is a database of something else made a ledger
        assert main([*call, "--lake", lake, "--ledger", f"sqlite:///{tmp_path}/empty.db"]) == 1
    assert {path: path.stat().st_size for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("command", ["report", "close"])
def test_a_delivery_that_is_not_there_is_not_complete(
    lake: str, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert main([*READING[command], "--lake", lake, "--delivery", "lokal"]) == 1
    assert "no file of delivery 'lokal'" in (told := capsys.readouterr().err)
    assert "it knows local" in told


def test_a_day_without_files_and_one_that_is_not_over(lake: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--date", "2026-03-09", "--lake", lake]) == 0
    assert "2026-03-09 has no files" in capsys.readouterr().out
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    assert main(["close", "--date", today, "--lake", lake]) == 0
    assert f"{today} is incomplete: the day is not over yet" in capsys.readouterr().out


@pytest.mark.parametrize("day", ["nonsense", "2026-02-30", "2026-2-1", "25/11/2026"])
@pytest.mark.parametrize("command", ["files", "report", "close", "contracts check"])
def test_what_is_no_day_is_a_wrong_call(capsys: pytest.CaptureFixture[str], command: str, day: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), "--date", day, "--lake", "x"])
    assert ended.value.code == 2
    assert day in (told := capsys.readouterr().err)
    assert "--date" in told


@pytest.mark.parametrize("jobs", ["0", "-1", "many"])
def test_no_processes_is_a_wrong_call(capsys: pytest.CaptureFixture[str], jobs: str) -> None:
    with pytest.raises(SystemExit):
        main(["flatten", "x", "--lake", "x", f"--jobs={jobs}"])
    assert f"'{jobs}' is not 1 or more" in capsys.readouterr().err


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_the_ends_of_the_calendar(lake: str, day: str) -> None:
    assert main(["close", "--date", day, "--lake", lake]) == 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--ledger", "garbage"], "ArgumentError: "),
        (["--ledger", "nosuch://x"], "NoSuchModuleError: "),
        (["--ledger", "sqlite:///{root}/feed"], "feed cannot be opened: unable to open database file"),
        (["--lake", "{root}/file/lake"], "FileExistsError: "),
        (["--lake", "{root}/new", "--landing", "{root}/file"], "cannot be written: one name in its path"),
    ],
)
def test_what_the_world_refuses_has_a_line_of_its_own(
    lake: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], told: str
) -> None:
    (tmp_path / "file").write_bytes(b"")
    wrong = [option.format(root=tmp_path) for option in options]
    command = ["flatten", str(tmp_path / "feed"), "--lake", lake, *wrong]
    assert main(command) == 1
    error = capsys.readouterr().err
    assert told in error
    assert "Traceback" not in error


def test_erasing_with_the_ledger_of_another_lake_erases_nothing(
    lake: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a").write_bytes(event("x"))
    assert main(["flatten", str(tmp_path / "other"), "--lake", str(tmp_path / "lake2")]) == 0
    erase = ["erase", "--event-id", "e-1", "--reference", "t", "--raw", "--lake", lake]
    assert main([*erase, "--ledger", f"sqlite:///{tmp_path}/lake2-ledger.db"]) == 1
    assert "is not the present ledger of lake" in capsys.readouterr().err
    assert main(erase) == 0
    assert "1 event(s) are recorded as erased; 1 unit(s) built again; 1 raw file(s) blanked" in capsys.readouterr().out


def test_what_was_erased_from_the_lake_is_erased_from_landing_afterwards(
    lake: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    erase = ["erase", "--event-id", "e-1", "--event-id", "never", "--reference", "t", "--lake", lake]
    (raw,) = (tmp_path / "lake-landing" / "local").rglob("main_stream/**/e-1")
    assert main(erase) == 0
    assert raw.read_bytes() == event("e-1")
    capsys.readouterr()
    for _ in range(2):
        assert main([*erase, "--raw"]) == 0
        assert "1 event(s) are recorded as erased" in (told := capsys.readouterr().out)
        assert "1 raw file(s) blanked" in told
        assert raw.read_bytes() == b" " * len(event("e-1"))


def test_a_privacy_key_without_its_id_is_not_shown(
    lake: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PISMO_PRIVACY_KEY", "a-long-secret-without-its-id")
    assert main(["flatten", str(tmp_path / "feed"), "--lake", f"{lake}2", "--privacy", "strict"]) == 1
    assert "<key id>:<secret>" in (told := capsys.readouterr().err)
    assert "a-long" not in told


def test_a_delivery_comes_with_all_that_its_entry_says(
    lake: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "deliveries.yaml"
    path.write_text(ENTRY.format(root=tmp_path, ledger=f"ledger_url: sqlite:///{tmp_path}/l.db"))
    ours = ["--deliveries", str(path), "--delivery", "ours"]
    assert main(["flatten", str(tmp_path / "feed"), *ours]) == 0
    assert (tmp_path / "raw" / "ours").is_dir()
    monkeypatch.setenv("PISMO_DELIVERIES", str(path))
    capsys.readouterr()
    assert main(["files", "--delivery", "ours"]) == 0
    assert f"ours:{HOUR}/e-1" in capsys.readouterr().out
    # the settings of a delivery in the file have precedence over the environment
    monkeypatch.setenv("PISMO_LAKE", lake)
    monkeypatch.setenv("PISMO_LANDING", f"{lake}-landing")
    monkeypatch.setenv("PISMO_LEDGER_URL", f"sqlite:///{lake}-ledger.db")
    assert main(["files", "--delivery", "ours"]) == 0
    assert f"ours:{HOUR}/e-1" in capsys.readouterr().out
    for name in ("PISMO_LAKE", "PISMO_LANDING", "PISMO_LEDGER_URL"):
        monkeypatch.delenv(name)
    # a lake that is named in the call is the one that is meant
    assert main(["files", "--lake", lake]) == 0
    assert "ours:" not in capsys.readouterr().out
    assert main(["files", "--delivery", "theirs"]) == 1
    assert "no delivery 'theirs'" in capsys.readouterr().err
    path.write_text(ENTRY.format(root=tmp_path, ledger="ledger_conn_id: pismo_ledger"))
    assert main(["files", "--delivery", "ours"]) == 1
    assert "Airflow's connection pismo_ledger: give --ledger" in capsys.readouterr().err
    assert main(["files", "--delivery", "ours", "--ledger", f"sqlite:///{tmp_path}/l.db"]) == 0


def test_help_says_what_it_is_about(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["files", "--help"])
    assert "--deliveries FILE" in capsys.readouterr().out


def test_a_unit_that_an_earlier_call_left_fails_no_other_call(
    lake: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = tmp_path / "lake-landing" / "local" / HOUR / "e-1"
    raw.write_bytes(raw.read_bytes().replace(b"e-1", b"e-9"))
    calls = {"late": (HOUR, 1), "other": (HOUR.replace("/12", "/13"), 0)}
    for name, (hour, status) in calls.items():
        path = tmp_path / name / hour / name
        path.parent.mkdir(parents=True)
        path.write_bytes(event(name))
        assert main(["flatten", str(tmp_path / name), "--lake", lake]) == status
        assert f"NOT BUILT: {DAY}T12: " in capsys.readouterr().err
    assert main(["close", "--date", DAY, "--lake", lake]) == 1
    other = DAY.replace("01", "02")
    assert main(["close", "--date", other, "--lake", lake]) == 0
    assert f"NOT BUILT: {DAY}T12: " in capsys.readouterr().err
