"""Migrate ledgers with data on a real PostgreSQL; tasks' user may not change tables."""

from __future__ import annotations

import re
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from tests.lakes import LakeUnderTest, at, event, find_in_rows, key
from tests.ledgers import STATES, check_migrated, differences, dump, make
from tests.postgres import make_database, running_postgres

from pismo_lake.cli.main import main
from pismo_lake.errors import LedgerRefused, LedgerVersionError, NoLedgerError
from pismo_lake.events.erase import erase
from pismo_lake.hours import PublishDay, PublishHour
from pismo_lake.ledger import Ledger
from pismo_lake.ledger.engine import open_engine
from pismo_lake.ledger.migrate import migrate, migration_sql
from pismo_lake.ledger.version import VERSION
from pismo_lake.report.reconcile import reconcile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.integration
UPGRADE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "upgrade.md"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_postgres() as url:
        yield url


@pytest.fixture
def database(server: str, request: pytest.FixtureRequest) -> Callable[[], str]:
    """Return a function that makes a new database and returns its URL."""
    count = 0

    def make_next() -> str:
        nonlocal count
        count += 1
        name = f"db_{abs(hash(request.node.nodeid))}_{count}"
        return make_database(server, name)

    return make_next


def run_script(url: str, script: str) -> None:
    """Run statements as psql does."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(script)


@pytest.mark.parametrize("state", STATES, ids=lambda path: path.stem)
def test_a_ledger_of_the_time_before_versions_keeps_its_data(database: Callable[[], str], state: Path) -> None:
    url, other = database(), database()
    with open_engine(url) as engine, open_engine(other) as copy:
        for each in (engine, copy):
            make(each, state)
        before = dump(engine)
        printed = migration_sql(engine)
        assert dump(engine) == before
        assert migrate(engine) == "0000"
        run_script(other, printed)
        assert dump(copy) == dump(engine)
        assert differences(engine, types=False) == []
        assert migrate(engine) == VERSION
    with Ledger.open(url, new=False, migrated=False) as ledger:
        check_migrated(ledger, state)


def test_tables_on_a_server_are_created_by_the_command_alone(
    database: Callable[[], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, lake = database(), str(tmp_path / "lake")
    with pytest.raises(NoLedgerError, match=r"run python -m pismo_lake ledger migrate --ledger postgresql"):
        Ledger.open(url, migrated=False)
    (tmp_path / "a").write_bytes(event("e-1"))
    flatten = ["flatten", str(tmp_path / "a"), "--publish-hour", "2026-03-01T12", "--lake", lake, "--ledger", url]
    assert main(flatten) == 1
    assert "run python -m pismo_lake ledger migrate" in capsys.readouterr().err
    assert main(["ledger", "check", "--ledger", url]) == 1
    assert main(["ledger", "migrate", "--ledger", url]) == 0
    assert main(["ledger", "check", "--ledger", url]) == 0
    with Ledger.open(url) as ledger:
        assert differences(ledger.engine, types=True) == []
    assert main(flatten) == 0
    run_script(url, "DROP TABLE pismo_ledger_version")
    capsys.readouterr()
    assert main(flatten) == 1
    assert f"version 0000, and this program needs {VERSION}" in capsys.readouterr().err
    with pytest.raises(LedgerVersionError):
        Ledger.open(url, migrated=False)


def test_migrations_at_once_are_one(database: Callable[[], str]) -> None:
    url = database()
    found = list[str | None]()
    with ExitStack() as stack:
        engines = [stack.enter_context(open_engine(url)) for _ in range(4)]
        make(engines[0], STATES[0])
        threads = [threading.Thread(target=lambda engine=engine: found.append(migrate(engine))) for engine in engines]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(map(str, found)) == ["0000", *[VERSION] * 3]


def test_tasks_need_no_right_to_change_tables(database: Callable[[], str], tmp_path: Path) -> None:
    owner = database()
    Ledger.open(owner).close()
    (grants,) = re.findall(r"```sql\n(CREATE ROLE.*?)```", UPGRADE.read_text(encoding="utf-8"), re.DOTALL)
    run_script(owner, grants)
    # a table of a later migration
    run_script(owner, "CREATE TABLE later (id SERIAL PRIMARY KEY)")
    url = owner.replace("ledger@", "pismo_tasks@")
    run_script(url, "INSERT INTO later DEFAULT VALUES")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        run_script(url, "CREATE TABLE mine (id INTEGER)")
    lake = LakeUnderTest(tmp_path)
    lake.open_ledger(url, new=False, migrated=False)
    lake.land(
        {key(12): event("e-1", {"doc": "1"}) + event("e-2", {"doc": "2"}), key(13): event("e-3", timestamp=at(13))}
    )
    lake.build()
    erase(lake.settings, lake.ledger, find_in_rows(lake.settings, [], ["e-2"]), "ticket 1", raw=True)
    lake.close("2026-03-01")
    report = reconcile(
        lake.settings, lake.ledger, PublishDay.parse("2026-03-01"), until=PublishHour.parse("2026-03-02T00")
    )
    assert report.balanced
    assert sorted(row["event_id"] for row in lake.rows()) == ["e-1", "e-3"]
    run_script(owner, "DROP TABLE pismo_ledger_version")
    with open_engine(url) as engine, pytest.raises(LedgerRefused, match=r"permission denied|must be owner"):
        migrate(engine)
