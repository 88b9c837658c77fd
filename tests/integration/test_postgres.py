"""Run the lake's tests with the ledger on PostgreSQL, and two builders at once."""

from __future__ import annotations

import multiprocessing
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, text
from tests.lakes import ORG, LakeUnderTest, at, event, key
from tests.postgres import PostgresServer, running_postgres

from pismo_lake.build.day import build_unit, close_day
from pismo_lake.errors import LedgerError, LedgerRefused
from pismo_lake.hours import PublishDay
from pismo_lake.ledger import FileLedger, LakeFiles, Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pismo_lake.settings.lake import LakeSettings

pytestmark = pytest.mark.integration
ROOT = Path(__file__).resolve().parents[2]
SUITES = (
    "build/test_claim.py",
    "build/test_close.py",
    "check/test_check.py",
    "check/test_repair.py",
    "contracts/test_contracts.py",
    "contracts/test_widening.py",
    "decode/test_bad_input.py",
    "events/test_erase.py",
    "events/test_whereis.py",
    "privacy/test_privacy.py",
    "report/test_report.py",
    "report/test_status.py",
)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_postgres() as url:
        yield url


def test_the_lakes_tests_pass_with_a_ledger_in_postgresql(server: str) -> None:
    # commands have a ledger of their own, in SQLite
    files = [f"tests/unit/pismo_lake/{name}" for name in SUITES]
    command = [sys.executable, "-m", "pytest", "-q", "-x", *files, "-k", "not command"]
    environment = os.environ | {"PISMO_TEST_LEDGER_URL": server, "PYTHONPATH": "include:plugins"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    engine = create_engine(server)
    with engine.connect() as connection:
        made = connection.execute(text("SELECT count(*) FROM pg_database WHERE datname LIKE 'lake_%'")).scalar_one()
    engine.dispose()
    assert made > 100


def test_errors_name_the_ledger(server: str) -> None:
    refused = {
        "ledger@": ("nobody-here@", 'role "nobody-here" does not exist; create the user'),
        "/postgres": ("/none", 'database "none" does not exist; create the database first'),
    }
    for part, (other, says) in refused.items():
        url = server.replace(part, other)
        with pytest.raises(LedgerRefused, match=says) as raised:
            Ledger.open(url)
        assert f"ledger {url} cannot be opened: " in str(raised.value)
        assert raised.value.permanent
    with pytest.raises(
        LedgerError, match=r"ledger .*@127\.0\.0\.1:1/postgres cannot be opened: .*refused"
    ) as raised_passing:
        Ledger.open(f"{server.split('@')[0]}:hunter2@127.0.0.1:1/postgres")
    assert not raised_passing.value.permanent
    assert "hunter2" not in str(raised_passing.value)


def test_a_server_that_goes_away_passes_and_comes_back() -> None:
    running = PostgresServer()
    try:
        running.start()
        ledger = Ledger.open(running.url)
        running.stop()
        with pytest.raises(LedgerError, match=re.escape(f"ledger {running.url} cannot be ")) as raised:
            LakeFiles(ledger, "lake").every()
        assert not raised.value.permanent
        running.start()
        assert LakeFiles(ledger, "lake").every() == []
        ledger.close()
        running.stop()
    finally:
        running.remove()


def _build(settings: LakeSettings, url: str, closes: bool) -> None:
    ledger = Ledger.open(url)
    for _ in range(3):
        for unit in FileLedger(ledger, settings.lake, settings.delivery).unbuilt_units():
            build_unit(settings, ledger, unit)
        if closes:
            close_day(settings, ledger, PublishDay.parse("2026-03-01"), force=True)
    ledger.close()


def test_processes_that_build_and_close_at_once_give_one_lake(server: str, tmp_path: Path) -> None:
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("CREATE DATABASE together"))
    engine.dispose()
    url = server.replace("/postgres", "/together")
    lake = LakeUnderTest(tmp_path)
    lake.ledger.close()
    lake.ledger = Ledger.open(url)
    events = [event(f"e-{number}", {"n": number}, timestamp=at(number % 6)) for number in range(600)]
    files = {key(hour, name): b"".join(events[hour::5]) for hour in range(6) for name in "ab"}
    lake.land(files)
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_build, args=(lake.settings, url, closes)) for closes in (True, False, True)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    lake.build()
    lake.close("2026-03-01")
    assert sorted(row["event_id"] for row in lake.rows()) == sorted(f"e-{number}" for number in range(600))
    assert {row["org_id"] for row in lake.rows()} == {ORG}
    lake.ledger.close()
