"""A table has exactly the files of the ledger, and its readers exactly the rows of the lake."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import polars
from tests.catalog_reader import event_ids, open_table, snapshots, table_files, table_names, table_rows
from tests.lakes import at, event, key

if TYPE_CHECKING:
    import pytest
    from tests.lakes import LakeUnderTest

DAY = "2026-03-01"


def files(lake: LakeUnderTest, folder: str = "events") -> list[str]:
    return sorted(path.name for path in (lake.root / "lake" / folder).rglob("*.parquet"))


def test_tables_have_the_rows_of_the_lake(tabled: LakeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    # without its own planner, which is another package, polars warns
    monkeypatch.setenv("POLARS_ICEBERG_PLANNER", "pyiceberg")
    data = {
        "amount": Decimal("12345678901234567.123456789012345678"),
        "parts": [{"n": 1, "fee": Decimal("0.1")}, {"n": 2, "fee": None}],
        "items": [{"sku": "a", "price": Decimal("2.50")}, {"sku": "b", "price": Decimal(3)}],
    }
    tabled.land({key(3): event("e-1", data, timestamp=at(3)) + b"{broken", key(4): event("e-2", timestamp=at(4))})
    tabled.build()
    assert table_names(tabled) == ["lake.rejects", "pix.pix_in_1", "pix.pix_in_1__items"]
    one, two = sorted(table_rows(tabled), key=lambda row: row["event_id"])
    (of_lake,) = (row for row in tabled.rows() if row["event_id"] == "e-1")
    assert one["data__amount"] == Decimal("12345678901234567.123456789012345678")
    assert one["data__parts"] == of_lake["data__parts"] == [{"n": 1, "fee": Decimal("0.1")}, {"n": 2, "fee": None}]
    one_date = one.pop("event_date")
    assert str(one_date) == DAY
    assert one == of_lake
    assert two["data__account_id"] == 7
    prices = {row["data__items__sku"]: row["data__items__price"] for row in table_rows(tabled, "pix.pix_in_1__items")}
    assert prices == {"a": Decimal("2.50"), "b": Decimal(3)}
    assert [row["source_offset"] for row in table_rows(tabled, "lake.rejects")] == [
        row["source_offset"] for row in tabled.rejects()
    ]
    assert table_files(tabled) == files(tabled)
    with open_table(tabled) as table:
        in_pandas = table.scan(row_filter="event_date = '2026-03-01'").to_pandas()
        assert in_pandas["data__amount"].max() == data["amount"]
        in_polars = polars.scan_iceberg(table.metadata_location).sort("event_id").collect()
    assert in_polars["data__parts"].to_list()[0] == data["parts"]
    assert in_polars["event_date"].to_list() == [one_date, one_date]


def test_a_close_is_one_snapshot_for_each_table(tabled: LakeUnderTest) -> None:
    tabled.land({key(hour): event(f"e-{hour}", timestamp=at(hour)) for hour in (3, 4, 5)})
    tabled.build()
    before = snapshots(tabled)
    tabled.close(DAY)
    assert snapshots(tabled) == before + 1
    assert event_ids(tabled) == ["e-3", "e-4", "e-5"]
    assert table_files(tabled) == files(tabled)
    assert len(files(tabled)) == 1


def test_a_build_without_a_change_commits_nothing(tabled: LakeUnderTest) -> None:
    tabled.land({key(3): event("e-1", timestamp=at(3))})
    tabled.build()
    tabled.build([f"{DAY}T03"])
    tabled.build([f"{DAY}T03"], force=True)
    assert snapshots(tabled) == 1


def test_manifests_have_bounds_of_the_event_time_only(tabled: LakeUnderTest) -> None:
    tabled.land({key(3): event("e-1", {"name": "Maria da Silva"}, timestamp=at(3))})
    tabled.build()
    with open_table(tabled) as table:
        (task,) = table.scan().plan_files()
        column = table.schema().find_field("event_timestamp").field_id
        assert task.file.lower_bounds.keys() == task.file.upper_bounds.keys() == {column}
    metadata = [path.read_bytes() for path in (tabled.root / "lake" / "_iceberg").rglob("*") if path.is_file()]
    assert not any(b"Maria" in content for content in metadata)
    # what avro compresses is searched in the entries themselves
    assert b"Maria" not in repr(task.file).encode()


def test_a_lake_without_a_table_format_has_no_table(lake: LakeUnderTest) -> None:
    lake.land({key(3): event("e-1", timestamp=at(3))})
    lake.build()
    lake.close(DAY)
    assert not (lake.root / "lake" / "_iceberg").exists()
    assert not list(lake.root.glob("*catalog*"))


def test_types_with_one_name_have_two_tables(tabled: LakeUnderTest) -> None:
    tabled.land(
        {
            key(3): event("e-1", event_type="pix-in", timestamp=at(3))
            + event("e-2", event_type="pix.in", timestamp=at(3))
        }
    )
    tabled.build()
    assert table_names(tabled) == ["pix.pix_in_1", "pix.pix_in_1__2"]
    assert sorted(event_ids(tabled) + event_ids(tabled, "pix.pix_in_1__2")) == ["e-1", "e-2"]
