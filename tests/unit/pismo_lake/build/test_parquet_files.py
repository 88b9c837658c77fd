"""How index and lake files are written and read."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from tests.lakes import HOUR, event

from pismo_lake.storage.parquet import parquet_bytes

if TYPE_CHECKING:
    from tests.lakes import LakeUnderTest


def test_an_index_without_the_payloads_places_is_as_good(lake: LakeUnderTest) -> None:
    """Old indexes do not have the places of payloads."""
    files = {f"{HOUR}/a": b"".join(event(f"e-{n}", {"amount": n, "text": "t"}) for n in range(50))}
    lake.land(files)
    lake.build()
    before = lake.rows()
    assert len(before) == 50
    (path,) = (lake.root / "landing").rglob("_index/**/*.parquet")
    index = pq.ParquetFile(path).read()
    assert index["payload_at"].null_count == 0
    # nor did it have a digest
    pq.write_table(index.drop_columns(["payload_at"]).replace_schema_metadata({}), path)
    (hour,) = lake.build(["2026-03-01T12"], force=True).values()
    assert hour.rows == 50
    assert lake.rows() == before


def test_dictionaries_are_for_columns_whose_values_repeat() -> None:
    count = 2000
    table = pa.table(
        {
            "id": [f"id-{n}" for n in range(count)],
            "currency": ["BRL", "USD"] * (count // 2),
            "items": [[{"kind": "a", "tags": ["x"]}]] * count,
            "never": pa.nulls(count, pa.string()),
        }
    )
    row_group = pq.ParquetFile(io.BytesIO(parquet_bytes(table, None))).metadata.row_group(0)
    columns = [row_group.column(at) for at in range(row_group.num_columns)]
    coded = {column.path_in_schema for column in columns if "RLE_DICTIONARY" in column.encodings}
    assert coded == {"currency", "items.list.element.kind", "items.list.element.tags.list.element", "never"}
    assert {column.compression for column in columns} == {"ZSTD"}
    assert parquet_bytes(table, None) == parquet_bytes(table.slice(0), None)
