"""Chunks that are taken to the lake at once, alone and beside others of the same hours."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from tests.lakes import LakeUnderTest, event, key

from pismo.operators.steps import Carried, build_units, carry, indexed_before
from pismo.runs.chunks import WHOLE, Chunk, cut
from pismo_lake.hours import PublishHour
from pismo_lake.landing.remote_file import RemoteFile
from pismo_lake.settings.channels import Channel, Environment, S3Source
from pismo_lake.settings.deliveries import Delivery

if TYPE_CHECKING:
    from pathlib import Path

LOG = logging.getLogger("test")
H12, H13, H14 = "2026-03-01T12", "2026-03-01T13", "2026-03-01T14"


class Feed:
    """A lake, and the delivery that it belongs to."""

    def __init__(self, root: Path, **settings: Any) -> None:
        self.lake = LakeUnderTest(root, **settings)
        self.delivery = Delivery(
            name="test", organisation="TN-1", environment=Environment.SANDBOX, channel=Channel.S3, conn_id="pismo",
            landing=self.lake.settings.landing, lake=self.lake.settings.lake, ledger_url="sqlite://",
            source=S3Source("123456789012"), **settings,
        )  # fmt: skip

    def carry(self, chunk: Chunk, units: set[str], keys: set[str] = frozenset()) -> Carried:  # type: ignore[assignment]
        return carry(self.delivery, self.lake.ledger, chunk, units, set(keys), force=False, log=LOG)

    def ids(self) -> list[str]:
        return sorted(row["event_id"] for row in self.lake.rows())


@pytest.fixture
def feed(tmp_path: Path) -> Feed:
    return Feed(tmp_path)


def test_a_whole_run_is_in_the_lake_with_later_hours_that_lose_a_copy(feed: Feed) -> None:
    feed.lake.put(event("twice"), event("e-14"), key=key(14))
    feed.lake.land_raw({key(12): event("twice"), key(13): event("e-13")})
    done = feed.carry(WHOLE, set(feed.lake.files.unbuilt_units()))
    assert (done.left, done.units) == ((), (H12, H13, H14))
    assert feed.ids() == ["e-13", "e-14", "twice"]
    assert feed.lake.files.unbuilt_units() == []
    # the counts are of the parts that were written
    assert (done.built.counts()["rows"], done.built.counts()["duplicates"]) == (3, 1)
    again = feed.carry(WHOLE, {H12})
    assert (again.built.counts()["rows"], again.left) == (0, ())


def test_an_hour_of_another_chunk_is_left(feed: Feed) -> None:
    feed.lake.put(event("twice"), event("e-14"), key=key(14))
    feed.lake.land_raw({key(12): event("twice")})
    assert feed.carry(Chunk(first=H12, last=H12), {H12}).left == (H14,)
    build_units(feed.delivery, feed.lake.ledger, [H14], log=LOG)
    assert feed.ids() == ["e-14", "twice"]


@pytest.mark.parametrize("chunk", [WHOLE, Chunk(first=H12, last=H13), Chunk(messages=5)], ids=str)
def test_an_hour_with_a_file_that_cannot_be_indexed_is_left_and_others_are_not(feed: Feed, chunk: Chunk) -> None:
    files = {key(12): event("e-12"), key(13, "gone"): event("e-13"), key(13, "there"): event("e-14")}
    feed.lake.land_raw(files)
    (feed.lake.root / "landing" / "test" / key(13, "gone")).unlink()
    done = feed.carry(chunk, {H12, H13}, set(files))
    assert H13 in done.left
    assert feed.ids() == ["e-12"]


def test_an_hour_with_an_unreadable_file_is_left_to_the_task_that_names_it(feed: Feed) -> None:
    feed.lake.land_raw({key(12): event("e-12"), key(13): b"\x28\xb5\x2f\xfd broken"})
    done = feed.carry(WHOLE, {H12, H13})
    assert (done.indexed.counts()["unreadable"], done.left) == (1, (H13,))
    assert feed.ids() == ["e-12"]


def test_slices_of_one_hour_are_built_side_by_side_to_the_exact_rows(tmp_path: Path) -> None:
    bodies = [b"".join(event(f"e-{number}-{n}") for n in range(10)) + event("in-all") for number in range(12)]
    files = {key(12, f"{number:02d}"): body for number, body in enumerate(bodies)}
    size = len(bodies[-1])
    feed = Feed(tmp_path, part_bytes=2 * size)
    feed.lake.put(event("earlier"), key=key(12, "a"))
    feed.lake.land_raw(files)
    chunks = cut([RemoteFile(name, len(body)) for name, body in files.items()], {}, 0, chunk_bytes=4 * size)
    assert [chunk.is_slice for chunk in chunks] == [True, True, True]
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda chunk: feed.carry(chunk, {H12}), chunks))
    # only the last slice leaves the hour, whose copies have to be judged together
    assert [one.left for one in done] == [(), (), (H12,)]
    assert [one.indexed.summary.files for one in done] == [4, 4, 4]
    wanted = {"earlier", "in-all", *(f"e-{number}-{n}" for number in range(12) for n in range(10))}
    assert set(feed.ids()) == wanted
    build_units(feed.delivery, feed.lake.ledger, [H12], log=LOG)
    assert feed.ids() == sorted(wanted)
    assert feed.lake.files.unbuilt_units() == []
    parts = [{file.part for file in feed.lake.files.find_named(one.indexed.names)} for one in done]
    assert all(len(mine) == 2 for mine in parts)
    assert len(set.union(*parts)) == 6


def test_parts_of_other_builders_stay_as_they_are(tmp_path: Path) -> None:
    feed = Feed(tmp_path, part_bytes=1)
    feed.lake.land({key(12, name): event(name) for name in "abc"})
    one = build_units(feed.delivery, feed.lake.ledger, [H12], parts={1}, log=LOG)
    assert (feed.ids(), one.counts()["rows"]) == (["b"], 1)
    rest = build_units(feed.delivery, feed.lake.ledger, [H12], log=LOG)
    assert (feed.ids(), rest.counts()["rows"]) == (["a", "b", "c"], 2)
    build_units(feed.delivery, feed.lake.ledger, [H12], parts={0, 2}, log=LOG)
    assert feed.ids() == ["a", "b", "c"]


def test_a_later_try_knows_the_files_that_an_earlier_one_has_indexed(feed: Feed) -> None:
    feed.lake.land({key(12, "older"): event("e-0")})
    feed.lake.ledger.run = "this run"
    feed.lake.land({key(12): event("e-1"), key(13): event("e-2")})
    hours = [PublishHour.parse(hour) for hour in (H12, H13, H14)]
    names = indexed_before(feed.delivery, feed.lake.ledger, WHOLE, hours)
    assert names == [key(12), key(13)]
    assert indexed_before(feed.delivery, feed.lake.ledger, Chunk(first=H13, last=H13), hours) == [key(13)]
