"""A process may be killed at any step of a commit, and several may commit at once."""

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING, Any

import pytest
from pyiceberg.catalog.sql import SqlCatalog
from tests.catalog_reader import event_ids, snapshots, table_files
from tests.kill_points import KilledError, kill_at
from tests.lakes import LakeUnderTest, at, event, key
from tests.waiting import PATIENCE

from pismo_lake.catalog.lake import commit_lake
from pismo_lake.catalog.sync import sync_tables
from pismo_lake.ledger.table_files import TableFiles, read_table_files
from pismo_lake.settings.tables import Tables

if TYPE_CHECKING:
    from multiprocessing.synchronize import Barrier
    from pathlib import Path

    from pismo_lake.catalog.model import Format

DAY = "2026-03-01"


def in_ledger(lake: LakeUnderTest) -> list[str]:
    folders = read_table_files(lake.ledger, lake.settings.lake).folders
    return sorted(path.rsplit("/", 1)[-1] for path in folders["events/domain=pix/event_type=pix_in-1"])


@pytest.mark.parametrize("step", ["write", "record", "table", "commit", "remove"])
def test_a_killed_build_and_its_retry_commit_once(tabled: LakeUnderTest, step: str) -> None:
    tabled.land({key(3): event("e-1", timestamp=at(3))})
    tabled.build()
    tabled.land({key(3, "late"): event("e-2", timestamp=at(3))})
    with pytest.raises(KilledError):
        tabled.build([f"{DAY}T03"], checkpoint=kill_at(step))
    assert event_ids(tabled) == (["e-1", "e-2"] if step == "remove" else ["e-1"])
    tabled.build([f"{DAY}T03"])
    assert event_ids(tabled) == ["e-1", "e-2"]
    assert table_files(tabled) == in_ledger(tabled)
    assert snapshots(tabled) == 2


@pytest.mark.parametrize("step", ["record", "late", "table", "commit", "remove"])
def test_a_killed_close_and_its_retry_commit_once(tabled: LakeUnderTest, step: str) -> None:
    tabled.land({key(hour): event(f"e-{hour}", timestamp=at(hour)) for hour in (3, 4)})
    tabled.build()
    with pytest.raises(KilledError):
        tabled.close(DAY, checkpoint=kill_at(step))
    assert event_ids(tabled) == ["e-3", "e-4"]
    tabled.close(DAY)
    assert event_ids(tabled) == ["e-3", "e-4"]
    assert table_files(tabled) == in_ledger(tabled)
    assert snapshots(tabled) == 3


@pytest.mark.parametrize("done", [False, True])
def test_a_kill_in_the_catalog_and_a_retry_commit_once(
    tabled: LakeUnderTest, monkeypatch: pytest.MonkeyPatch, done: bool
) -> None:
    tabled.land({key(3): event("e-1", timestamp=at(3))})
    tabled.build()
    tabled.land({key(4): event("e-2", timestamp=at(4))})
    real = SqlCatalog.commit_table

    def commit(*arguments: Any) -> Any:
        if done:
            real(*arguments)
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(SqlCatalog, "commit_table", commit)
        with pytest.raises(KilledError):
            tabled.build([f"{DAY}T04"])
    tabled.build([f"{DAY}T04"])
    assert event_ids(tabled) == ["e-1", "e-2"]
    assert snapshots(tabled) == 2


def test_a_late_hour_of_a_closing_day_is_never_missing(tabled: LakeUnderTest) -> None:
    tabled.land({key(hour): event(f"e-{hour}", timestamp=at(hour)) for hour in (3, 4, 5)})
    tabled.build()

    def late(step: str) -> None:
        if step == "record":
            # they come while the day is written, and are in hours that the close is about to take over
            tabled.land({key(hour, "late"): event(f"late-{hour}", timestamp=at(hour)) for hour in (3, 4)})
            tabled.build([f"{DAY}T03", f"{DAY}T04"])
        elif step == "late":
            # another process commits between the record of the day and the builds of its late hours
            commit_lake(tabled.settings, tabled.ledger)
            seen.append(event_ids(tabled))

    every, seen = ["e-3", "e-4", "e-5", "late-3", "late-4"], list[list[str]]()
    tabled.close(DAY, checkpoint=late)
    assert seen
    assert all(rows == every for rows in seen)
    assert event_ids(tabled) == every
    assert table_files(tabled) == in_ledger(tabled)


def test_a_table_that_a_killed_process_left_behind_is_mended(tabled: LakeUnderTest) -> None:
    tabled.land({key(3): event("e-1", timestamp=at(3)), key(4): event("e-2", timestamp=at(4))})
    with pytest.raises(KilledError):
        tabled.build([f"{DAY}T03"], checkpoint=kill_at("table"))
    tabled.build([f"{DAY}T04"])
    commit_lake(tabled.settings, tabled.ledger)
    assert event_ids(tabled) == ["e-1", "e-2"]


def build_at_once(root: Path, start: Barrier, hour: int) -> None:
    """Build an hour twice, at the same moment as the other processes."""
    lake = LakeUnderTest(root, tables=Tables())
    start.wait(PATIENCE)
    lake.build([f"{DAY}T{hour:02d}"])
    lake.build([f"{DAY}T{hour:02d}"], force=True)
    lake.ledger.close()


def test_processes_that_commit_at_once_lose_and_double_nothing(tmp_path: Path) -> None:
    hours, forks = range(6), multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload([__name__, "pismo_lake.catalog.iceberg", "pismo_lake.build.day"])
    lake = LakeUnderTest(tmp_path, tables=Tables())
    lake.land({key(hour): event(f"e-{hour}", timestamp=at(hour)) for hour in hours})
    start = forks.Barrier(len(hours))
    processes = [forks.Process(target=build_at_once, args=(tmp_path, start, hour)) for hour in hours]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE)
    assert [process.exitcode for process in processes] == [0] * len(hours)
    assert table_files(lake) == in_ledger(lake)
    assert event_ids(lake) == [f"e-{hour}" for hour in hours]


class _Recorded:
    """A table format that notes the order of the calls."""

    def __init__(self, calls: list[str]) -> None:
        self._calls = calls

    def open(self, _: Any) -> None:
        self._calls.append("table")


def test_the_table_is_loaded_before_the_ledger_is_read() -> None:
    calls: list[str] = []

    def read() -> TableFiles:
        calls.append("ledger")
        return TableFiles({})

    tables: Format = _Recorded(calls)  # type: ignore[assignment]
    sync_tables(tables, ["rejects"], read)
    assert calls == ["table", "ledger"]
