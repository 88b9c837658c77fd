"""Run the lake's tests with the ledger on PostgreSQL, and two builders at once.

PISMO_EVERY_STEP=1 runs all tests of the suites that use the ledger, and compares their statements with those of the
chosen tests (`make soak`).
"""

from __future__ import annotations

import multiprocessing
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from tests.lakes import ORG, LakeUnderTest, at, event, key
from tests.postgres import PostgresServer, maintenance, make_database, running_postgres
from tests.waiting import PATIENCE, until

from pismo_lake.build.day import build_unit, close_day
from pismo_lake.check.run import check_lake
from pismo_lake.errors import LedgerError, LedgerRefused
from pismo_lake.hours import PublishDay
from pismo_lake.ledger import FileLedger, LakeFiles, Ledger, days
from pismo_lake.ledger.builds import BuildLedger, mark_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pismo_lake.settings.lake import LakeSettings

pytestmark = pytest.mark.integration
ROOT = Path(__file__).resolve().parents[2]
TESTS = "tests/unit/pismo_lake"
EVERY_TEST = bool(os.environ.get("PISMO_EVERY_STEP"))
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
    "replay/test_send.py",
    "report/test_report.py",
    "report/test_status.py",
)
CHOSEN = {
    "build/test_claim.py": (),
    "build/test_close.py": (),
    "check/test_check.py": (
        "test_an_erased_and_blanked_file_is_sound",
        "test_a_raw_file_that_was_not_recorded_comes_into_the_lake",
    ),
    "contracts/test_contracts.py": (
        "test_what_was_noted_survives_the_loss_of_the_ledger",
        "test_declared_dates_and_times_have_a_typed_column_beside_their_text",
        "test_discarded_fields_are_noted_and_gone",
    ),
    "contracts/test_widening.py": (),
    "decode/test_bad_input.py": (
        "test_what_is_no_event_is_rejected_with_its_bytes[not UTF-8]",
        "test_a_key_that_no_ledger_can_hold_does_not_hold_up_the_others",
        "test_a_defect_of_the_program_holds_up_one_file_and_quotes_nothing",
    ),
    "events/test_erase.py": ("test_a_unit_that_cannot_be_built_does_not_keep_the_others",),
    "replay/test_send.py": (
        "test_oversized_and_refused_messages_are_listed_and_the_others_go_on",
        "test_a_second_process_takes_a_replay_over_and_the_first_one_ends",
        "test_a_replay_belongs_to_its_target_and_its_id",
        "test_a_target_that_refuses_everything_fails_at_once",
    ),
    "report/test_report.py": (
        "test_every_kind_of_trouble_is_counted",
        "test_a_key_that_was_only_asked_for_and_is_not_there_is_forgotten",
    ),
    "report/test_status.py": (),
}
"""Tests of the suites that run every statement that the suites run; a suite without names is run whole."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_postgres() as url:
        yield url


def run_tests(noted: Path, tests: Iterable[str]) -> set[str]:
    """Run tests with ledgers on a new server, and return the statements that they run."""
    # commands have a ledger of their own, in SQLite
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "tests.statements", "-k", "not command"]
    with running_postgres() as url:
        more = {"PISMO_TEST_LEDGER_URL": url, "PYTHONPATH": "include:plugins:.", "NOTED": str(noted)}
        done = subprocess.run(
            [*command, *tests], cwd=ROOT, env=os.environ | more, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
        with maintenance(url) as connection:
            made = connection.execute(text("SELECT count(*) FROM pg_database WHERE datname LIKE 'lake_%'")).scalar_one()
    assert made > 30
    return set(noted.read_text().splitlines())


def test_the_lakes_tests_pass_with_a_ledger_in_postgresql(tmp_path: Path) -> None:
    named = [f"{TESTS}/{suite}::{name}" for suite, names in CHOSEN.items() for name in names]
    whole = [f"{TESTS}/{suite}" for suite, names in CHOSEN.items() if not names]
    found = run_tests(tmp_path / "chosen", [*whole, *named])
    assert len(found) > 100
    if EVERY_TEST:
        assert run_tests(tmp_path / "every", [f"{TESTS}/{suite}" for suite in SUITES]) - found == set()


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
        with Ledger.open(running.url) as ledger:
            running.stop()
            with pytest.raises(LedgerError, match=re.escape(f"ledger {running.url} cannot be ")) as raised:
                LakeFiles(ledger, "lake").every()
            assert not raised.value.permanent
            running.start()
            assert LakeFiles(ledger, "lake").every() == []
        running.stop()
    finally:
        running.remove()


def _build(settings: LakeSettings, url: str, closes: bool) -> None:
    with Ledger.open(url) as ledger:
        for _ in range(3):
            for unit in FileLedger(ledger, settings.lake, settings.delivery).unbuilt_units():
                build_unit(settings, ledger, unit)
            if closes:
                close_day(settings, ledger, PublishDay.parse("2026-03-01"), force=True)


def test_processes_that_build_and_close_at_once_give_one_lake(server: str, tmp_path: Path) -> None:
    url = make_database(server, "together")
    lake = LakeUnderTest(tmp_path)
    lake.open_ledger(url)
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


def test_a_builder_that_begins_while_a_close_is_recorded_gives_no_row_twice(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It claims an hour without a build after the close has looked for builds of hours, and reads its files before."""
    lake = LakeUnderTest(tmp_path)
    lake.open_ledger(make_database(server, "begins"))
    lake.land({key(3): event("e-3", timestamp=at(3)), key(4): event("e-4", timestamp=at(4))})
    lake.build(["2026-03-01T04"])
    plan, mark, builders = BuildLedger.plan, days.mark_files, list[threading.Thread]()
    has_read, is_closed = threading.Event(), threading.Event()

    def plan_after_the_read(self: BuildLedger, part: int, token: str, outputs: Sequence[str]) -> bool:
        if builders:
            has_read.set()
            assert is_closed.wait(PATIENCE)
        return plan(self, part, token, outputs)

    def begin_a_build(*arguments: Any, **named: Any) -> None:
        if not builders:
            builders.append(threading.Thread(target=lake.build, args=(["2026-03-01T03"],)))
            builders[0].start()
            assert has_read.wait(PATIENCE)
        mark(*arguments, **named)

    monkeypatch.setattr(BuildLedger, "plan", plan_after_the_read)
    monkeypatch.setattr(days, "mark_files", begin_a_build)
    lake.close("2026-03-01")
    is_closed.set()
    builders[0].join(PATIENCE)
    assert not builders[0].is_alive()
    assert sorted(row["event_id"] for row in lake.rows()) == ["e-3", "e-4"]
    assert lake.files.unbuilt_units() == []
    assert not check_lake(lake.settings, lake.ledger).findings


def test_a_mark_and_a_build_that_lock_the_same_files_do_not_stop_each_other(server: str, tmp_path: Path) -> None:
    lake = LakeUnderTest(tmp_path)
    lake.open_ledger(make_database(server, "locks"))
    # the database finds the second one first
    for name in "ba":
        lake.land({key(3, name): event(f"e-{name}", timestamp=at(3))})
    hour = lake.files.of_hour("2026-03-01T03")
    locked = "datname = current_database() AND wait_event_type = 'Lock'"
    waiting = text(f"SELECT count(*) FROM pg_stat_activity WHERE {locked}")
    marking = threading.Thread(target=lake.files.mark_unbuilt, args=("2026-03-01T03",))
    with lake.ledger.transaction() as connection:
        mark_files(connection, hour[:1], {"built": True})
        marking.start()

        def waits() -> bool:
            with lake.ledger.engine.connect() as other:
                return bool(other.execute(waiting).scalar())

        until(waits)
        mark_files(connection, hour[1:], {"built": True})
    marking.join(PATIENCE)
    assert [(record.built, record.touched) for record in lake.files.of_hour("2026-03-01T03")] == [(False, 1)] * 2
