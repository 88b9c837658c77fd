"""Replaced files stay while a snapshot names them, if the lake says so; nothing takes them for rows or strangers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.catalog_reader import event_ids, open_table, snapshots, table_files, table_rows, url_of
from tests.kept_lake import DAY, KEPT, age_out, files, lost_files, superseded
from tests.kill_points import KilledError
from tests.lakes import LakeUnderTest, at, event, find_in_rows, key

from pismo_lake.build.kept_files import remove_kept
from pismo_lake.catalog.iceberg.connect import default_uri
from pismo_lake.catalog.lake import older_paths
from pismo_lake.check.model import Kind
from pismo_lake.check.run import check_lake
from pismo_lake.cli.main import main
from pismo_lake.events.erase import erase, erase_events
from pismo_lake.events.forget import forget_file
from pismo_lake.events.needle import Needle
from pismo_lake.hours import PublishDay
from pismo_lake.index.rebuild import rebuild_ledger
from pismo_lake.ledger.known_files import kept_outputs
from pismo_lake.ledger.lake_builds import LakeBuilds
from pismo_lake.ledger.sqlite_files import sqlite_file
from pismo_lake.report.accounting import compare
from pismo_lake.report.reconcile import reconcile
from pismo_lake.settings.contracts import ContractRules
from pismo_lake.settings.tables import Tables

if TYPE_CHECKING:
    from pathlib import Path


def kinds(lake: LakeUnderTest, *, repair: bool = False) -> list[tuple[Kind, bool]]:
    result = check_lake(lake.settings, lake.ledger, repair=repair)
    return [(finding.kind, finding.repaired) for finding in result.findings]


def test_a_query_that_opened_an_older_snapshot_reads_on_after_a_close(keeping: LakeUnderTest) -> None:
    before = files(keeping)
    with open_table(keeping) as table:
        scan = table.scan()
        tasks = list(scan.plan_files())
        keeping.close(DAY)
        # the query opens the files of its snapshot now
        rows = scan.to_arrow().to_pylist()
    assert len(tasks) == len(before) == 3
    assert sorted(row["event_id"] for row in rows) == ["e-3", "e-4", "e-5"]
    assert event_ids(keeping) == ["e-3", "e-4", "e-5"]
    (day,) = table_files(keeping)
    assert files(keeping) == sorted([*before, day])
    # no run has to do anything about them
    assert keeping.files.unbuilt_units() == []


def test_the_close_after_the_kept_time_removes_them(keeping: LakeUnderTest) -> None:
    keeping.close(DAY)
    assert len(files(keeping)) == 4
    age_out(keeping)
    # the close of another day, with other event types
    keeping.land({key(3, day=2): event("e-6", event_type="pix_out", timestamp=at(3, 2))})
    keeping.build()
    keeping.close("2026-03-02")
    assert table_files(keeping)[0] in files(keeping)
    assert len(files(keeping)) == 2
    assert superseded(keeping) == []
    assert snapshots(keeping) == 1
    assert event_ids(keeping) == ["e-3", "e-4", "e-5"]


def test_a_check_names_those_that_a_killed_close_did_not_remove(
    keeping: LakeUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeping.close(DAY)
    assert kinds(keeping) == []
    age_out(keeping)

    def killed(*_: Any) -> None:
        raise KilledError

    with monkeypatch.context() as patched:
        # snapshots are forgotten, and files are not removed
        patched.setattr("pismo_lake.build.kept_files.remove_superseded", killed)
        with pytest.raises(KilledError):
            keeping.close(DAY, force=True)
    assert len(files(keeping)) == 4
    monkeypatch.setattr("pismo_lake.check.run.SECOND_LOOK_SECONDS", 0.0)
    assert kinds(keeping) == [(Kind.UNFINISHED, False)] * 3
    assert kinds(keeping, repair=True) == [(Kind.UNFINISHED, True)] * 3
    assert files(keeping) == table_files(keeping)
    assert superseded(keeping) == []


def test_the_report_of_a_day_finds_no_stray_file(keeping: LakeUnderTest) -> None:
    keeping.close(DAY)
    report = reconcile(
        keeping.settings, keeping.ledger, PublishDay.parse(DAY), organisation="TN-1", environment="sandbox"
    )
    assert report.stray_files == ()


def test_an_hour_that_comes_back_is_not_removed_as_kept(keeping: LakeUnderTest) -> None:
    late = {key(3, "late"): event("late", timestamp=at(3))}
    keeping.close(DAY)
    keeping.land(late)
    keeping.build()
    # the day takes the late hour's file, which is kept, and a second late file makes the hour again
    keeping.close(DAY)
    keeping.land({key(3, "later"): event("later", timestamp=at(3))})
    keeping.build()
    age_out(keeping)
    remove_kept(keeping.settings, keeping.ledger, expired=())
    assert event_ids(keeping) == ["e-3", "e-4", "e-5", "late", "later"]
    assert files(keeping) == table_files(keeping)
    assert kinds(keeping) == []


def test_a_rebuilt_ledger_takes_them_for_kept_files(keeping: LakeUnderTest) -> None:
    keeping.close(DAY)
    keeping.land({key(3, day=2): event("e-6", timestamp=at(3, 2))})
    keeping.build()
    keeping.land({key(3, "b", day=2): event("e-7", timestamp=at(3, 2))})
    keeping.build()
    before, ids = files(keeping), event_ids(keeping)
    url = url_of(keeping)
    if "sqlite" not in url:
        pytest.skip("the catalog is in the ledger's own database, and is lost with it")
    keeping.lose_ledger()
    keeping.open_ledger(url)
    kept = older_paths(keeping.settings, keeping.ledger)
    assert len(kept) == 4
    rebuild_ledger(keeping.settings, keeping.ledger, kept=kept)
    assert set(superseded(keeping)) == kept
    # one unit after the other: a reader never sees a row of a kept file
    for unit in keeping.files.unbuilt_units():
        keeping.build([unit])
        assert event_ids(keeping) == ids
    assert files(keeping) == before
    assert keeping.files.unbuilt_units() == []
    age_out(keeping)
    keeping.close(DAY)
    assert files(keeping) == table_files(keeping)


def test_a_rebuild_without_ledger_and_catalog_shows_no_row_twice(keeping: LakeUnderTest) -> None:
    keeping.close(DAY)
    keeping.land({key(hour, day=2): event(f"f-{hour}", timestamp=at(hour, 2)) for hour in (3, 4)})
    keeping.build()
    keeping.close("2026-03-02")
    before, url = event_ids(keeping), url_of(keeping)
    file = sqlite_file(default_uri(url))
    keeping.lose_ledger()
    if file is not None:
        file.unlink()
    keeping.open_ledger(url)
    rebuild_ledger(keeping.settings, keeping.ledger, kept=older_paths(keeping.settings, keeping.ledger))
    for unit in keeping.files.unbuilt_units():
        keeping.build([unit])
        rows = event_ids(keeping)
        assert sorted(set(rows)) == rows
    remove_kept(keeping.settings, keeping.ledger)
    assert event_ids(keeping) == before
    assert files(keeping) == table_files(keeping)
    assert kinds(keeping) == []


def test_an_erasure_removes_them_at_once(keeping: LakeUnderTest) -> None:
    name = "Maria da Silva"
    keeping.land({key(6): event("e-6", {"name": name}, timestamp=at(6)) + event("e-7", timestamp=at(6))})
    keeping.build()
    keeping.close(DAY)
    assert len(files(keeping)) == 5
    erase(keeping.settings, keeping.ledger, find_in_rows(keeping.settings, (), ["e-6"]), "TICKET-1", raw=True)
    assert event_ids(keeping) == ["e-3", "e-4", "e-5", "e-7"]
    assert files(keeping) == table_files(keeping)
    assert superseded(keeping) == []
    needle = Needle.of([name])
    rows = [*keeping.rows(), *table_rows(keeping)]
    assert not needle.is_in_text(repr(rows))


def test_a_forgotten_file_stays_in_older_snapshots(keeping: LakeUnderTest) -> None:
    name = "Maria da Silva"
    keeping.land({key(6): event("e-6", {"name": name}, timestamp=at(6)) + event("e-7", timestamp=at(6))})
    keeping.build()
    with open_table(keeping) as table:
        scan = table.scan()
        scan.plan_files()
        # it is the only file of its hour
        assert forget_file(keeping.settings, keeping.ledger, key(6)) is not None
        assert len(scan.to_arrow()) == 5
    assert event_ids(keeping) == ["e-3", "e-4", "e-5"]
    assert keeping.files.unbuilt_units() == []
    assert kinds(keeping) == []
    # another build of the hour has nothing to do with them
    keeping.land({key(6, "b"): event("e-8", timestamp=at(6))})
    keeping.build()
    assert len(files(keeping)) == 5
    # an order to erase that comes later finds the row, although no landed file has it any more
    found = find_in_rows(keeping.settings, [("data__name", name)])
    assert [event.event_id for event in found] == ["e-6"]
    done = erase_events(keeping.settings, keeping.ledger, found, "TICKET-1")
    assert done.unknown == ()
    assert files(keeping) == table_files(keeping)
    assert event_ids(keeping) == ["e-3", "e-4", "e-5", "e-8"]
    assert not Needle.of([name]).is_in_text(repr(keeping.rows()))


def test_the_last_file_of_a_closed_day_stays_in_older_snapshots_too(keeping: LakeUnderTest) -> None:
    keeping.close(DAY)
    for hour in (3, 4, 5):
        assert forget_file(keeping.settings, keeping.ledger, key(hour)) is not None
    assert event_ids(keeping) == []
    assert lost_files(keeping) == []
    assert kinds(keeping) == []
    age_out(keeping)
    keeping.close(DAY)
    assert files(keeping) == superseded(keeping) == []
    assert LakeBuilds(keeping.ledger, keeping.settings.lake).every() == []


def test_a_unit_that_another_delivery_left_to_be_erased_keeps_nothing(keeping: LakeUnderTest) -> None:
    other = LakeUnderTest(keeping.root, tables=KEPT, contracts=keeping.settings.contracts, delivery="other")
    other.land({"main_stream/2026/3/2/3/x": event("e-8", timestamp=at(3, 2)) + event("e-9", timestamp=at(3, 2))})
    other.build(["2026-03-02T03"])
    erase(keeping.settings, keeping.ledger, find_in_rows(keeping.settings, (), ["e-8"]), "TICKET-1")
    other.build(["2026-03-02T03"])
    assert event_ids(keeping) == ["e-3", "e-4", "e-5", "e-9"]
    assert files(keeping) == table_files(keeping)
    assert snapshots(keeping) == 1


def test_a_lake_that_keeps_files_no_longer_removes_them(keeping: LakeUnderTest) -> None:
    keeping.close(DAY)
    keeping.settings = replace(keeping.settings, tables=Tables())
    keeping.close(DAY)
    assert files(keeping) == table_files(keeping)
    assert superseded(keeping) == []


def test_no_statement_reads_the_folders(keeping: LakeUnderTest, capsys: pytest.CaptureFixture[str]) -> None:
    # the lake remembers the setting
    lake = ["--lake", keeping.settings.lake, "--ledger", url_of(keeping), "--delivery", "test"]
    assert main(["ddl", *lake, "--dialect", "duckdb"]) != 0
    assert "read it through its catalog" in capsys.readouterr().err
    assert main(["tables", *lake]) == 0


def test_the_accounting_report_is_compared_without_them(tmp_path: Path) -> None:
    lake = LakeUnderTest(tmp_path, tables=KEPT, contracts=ContractRules(shipped=False))
    data = {"entry_type_id": 1, "amount": 5}
    entry = {"domain": "accounting", "event_type": "entry_creation", "timestamp": at(3)}
    lake.land({key(3): event("e-1", data, **entry)})
    lake.build()
    lake.close(DAY)
    kept = kept_outputs(lake.ledger, lake.settings.lake)
    assert len(kept) == 1
    organisation = "TN-00000000-1111-4222-8333-444444444444"
    (line,) = compare(lake.settings.lake, DAY, [], organisation, kept=kept)
    assert (line.lake_entries, line.lake_amount) == (1, "5.00")
