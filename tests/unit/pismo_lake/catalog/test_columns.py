"""A table gets the columns of its files, and an integer column that becomes decimal."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from tests.catalog_reader import event_ids, open_table, snapshots, table_files, table_rows
from tests.described import HOSTILE, describe_lake
from tests.lakes import at, event, key

from pismo_lake.catalog.comments import comments_of
from pismo_lake.catalog.lake import commit_lake
from pismo_lake.ledger.table_files import read_table_files
from pismo_lake.settings.tables import Tables

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lakes import LakeUnderTest

DAY = "2026-03-01"


def on_disk(lake: LakeUnderTest) -> list[str]:
    return sorted(path.name for path in (lake.root / "lake" / "events").rglob("*.parquet"))


def test_columns_and_nested_fields_come(tabled: LakeUnderTest) -> None:
    tabled.land({key(3): event("e-1", {"account_id": 7, "list": [{"a": 1}]}, timestamp=at(3))})
    tabled.build()
    data = {"account_id": 8, "new": "x", "list": [{"a": 2, "b": {"c": "deep"}}]}
    tabled.land({key(4): event("e-2", data, timestamp=at(4))})
    tabled.build()
    one, two = sorted(table_rows(tabled), key=lambda row: row["event_id"])
    assert (one["data__account_id"], one["data__new"]) == (7, None)
    assert one["data__list"] == [{"a": 1, "b": None}]
    assert (two["data__new"], two["data__list"]) == ("x", [{"a": 2, "b": {"c": "deep"}}])


def test_a_column_that_becomes_decimal_is_exact_in_every_file(tabled: LakeUnderTest) -> None:
    big = 9007199254740993
    tabled.land({key(3): event("e-3", {"count": big, "list": [{"n": 1}]}, timestamp=at(3))})
    tabled.build()
    tabled.land({key(4): event("e-4", {"count": 2, "list": [{"n": 2}]}, timestamp=at(4))})
    tabled.build()
    exact = Decimal("0.123456789012345678")
    tabled.land({key(5): event("e-5", {"count": exact, "list": [{"n": Decimal("2.5")}]}, timestamp=at(5))})
    tabled.build([f"{DAY}T05"])
    # the other hours are not built again yet: readers see the table as it was
    assert event_ids(tabled) == ["e-3", "e-4"]
    assert [row["data__count"] for row in sorted(table_rows(tabled), key=lambda row: row["event_id"])] == [big, 2]
    tabled.build([f"{DAY}T03"])
    assert event_ids(tabled) == ["e-3", "e-4"]
    before = snapshots(tabled)
    tabled.build([f"{DAY}T04"])
    rows = sorted(table_rows(tabled), key=lambda row: row["event_id"])
    assert [row["data__count"] for row in rows] == [Decimal(big), Decimal(2), exact]
    assert [row["data__list"][0]["n"] for row in rows] == [Decimal(1), Decimal(2), Decimal("2.5")]
    assert snapshots(tabled) == before + 1
    # files that waited for the table are removed by the next run
    tabled.build()
    assert table_files(tabled) == on_disk(tabled)
    assert tabled.files.unbuilt_units() == []


def test_a_close_after_the_change_of_a_type_gives_the_table_the_new_one(tabled: LakeUnderTest) -> None:
    tabled.land({key(hour): event(f"e-{hour}", {"count": hour}, timestamp=at(hour)) for hour in (3, 4)})
    tabled.close(DAY)
    tabled.land({key(5): event("e-5", {"count": Decimal("0.5"), "more": True}, timestamp=at(5))})
    tabled.close(DAY)
    assert sorted(row["data__count"] for row in table_rows(tabled)) == [Decimal("0.5"), Decimal(3), Decimal(4)]
    assert table_files(tabled) == on_disk(tabled)
    assert not read_table_files(tabled.ledger, tabled.settings.lake).moving


def test_a_table_with_many_commits_has_few_manifests(tabled: LakeUnderTest) -> None:
    hours = range(20)
    tabled.land({key(hour): event(f"e-{hour}", timestamp=at(hour)) for hour in hours})
    tabled.build()
    with open_table(tabled) as table:
        snapshot = table.current_snapshot()
        assert snapshot is not None
        assert len(snapshot.manifests(table.io)) < 16
        assert table.scan().count() == len(hours)


def test_columns_have_the_descriptions_of_schemas(tmp_path: Path) -> None:
    lake = describe_lake(tmp_path)
    lake.settings = replace(lake.settings, tables=Tables())
    commit_lake(lake.settings, lake.ledger)
    with open_table(lake) as table:
        assert table.schema().find_field("data__amount").doc == f"{HOSTILE} ; DROP TABLE x; --"
        assert table.schema().find_field("data__account_id").doc is None
    with open_table(lake, "pix.pix_in_1__lines") as table:
        assert table.schema().find_field("data__lines__value").doc == "A value."
    assert comments_of(lake.settings, lake.ledger, "rejects") == {}
