"""Run the whole feed with every dial on, at real sizes: the lake has exactly its events."""

from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from tests.killed_feed import start
from tests.lakes import LakeUnderTest
from tests.waiting import PATIENCE

from pismo_sandbox.check.truth import Truth
from pismo_sandbox.check.verify import verify
from pismo_sandbox.feed.publisher import Dials, FolderSink, Publisher

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.process import BaseProcess
    from pathlib import Path

pytestmark = pytest.mark.integration
START = datetime(2026, 3, 1, 22, tzinfo=UTC)


class Feed:
    """A published feed in a folder with its truth."""

    def __init__(self, root: Path, megabytes: float, seed: int, dials: Dials) -> None:
        self.truth = Truth(root / "truth.db")
        self.source = root / "source"
        publisher = Publisher(FolderSink(self.source), self.truth, seed=seed, dials=dials)
        publisher.publish(START, START + timedelta(hours=3), int(megabytes * 1e6))
        self.keys = self.truth.keys()

    def files(self) -> dict[str, bytes]:
        return {key: (self.source / key).read_bytes() for key in self.keys}


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Feed]:
    found = Feed(tmp_path_factory.mktemp("feed"), 12, seed=11, dials=Dials.everything())
    yield found
    found.truth.close()


@pytest.fixture(scope="module")
def expected(feed: Feed, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the lake of an undisturbed run, file by file."""
    lake = LakeUnderTest(tmp_path_factory.mktemp("undisturbed"))
    lake.land(feed.files())
    lake.build()
    assert verify(lake.root / "lake", feed.truth).problems == []
    return lake.digest()


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)])
def test_all_dials_on_any_seed(tmp_path: Path, seed: int) -> None:
    fresh = Feed(tmp_path / "feed", 6, seed, Dials.everything())
    lake = LakeUnderTest(tmp_path / "lake", part_bytes=1_000_000)
    lake.land(fresh.files())
    built = lake.build()
    found = verify(lake.root / "lake", fresh.truth)
    assert found.problems == []
    assert sum(summary.rows for summary in built.values()) == found.events
    fresh.truth.close()


def test_files_of_ten_megabytes(tmp_path: Path) -> None:
    fresh = _big_feed(tmp_path)
    lake = LakeUnderTest(tmp_path / "lake")
    lake.land(fresh.files())
    lake.build()
    assert verify(lake.root / "lake", fresh.truth).problems == []
    fresh.truth.close()


def _big_feed(root: Path) -> Feed:
    feed = Feed(root / "feed", 0.1, 5, Dials())
    publisher = Publisher(FolderSink(feed.source), feed.truth, seed=6, dials=Dials.everything())
    publisher.publish(START, START + timedelta(minutes=5), 20_000_000)
    feed.keys = feed.truth.keys()
    assert max((feed.source / key).stat().st_size for key in feed.keys) > 1 << 20
    return feed


def test_running_again_changes_no_byte(feed: Feed, expected: dict[str, str], tmp_path: Path) -> None:
    lake = LakeUnderTest(tmp_path)
    lake.land(feed.files())
    lake.build()
    again = lake.land(feed.files())
    assert (again.files, again.skipped) == (0, len(feed.keys))
    hours = {record.publish_hour for record in lake.lake_files.every()}
    summaries = lake.build(hours)
    assert sum(summary.parts_built for summary in summaries.values()) == 0
    lake.build(hours, force=True)
    assert lake.digest() == expected


KILLS = [
    "raw:1",
    pytest.param("raw:9", marks=pytest.mark.slow),
    "index:1",
    pytest.param("index:17", marks=pytest.mark.slow),
    pytest.param("kept:1", marks=pytest.mark.slow),
    "kept:5",
    "write:1",
    pytest.param("write:40", marks=pytest.mark.slow),
    "output:1",
    pytest.param("output:77", marks=pytest.mark.slow),
    "record:1",
    pytest.param("record:3", marks=pytest.mark.slow),
    "remove:2",
]


def ended(process: BaseProcess) -> int | None:
    """Wait until a process is over, and return how it ended."""
    process.join(PATIENCE)
    return process.exitcode


@pytest.mark.parametrize("kill", KILLS)
def test_killed_at_any_moment_and_tried_again(feed: Feed, expected: dict[str, str], tmp_path: Path, kill: str) -> None:
    assert ended(start(tmp_path, feed.source, kill)) == -signal.SIGKILL
    assert ended(start(tmp_path, feed.source)) == 0
    assert LakeUnderTest(tmp_path).digest() == expected


def test_two_runs_at_once(feed: Feed, expected: dict[str, str], tmp_path: Path) -> None:
    runs = [start(tmp_path, feed.source), start(tmp_path, feed.source)]
    assert [ended(process) for process in runs] == [0, 0]
    assert LakeUnderTest(tmp_path).digest() == expected


def test_a_file_that_comes_late_takes_its_events_back(tmp_path: Path, feed: Feed) -> None:
    """If the winning copy lands after the losing one was built, the later hour is built again."""
    files = feed.files()
    lake = LakeUnderTest(tmp_path)
    late = feed.keys[: len(feed.keys) // 3]
    lake.land({key: raw for key, raw in files.items() if key not in late})
    lake.build()
    for key in late:
        lake.land({key: files[key]})
    lake.build()
    assert verify(lake.root / "lake", feed.truth).problems == []


def test_losing_the_ledger_loses_nothing(tmp_path: Path, feed: Feed, expected: dict[str, str]) -> None:
    from pismo_lake.index.rebuild import rebuild_ledger

    lake = LakeUnderTest(tmp_path)
    lake.land(feed.files())
    lake.build()
    lake.ledger.close()
    for path in tmp_path.glob("ledger.db*"):
        path.unlink()
    anew = LakeUnderTest(tmp_path)
    rebuilt = rebuild_ledger(anew.settings, anew.ledger)
    assert rebuilt.files == len(feed.keys)
    anew.build()
    assert verify(anew.root / "lake", feed.truth).problems == []
    assert {path for path in anew.digest() if "_contracts" not in path} == {
        p for p in expected if "_contracts" not in p
    }
