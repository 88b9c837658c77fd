"""Erasures reach every snapshot, and a table that differs from the ledger is mended."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from tests.catalog_reader import event_ids, open_reader, open_table, snapshots, table_files, table_names, url_of
from tests.lakes import LakeUnderTest, at, event, find_in_rows, key

from pismo_lake.catalog.iceberg.connect import default_uri
from pismo_lake.check.model import Kind
from pismo_lake.check.run import check_lake
from pismo_lake.events.erase import erase
from pismo_lake.ledger.sqlite_files import sqlite_file
from pismo_lake.settings.tables import Tables

DAY = "2026-03-01"


def kinds(lake: LakeUnderTest, *, repair: bool = False) -> list[tuple[Kind, bool]]:
    result = check_lake(lake.settings, lake.ledger, repair=repair)
    return [(finding.kind, finding.repaired) for finding in result.findings]


def test_no_snapshot_returns_an_erased_event(tabled: LakeUnderTest) -> None:
    tabled.land(
        {
            key(3): event("e-1", {"name": "Maria da Silva"}, timestamp=at(3)) + event("e-2", timestamp=at(3)),
            key(4): event("e-3", timestamp=at(4)),
        }
    )
    tabled.build()
    with open_table(tabled) as table:
        first = table.current_snapshot()
        assert first is not None
        table.manage_snapshots().create_tag(first.snapshot_id, "audit").commit()
        table.manage_snapshots().create_branch(first.snapshot_id, "mine").commit()
    found = find_in_rows(tabled.settings, (), ["e-1"])
    erase(tabled.settings, tabled.ledger, found, "TICKET-1", raw=True)
    assert event_ids(tabled) == ["e-2", "e-3"]
    with open_table(tabled) as table:
        assert len(table.snapshots()) == 1
        assert table.refs().keys() == {"main"}
        reached = {path.rsplit("/", 1)[-1] for path in table.inspect.all_files()["file_path"].to_pylist()}
    assert reached == set(table_files(tabled))
    avro = [path.name for path in (tabled.root / "lake" / "_iceberg").rglob("*.avro")]
    assert len(avro) <= 1 + 16
    assert not any(b"Maria" in path.read_bytes() for path in (tabled.root / "lake").rglob("*") if path.is_file())


def test_a_close_forgets_no_snapshot_of_today(tabled: LakeUnderTest) -> None:
    tabled.land({key(3): event("e-1", timestamp=at(3))})
    tabled.build()
    tabled.close(DAY)
    assert snapshots(tabled) == 2


def test_a_check_mends_a_table_that_somebody_changed(tabled: LakeUnderTest) -> None:
    tabled.land({key(hour): event(f"e-{hour}", timestamp=at(hour)) for hour in (3, 4)})
    tabled.build()
    assert kinds(tabled) == []
    with open_table(tabled) as table:
        table.delete("event_id = 'e-3'")
    assert event_ids(tabled) == ["e-4"]
    assert kinds(tabled) == [(Kind.TABLE, False)]
    assert kinds(tabled, repair=True) == [(Kind.TABLE, True)]
    assert event_ids(tabled) == ["e-3", "e-4"]
    assert kinds(tabled) == []


def test_a_check_makes_a_lost_catalog_anew(tabled: LakeUnderTest) -> None:
    tabled.land({key(hour): event(f"e-{hour}", timestamp=at(hour)) + b"{broken" for hour in (3, 4)})
    tabled.build()
    file = sqlite_file(default_uri(url_of(tabled)))
    if file is None:
        pytest.skip("the catalog is in the ledger's own database")
    file.unlink()
    # another process finds the loss
    tabled.open_ledger(url_of(tabled))
    assert kinds(tabled, repair=True) == [(Kind.TABLE, True), (Kind.TABLE, True)]
    assert table_names(tabled) == ["lake.rejects", "pix.pix_in_1"]
    assert event_ids(tabled) == ["e-3", "e-4"]
    with open_reader(url_of(tabled)) as catalog:
        assert catalog.load_table("lake.rejects").scan().count() == 2


def test_a_close_removes_what_a_killed_commit_left(tabled: LakeUnderTest) -> None:
    tabled.land({key(3): event("e-1", timestamp=at(3))})
    tabled.build()
    with open_table(tabled) as table:
        folder = Path(table.location().removeprefix("file://")) / "metadata"
    before = {path.name for path in folder.iterdir()}
    old, young = folder / "of-a-killed-commit-m0.avro", folder / "of-a-commit-under-way-m0.avro"
    for left in (old, young):
        left.write_bytes(b"left")
    yesterday = time.time() - 90_000
    os.utime(old, (yesterday, yesterday))
    for name in before:
        os.utime(folder / name, (yesterday, yesterday))
    tabled.close(DAY)
    after = {path.name for path in folder.iterdir()}
    assert old.name not in after
    assert before | {young.name} <= after
    assert event_ids(tabled) == ["e-1"]


def test_a_close_forgets_snapshots_that_are_older_than_the_setting(tmp_path: Path) -> None:
    lake = LakeUnderTest(tmp_path, tables=Tables(snapshots_kept_hours=0))
    lake.land({key(hour): event(f"e-{hour}", timestamp=at(hour)) for hour in (3, 4)})
    lake.build()
    lake.close(DAY)
    assert event_ids(lake) == ["e-3", "e-4"]
    with open_table(lake) as table:
        assert len(table.snapshots()) == 1
        reached = {manifest.manifest_path for manifest in table.snapshots()[0].manifests(table.io)}
        reached.add(table.snapshots()[0].manifest_list)
        folder = Path(table.location().removeprefix("file://")) / "metadata"
    assert {f"file://{path}" for path in folder.glob("*.avro")} == reached
