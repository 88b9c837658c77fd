"""The check of a sample finds the same faults as the whole check."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.lakes import LakeUnderTest

from pismo_lake.local.files import local_files
from pismo_sandbox.check.sample import verify_sample
from pismo_sandbox.check.truth import Truth
from pismo_sandbox.feed.publisher import Dials, FolderSink, Publisher

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START = datetime(2026, 3, 1, 9, tzinfo=UTC)


@pytest.fixture
def published(tmp_path: Path) -> Iterator[tuple[LakeUnderTest, Truth]]:
    """Return a lake of a small feed with damage, and the truth about it."""
    truth = Truth(tmp_path / "truth.db")
    dials = Dials(duplicates_in_file=0.02, unusable_events=0.01, garbage=0.01)
    publisher = Publisher(FolderSink(tmp_path / "raw"), truth, seed=4, dials=dials)
    publisher.publish(START, START + timedelta(minutes=10), 400_000)
    lake = LakeUnderTest(tmp_path)
    local_files([str(tmp_path / "raw")]).land(lake.settings, lake.ledger, None)
    lake.build()
    yield lake, truth
    truth.close()


def _files(lake: LakeUnderTest) -> list[Path]:
    return sorted((lake.root / "lake" / "events").rglob("*.parquet"))


def test_a_right_lake_is_right(published: tuple[LakeUnderTest, Truth]) -> None:
    lake, truth = published
    found = verify_sample(lake.settings.lake, truth, 3)
    assert found.ok, found.problems
    assert found.events == found.rows == truth.totals()["events"]
    assert found.leaves > 1000


def test_a_lost_file_and_a_doubled_one_are_noticed(published: tuple[LakeUnderTest, Truth]) -> None:
    lake, truth = published
    lost, doubled, *_ = _files(lake)
    rows = [pq.read_metadata(path).num_rows for path in (lost, doubled)]
    lost.unlink()
    shutil.copy(doubled, doubled.with_name("again.parquet"))
    problems = verify_sample(lake.settings.lake, truth, 1000).problems
    assert problems == [f"doubled: {rows[1]} events", f"lost: {rows[0]} events"]


def test_a_value_of_the_sample_that_differs_is_noticed(published: tuple[LakeUnderTest, Truth]) -> None:
    lake, truth = published
    path = next(path for path in _files(lake) if "data__amount" in pq.read_schema(path).names)
    table = pq.ParquetFile(path).read()
    at = table.schema.names.index("data__amount")
    pq.write_table(
        table.set_column(at, table.schema.field(at), pa.nulls(len(table), table.schema.field(at).type)), path
    )
    problems = verify_sample(lake.settings.lake, truth, 1).problems
    assert problems
    assert all("/data/amount of" in problem for problem in problems)


def test_a_strange_event_is_noticed(published: tuple[LakeUnderTest, Truth], tmp_path: Path) -> None:
    lake, _ = published
    other = Truth(tmp_path / "other.db")
    found = verify_sample(lake.settings.lake, other, 1000)
    assert found.problems == [f"never published: {found.rows} events"]
    other.close()
