"""Migrate or refuse a ledger from before versions; errors of a database name the ledger."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, text
from tests.lakes import SERVER, LakeUnderTest, event

from pismo_lake import errors
from pismo_lake.cli.main import main
from pismo_lake.errors import ConfigError, LedgerError, LedgerRefused, LedgerVersionError
from pismo_lake.ledger import LakeFiles, Ledger, Sightings
from pismo_lake.ledger.sightings import failed_files


def altered(root: Path, statement: str) -> str:
    """Return the URL of a ledger that a statement has made older, to the time before versions."""
    url = f"sqlite:///{root / 'ledger.db'}"
    Ledger.open(url).close()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(statement))
        connection.execute(text("DROP TABLE pismo_ledger_version"))
    engine.dispose()
    return url


def test_a_column_that_may_be_null_is_added(tmp_path: Path) -> None:
    url = altered(tmp_path, "ALTER TABLE pismo_contract_changes DROP COLUMN first_offset")
    ledger = Ledger.open(url)
    columns = {column["name"] for column in inspect(ledger.engine).get_columns("pismo_contract_changes")}
    ledger.close()
    assert "first_offset" in columns
    lake = LakeUnderTest(tmp_path)
    lake.put(event("e-1", {"n": 1}))
    lake.ledger.close()


def test_files_that_failed_before_an_upgrade_are_counted_from_then_on(tmp_path: Path) -> None:
    url = altered(tmp_path, "ALTER TABLE pismo_sightings DROP COLUMN tries")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE pismo_sightings DROP COLUMN quarantined"))
        row = "'/lake', 'feed', 'k', '2026-03-01T12', 'listed', '2026-03-01T12:00:00+00:00', 'cut off'"
        connection.execute(text(f"INSERT INTO pismo_sightings VALUES ({row})"))
    engine.dispose()
    with Ledger.open(url) as ledger:
        sightings = Sightings(ledger, "/lake", "feed")
        (seen,) = sightings.of_day("2026-03-01")
        assert (seen.key, seen.tries, seen.quarantined, seen.state) == ("k", 0, None, "listed")
        assert sightings.count_tries(["k", "unknown"], 2)["k"].tries == 1
        assert sightings.list_quarantined() == {}
        assert sightings.count_tries(["k"], 2)["k"].quarantined is not None
        first = sightings.list_quarantined()["k"].quarantined
        assert sightings.count_tries(["k"], 2)["k"].quarantined == first
        assert Sightings(ledger, "/other", "feed").list_quarantined() == {}
        assert [seen.tries for seen in failed_files(ledger, "/lake", "2026-03-01")] == [3]
        assert failed_files(ledger, "/lake", "2026-03-02") == []
        assert failed_files(ledger, "/other") == []


def test_a_column_that_every_version_had_is_missed(tmp_path: Path) -> None:
    url = altered(tmp_path, "ALTER TABLE pismo_files DROP COLUMN size")
    for _ in range(2):
        with pytest.raises(LedgerVersionError, match=r"pismo_files has no size: .* remove it and run: ledger rebuild"):
            Ledger.open(url)


# --- errors name the ledger ------------------------------------------------------------------------------------


def test_a_file_that_is_no_database(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"no database at all\n" * 100)
    with pytest.raises(
        LedgerRefused, match=f"ledger sqlite:///{path} cannot be opened: file is not a database; restore it"
    ) as raised:
        Ledger.open(f"sqlite:///{path}")
    assert raised.value.permanent
    assert main(["files", "--lake", str(tmp_path), "--ledger", f"sqlite:///{path}"]) == 1
    told = capsys.readouterr().err
    assert str(path) in told
    assert "file is not a database" in told


def test_a_database_that_was_damaged_after_it_was_opened(lake: LakeUnderTest) -> None:
    lake.put(event("e-1", {"n": 1}))
    path = str(lake.ledger.engine.url.database)
    lake.ledger.engine.dispose()
    size = Path(path).stat().st_size
    with Path(path).open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    with pytest.raises(
        LedgerRefused, match=f"{path} cannot be (opened|used): database disk image is malformed; restore it"
    ):
        LakeFiles(lake.ledger, lake.settings.lake).every()


_AS_NOBODY = """
import os, sys
from pismo_lake.errors import LedgerRefused
from pismo_lake.ledger import LakeFiles, Ledger
# what is imported on the way may not be readable later
Ledger.open("sqlite://").close()
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
for path in sys.argv[1:]:
    try:
        print("no error", Ledger.open(f"sqlite:///{path}"))
    except LedgerRefused as error:
        print(error)
"""


def test_a_ledger_that_may_not_be_written() -> None:
    package = Path(errors.__file__).parents[1]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        Ledger.open(f"sqlite:///{root}/ledger.db").close()
        with sqlite3.connect(root / "ledger.db") as connection:
            connection.execute("PRAGMA journal_mode=DELETE")
        connection.close()
        (root / "ledger.db").chmod(0o444)
        (root / "closed").mkdir(mode=0)
        root.chmod(0o555)
        paths = [f"{folder}/ledger.db", f"{folder}/none.db", f"{folder}/closed/ledger.db", f"{folder}/new/ledger.db"]
        command = [sys.executable, "-c", _AS_NOBODY, *paths]
        environment = os.environ | {"PYTHONPATH": str(package)}
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
        root.chmod(0o755)
        (root / "closed").chmod(0o755)
    lines = done.stdout.splitlines()
    assert len(lines) == 4, done.stdout + done.stderr
    for path, line in zip(paths, lines, strict=True):
        assert line.startswith("ledger "), line
        assert path in line
    assert "readonly database; this user must be allowed to write the file and its folder" in lines[0]
    assert "unable to open database file; its folder must exist" in lines[1]
    assert "unable to open database file" in lines[2] or "Permission denied" in lines[2]
    assert "its folder cannot be created: PermissionError: Permission denied" in lines[3]


def test_a_full_disk_passes(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
        (tmp_path / "filler").write_bytes(b"x" * (os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_bsize))

        def fill() -> None:
            for number in range(1000):
                with ledger.transaction() as connection:
                    values = {"lake": "x" * 400, "name": "n" * 200 + str(number)}
                    connection.execute(text("INSERT INTO pismo_contracts VALUES (:lake, 'd', :name, 1, '{}')"), values)

        with pytest.raises(
            LedgerError, match=r"ledger\.db cannot be used: database or disk is full; free some space"
        ) as raised:
            fill()
        assert not raised.value.permanent
        ledger.close()
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_url_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the ledger's URL is not valid, write it as"):
        Ledger.open(f"{tmp_path}/ledger.db?password=hunter2")
    with pytest.raises(ConfigError, match=r"ledger oracl://me:.*@host/db: no driver for it is installed") as raised:
        Ledger.open("oracl://me:hunter2@host/db")
    assert "hunter2" not in str(raised.value)


@pytest.mark.skipif(SERVER is not None, reason="only an SQLite file has one writer at a time")
def test_a_ledger_is_opened_while_another_process_writes(tmp_path: Path) -> None:
    """A close may hold the write lock for longer than a reader waits."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with Ledger.open(url) as writer, writer.transaction() as connection:
        connection.execute(text("DELETE FROM pismo_files"))
        with Ledger.open(url) as reader:
            assert reader.for_reading().is_empty()
