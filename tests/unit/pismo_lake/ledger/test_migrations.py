"""Migrate an earlier ledger with its data, refuse a newer one, and let tasks change none."""

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text
from tests.lakes import LakeUnderTest, event
from tests.ledgers import STATES, check_migrated, differences, dump, make

from pismo_lake.cli.main import main
from pismo_lake.errors import LedgerVersionError
from pismo_lake.ledger import Ledger
from pismo_lake.ledger.engine import connect
from pismo_lake.ledger.migrate import MIGRATIONS, migrate, migration_sql
from pismo_lake.ledger.version import VERSION, read_version

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/lake-ledger.db"


def set_version(url: str, version: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE pismo_ledger_version SET version_num = :version"), {"version": version})
    engine.dispose()


def test_the_program_needs_the_last_migration() -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_heads() == [VERSION]


def test_migrations_make_the_tables_of_the_program(url: str) -> None:
    with Ledger.open(url) as ledger:
        assert differences(ledger.engine, types=True) == []


def test_a_new_sqlite_ledger_is_that_of_the_migrations(url: str) -> None:
    def shape(engine: Engine) -> list[tuple[str, ...]]:
        with engine.connect() as connection:
            assert read_version(connection) == VERSION
            shapes = connection.execute(text("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master"))
            return sorted((kind, name, of, " ".join(sql.split())) for kind, name, of, sql in shapes)

    migrated = connect("sqlite://")
    migrated.raw_connection().executescript(migration_sql(migrated))  # type: ignore[attr-defined]
    with Ledger.open(url) as ledger:
        assert shape(ledger.engine) == shape(migrated)
        assert migration_sql(ledger.engine) == ""
    migrated.dispose()


@pytest.mark.parametrize("state", STATES, ids=lambda path: path.stem)
def test_a_ledger_of_the_time_before_versions_keeps_its_data(url: str, state: Path) -> None:
    engine = connect(url)
    make(engine, state)
    before = dump(engine)
    # the statements alone do the same
    printed, copy = migration_sql(engine), connect("sqlite://")
    assert dump(engine) == before
    make(copy, state)
    copy.raw_connection().executescript(printed)  # type: ignore[attr-defined]
    assert migrate(engine) == "0000"
    assert dump(copy) == dump(engine)
    assert differences(engine, types=False) == []
    after = dump(engine)
    assert migrate(engine) == VERSION
    assert migration_sql(engine) == ""
    assert dump(engine) == after
    engine.dispose()
    copy.dispose()
    with Ledger.open(url, new=False, migrated=False) as ledger:
        check_migrated(ledger, state)


@pytest.mark.parametrize("state", [STATES[0], STATES[-3]], ids=lambda path: path.stem)
def test_a_task_refuses_an_older_ledger_and_changes_nothing(url: str, state: Path) -> None:
    engine = connect(url)
    make(engine, state)
    before = dump(engine)
    told = f"version 0000, and this program needs {VERSION}: .* run python -m pismo_lake ledger migrate --ledger {url}$"
    with pytest.raises(LedgerVersionError, match=told) as raised:
        Ledger.open(url, migrated=False)
    assert raised.value.permanent
    assert dump(engine) == before
    engine.dispose()


def test_a_newer_ledger_is_refused_by_all(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Ledger.open(url).close()
    set_version(url, "9999")
    engine = connect(url)
    before = dump(engine)
    told = f"version 9999, and this program knows no later one than {VERSION}: .* ledger check --ledger {url}"
    for migrated in (True, False):
        with pytest.raises(LedgerVersionError, match=told):
            Ledger.open(url, migrated=migrated)
    for work in (migrate, migration_sql):
        with pytest.raises(LedgerVersionError, match=told):
            work(engine)
    lake = ["--lake", str(tmp_path / "lake")]
    for words in (["files"], ["ledger", "rebuild"], ["ledger", "migrate"], ["ledger", "check"]):
        assert main([*words, *lake]) == 1
        assert "version 9999, and this program knows no later one" in capsys.readouterr().err
    assert dump(engine) == before
    engine.dispose()


def test_a_command_migrates_the_ledger_beside_its_lake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = tmp_path / "raw" / "main_stream/2026/3/1/12"
    raw.mkdir(parents=True)
    (raw / "a").write_bytes(event("e-1"))
    lake = ["--lake", str(tmp_path / "lake")]
    assert main(["flatten", str(tmp_path / "raw"), *lake]) == 0
    engine = create_engine(f"sqlite:///{tmp_path}/lake-ledger.db")
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE pismo_ledger_version"))
    engine.dispose()
    assert main(["ledger", "check", *lake]) == 1
    capsys.readouterr()
    assert main(["where-is", "e-1", *lake]) == 0
    assert main(["ledger", "check", *lake]) == 0
    assert f"has version {VERSION}" in capsys.readouterr().out


def test_ledgers_are_named_by_a_url_a_lake_or_a_deliveries_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def delivery(name: str, **more: str) -> str:
        lines = {"organisation": "TN-1", "environment": "sandbox", "channel": "sftp", "conn_id": "c", "source": "{}"}
        lines |= {"landing": "raw", "lake": "lake", **more}
        return f"  {name}:\n" + "".join(f"    {key}: {value}\n" for key, value in lines.items())

    file = tmp_path / "deliveries.yaml"
    urls = {name: f"sqlite:///{tmp_path}/{name}.db" for name in ("one", "two")}
    file.write_text(
        "deliveries:\n"
        + delivery("a", ledger_url=urls["one"])
        + delivery("b", ledger_url=urls["two"])
        + delivery("c", ledger_url=urls["one"])
        + delivery("wrong", channel="pigeon")
    )
    assert main(["ledger", "migrate"]) == 1
    assert "--ledger is missing" in capsys.readouterr().err
    monkeypatch.setenv("PISMO_DELIVERIES", str(file))
    assert main(["ledger", "check"]) == 1
    assert f"run python -m pismo_lake ledger migrate --ledger {urls['one']}" in capsys.readouterr().err
    assert main(["ledger", "migrate", "--sql", "--delivery", "b"]) == 0
    assert "CREATE TABLE pismo_files" in capsys.readouterr().out
    assert not list(tmp_path.glob("*.db"))
    assert main(["ledger", "migrate"]) == 0
    told = capsys.readouterr()
    assert told.out.splitlines() == [f"ledger {url} created: it has version {VERSION} now" for url in urls.values()]
    assert "delivery wrong is left out" in told.err
    assert main(["ledger", "check"]) == 0
    assert main(["ledger", "migrate", "--delivery", "b"]) == 0
    assert capsys.readouterr().out.endswith(f"ledger {urls['two']} has version {VERSION} already\n")
    file.write_text("deliveries:\n" + delivery("a", ledger_conn_id="somewhere"))
    assert main(["ledger", "migrate"]) == 1
    assert "Airflow's connection somewhere: give --ledger" in capsys.readouterr().err


def _open(url: str) -> None:
    Ledger.open(url, migrated=False).close()


def test_processes_that_create_a_ledger_at_once_create_one(url: str, tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_open, args=(url,)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0] * len(workers)
    lake = LakeUnderTest(tmp_path)
    lake.put(event("e-1"))
    with Ledger.open(url) as ledger:
        assert differences(ledger.engine, types=True) == []
