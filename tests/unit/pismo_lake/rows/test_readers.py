"""Readers on a lake whose contract changed five times: each sees every row, every column and every digit."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow.dataset as ds
import pytest
from tests.evolved import AMOUNTS, IDS, NUMBERS, evolve

if TYPE_CHECKING:
    from tests.lakes import LakeUnderTest

if TYPE_CHECKING:
    from tests.lakes import LakeUnderTest


@pytest.fixture
def folder(lake: LakeUnderTest) -> str:
    """The event type's folder; the contract changed with every hour, one hour's build at a time."""
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
    import pyarrow as pa

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
