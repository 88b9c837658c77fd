"""The private parts of pyiceberg do what a commit needs, and only one module knows them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException, ValidationException
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.typedef import Record

from pismo_lake.catalog.iceberg.private import overwrite, statistics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyiceberg.table import Table

ROOT = Path(__file__).resolve().parents[5]
FILES = 20
PROPERTIES = {"write.metadata.metrics.default": "none", "commit.retry.num-retries": "0"}


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Table]:
    catalog = SqlCatalog("test", uri=f"sqlite:///{tmp_path}/c.db", warehouse=f"file://{tmp_path}")
    catalog.create_namespace("n")
    schema = pa.schema([pa.field("x", pa.string())])
    made = catalog.create_table("n.t", schema, properties=PROPERTIES)
    with made.transaction() as transaction:
        transaction.set_properties({"schema.name-mapping.default": made.schema().name_mapping.model_dump_json()})
    for number in range(FILES):
        pq.write_table(pa.table({"x": [f"secret {number}"]}), tmp_path / f"{number}.parquet")
    yield made
    catalog.close()


def add(table: Table, root: Path, number: int) -> None:
    path = root / f"{number}.parquet"
    with table.transaction() as transaction, overwrite(transaction, {}) as producer:
        metadata = transaction.table_metadata
        producer.append_data_file(
            DataFile.from_args(
                content=DataFileContent.DATA, file_path=f"file://{path}", file_format=FileFormat.PARQUET,
                partition=Record(), file_size_in_bytes=path.stat().st_size, sort_order_id=None, spec_id=0,
                equality_ids=None, key_metadata=None, **statistics(pq.read_metadata(path), metadata),
            )
        )  # fmt: skip


def test_many_additions_leave_few_manifests_and_every_row(table: Table, tmp_path: Path) -> None:
    for number in range(FILES):
        add(table, tmp_path, number)
    snapshot = table.current_snapshot()
    assert snapshot is not None
    assert len(snapshot.manifests(table.io)) < 16
    assert sorted(table.scan().to_arrow()["x"].to_pylist()) == sorted(f"secret {number}" for number in range(FILES))


def test_an_addition_to_a_changed_table_is_refused(table: Table, tmp_path: Path) -> None:
    stale = table.catalog.load_table("n.t")
    add(table, tmp_path, 0)
    with pytest.raises((CommitFailedException, ValidationException)):
        add(stale, tmp_path, 0)
    table.refresh()
    assert table.scan().count() == 1


def test_statistics_have_no_value(table: Table, tmp_path: Path) -> None:
    found = statistics(pq.read_metadata(tmp_path / "0.parquet"), table.metadata)
    assert found["record_count"] == 1
    assert not found["lower_bounds"]
    assert "secret" not in repr(found)


def test_only_one_module_uses_private_parts() -> None:
    private = re.compile(r"from pyiceberg[\w.]* import .*\b_\w|pyiceberg\.io\.pyarrow|transaction\._|_catalog\._")
    files = (ROOT / "include").rglob("*.py")
    assert [path.name for path in files if private.search(path.read_text(encoding="utf-8"))] == ["private.py"]
