"""Readers see every row, column and digit of a lake whose contract changed five times."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from tests.evolved import AMOUNTS, IDS, NUMBERS, evolve
from tests.lakes import event, key

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lakes import LakeUnderTest


@pytest.fixture
def folder(lake: LakeUnderTest) -> str:
    """Return the event type's folder; its contract changed with every hour's build."""
    return evolve(lake)


def test_duckdb(folder: str) -> None:
    query = f"FROM read_parquet('{folder}/**/*.parquet', union_by_name = true, hive_partitioning = true)"
    rows = duckdb.sql(f"SELECT data__id, data__amount, data__n, event_date {query} ORDER BY data__id").fetchall()
    assert [row[0] for row in rows] == IDS
    assert [row[1] for row in rows] == AMOUNTS
    assert [row[2] for row in rows] == NUMBERS
    assert {str(row[3]) for row in rows} == {"2026-03-01"}
    inner = duckdb.sql(f"SELECT data__lines[1].value {query} WHERE data__id = 6").fetchall()
    assert inner == [(Decimal("2.50"),)]


def test_polars(folder: str) -> None:
    frame = pl.scan_parquet(
        f"{folder}/**/*.parquet", hive_partitioning=True, missing_columns="insert", extra_columns="ignore",
        schema=dict(every_column(folder)),
    ).sort("data__id").collect()  # fmt: skip
    assert frame["data__id"].to_list() == IDS
    assert frame["data__amount"].to_list() == AMOUNTS
    assert frame["data__n"].to_list() == NUMBERS


def every_column(folder: str) -> dict[str, Any]:
    """Polars wants to know all columns: the widest file's and the others'."""
    schemas = [pl.read_parquet_schema(str(path)) for path in ds.dataset(folder).files]
    return {name: kind for schema in schemas for name, kind in schema.items()}


def test_polars_by_concatenation(folder: str) -> None:
    frames = [pl.read_parquet(path) for path in ds.dataset(folder).files]
    frame = pl.concat(frames, how="diagonal").sort("data__id")
    assert frame["data__amount"].to_list() == AMOUNTS
    assert frame["data__n"].to_list() == NUMBERS


def test_pyarrow(folder: str) -> None:
    files = ds.dataset(folder).files
    schema = pa.unify_schemas([ds.dataset(path).schema for path in files])
    table = ds.dataset(folder, schema=schema, partitioning="hive").to_table().sort_by("data__id")
    assert table.column("data__id").to_pylist() == IDS
    assert table.column("data__amount").to_pylist() == AMOUNTS
    assert table.column("data__n").to_pylist() == NUMBERS


def test_pandas(folder: str) -> None:
    frames = [pd.read_parquet(path, dtype_backend="pyarrow") for path in ds.dataset(folder).files]
    frame = pd.concat(frames).sort_values("data__id")
    assert frame["data__id"].tolist() == IDS
    assert [None if pd.isna(value) else value for value in frame["data__amount"]] == AMOUNTS
    assert [None if pd.isna(value) else value for value in frame["data__n"]] == NUMBERS


LARGE = (1 << 53) + 1
"""The smallest whole number that a float does not hold."""


def plain(values: Any) -> list[int | None]:
    return [None if pd.isna(value) else int(value) for value in values]


def by_pandas(folder: str) -> list[int | None]:
    frame = pd.read_parquet(folder, dtype_backend="pyarrow")
    return plain(frame.sort_values("event_id")["data__account_id"])


def by_pandas_files(folder: str) -> list[int | None]:
    frames = [pd.read_parquet(path, dtype_backend="pyarrow") for path in ds.dataset(folder).files]
    return plain(pd.concat(frames).sort_values("event_id")["data__account_id"])


def by_pyarrow(folder: str) -> list[int | None]:
    found: list[int | None] = ds.dataset(folder).to_table().sort_by("event_id")["data__account_id"].to_pylist()
    return found


def by_pyarrow_to_pandas(folder: str) -> list[int | None]:
    table = ds.dataset(folder, partitioning="hive").to_table().sort_by("event_id")
    return plain(table.to_pandas(types_mapper=pd.ArrowDtype)["data__account_id"])


def by_polars(folder: str) -> list[int | None]:
    found = pl.scan_parquet(f"{folder}/**/*.parquet", hive_partitioning=True).sort("event_id").collect()
    return found["data__account_id"].to_list()


FROM_DUCKDB = (
    "SELECT data__account_id AS id FROM read_parquet('{}/**/*.parquet', union_by_name = true) ORDER BY event_id"
)


def by_duckdb(folder: str) -> list[int | None]:
    return [row[0] for row in duckdb.sql(FROM_DUCKDB.format(folder)).fetchall()]


def by_duckdb_to_pandas(folder: str) -> list[int | None]:
    table = duckdb.sql(FROM_DUCKDB.format(folder)).to_arrow_table()
    return plain(table.to_pandas(types_mapper=pd.ArrowDtype)["id"])


READERS: list[Callable[[str], list[int | None]]] = [
    by_pandas, by_pandas_files, by_pyarrow, by_pyarrow_to_pandas, by_polars, by_duckdb, by_duckdb_to_pandas,
]  # fmt: skip


@pytest.mark.parametrize("read", READERS)
def test_an_id_beside_a_null_keeps_its_last_digit(lake: LakeUnderTest, read: Callable[[str], list[int | None]]) -> None:
    accounts = [LARGE, None, -LARGE, (1 << 63) - 1]
    for hour, account in enumerate(accounts):
        lake.land({key(hour): event(f"e-{hour}", {"account_id": account, "beside": hour})})
    lake.build()
    (folder,) = (lake.root / "lake" / "events").glob("domain=*/event_type=*")
    assert read(str(folder)) == accounts
