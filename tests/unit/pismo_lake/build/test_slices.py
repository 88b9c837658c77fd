"""Parts of one publish hour are built apart: no row is missing between two of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.lakes import HOUR, LakeUnderTest, event

from pismo_lake.build.hour import build_hour
from pismo_lake.hours import PublishHour
from pismo_lake.index.run import index_landed

if TYPE_CHECKING:
    from pathlib import Path

EARLIER, LATER = f"{HOUR}/a", f"{HOUR}/b"


@pytest.fixture
def lake(tmp_path: Path) -> LakeUnderTest:
    lake = LakeUnderTest(tmp_path)
    lake.land_raw({EARLIER: event("x") + event("y"), LATER: event("x") + event("z")})
    return lake


def take(lake: LakeUnderTest, name: str) -> None:
    """Index a file apart from all others, and build its part, as the task of a slice does."""
    index_landed(lake.settings, lake.ledger, names={name}, apart=True)
    (record,) = lake.files.find_named([name])
    build_hour(lake.settings, lake.ledger, PublishHour.parse(record.publish_hour), parts={record.part})


def sources(lake: LakeUnderTest) -> set[tuple[str, str]]:
    return {(row["event_id"], row["_source_file"].rpartition("/")[2]) for row in lake.rows()}


def test_a_part_keeps_a_row_until_the_part_of_the_winner_is_built(lake: LakeUnderTest) -> None:
    take(lake, LATER)
    assert sources(lake) == {("x", "b"), ("z", "b")}
    index_landed(lake.settings, lake.ledger, names={EARLIER}, apart=True)
    # the task of the slice is tried again, before the part with the winner is built
    take(lake, LATER)
    assert sources(lake) == {("x", "b"), ("z", "b")}
    assert lake.files.unbuilt_units()
    lake.build()
    assert sources(lake) == {("x", "a"), ("y", "a"), ("z", "b")}
    assert lake.files.unbuilt_units() == []


def test_slices_in_any_order_give_the_hour(lake: LakeUnderTest) -> None:
    take(lake, EARLIER)
    take(lake, LATER)
    assert sources(lake) == {("x", "a"), ("y", "a"), ("z", "b")}
