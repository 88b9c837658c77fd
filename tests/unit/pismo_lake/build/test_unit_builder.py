"""Hours and days share a protocol: failed builds, lost claims, and parts without files."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.lakes import LakeUnderTest, at, event, key

from pismo_lake.build import unit_builder
from pismo_lake.errors import BuildSupersededError, LandedFileError
from pismo_lake.events.forget import forget_file
from pismo_lake.ledger import FileLedger
from pismo_lake.ledger.builds import BuildLedger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pismo_lake.ledger import FileRecord

DAY = "2026-03-01"
HOUR = f"{DAY}T03"


class FailedError(Exception):
    pass


def builds(lake: LakeUnderTest, unit: str) -> BuildLedger:
    return BuildLedger(lake.ledger, lake.settings.lake, "test", unit)


def ids(lake: LakeUnderTest) -> list[str]:
    return sorted(row["event_id"] for row in lake.rows())


def fail_at(step: str) -> Callable[[str], None]:
    def checkpoint(reached: str) -> None:
        if reached == step:
            raise FailedError

    return checkpoint


@pytest.fixture
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a build that finds another claim fail instead of waiting."""

    def wait(found: BuildLedger, part: int, _: object) -> bool:
        record = found.part(part)
        assert record is None or record.claim is None
        return False

    monkeypatch.setattr(unit_builder, "wait_for_other", wait)


@pytest.mark.usefixtures("no_wait")
@pytest.mark.parametrize("step", ["read", "write", "record"])
def test_a_close_that_fails_keeps_no_other_one_waiting(lake: LakeUnderTest, step: str) -> None:
    lake.land({key(3): event("e-3", timestamp=at(3))})
    lake.build()
    with pytest.raises(FailedError):
        lake.close(DAY, checkpoint=fail_at(step))
    assert ids(lake) == (["e-3", "e-3"] if step == "record" else ["e-3"])
    assert lake.close(DAY).parts_built == 1
    assert ids(lake) == ["e-3"]


@pytest.mark.parametrize("step", ["write", "record"])
def test_an_hour_that_fails_stays_to_be_built(lake: LakeUnderTest, step: str) -> None:
    lake.put(event("e-1", timestamp=at(3)), key=key(3))
    lake.land({key(3, "b"): event("e-2", timestamp=at(3))})
    with pytest.raises(FailedError):
        lake.build([HOUR], checkpoint=fail_at(step))
    assert [part.claim for part in builds(lake, HOUR).parts()] == [None]
    assert lake.files.unbuilt_units() == [HOUR]
    assert lake.build()[HOUR].parts_built == 1
    assert ids(lake) == ["e-1", "e-2"]


def test_a_failed_build_of_an_unchanged_part_removes_none_of_its_files(lake: LakeUnderTest) -> None:
    lake.put(event("e-1", timestamp=at(3)), key=key(3))
    with pytest.raises(FailedError):
        lake.build([HOUR], force=True, checkpoint=fail_at("record"))
    assert lake.build([HOUR])[HOUR].parts_skipped == 1
    assert ids(lake) == ["e-1"]


@pytest.mark.usefixtures("no_wait")
def test_a_widening_during_a_close_has_the_day_written_again_at_once(lake: LakeUnderTest) -> None:
    lake.land({key(3): event("e-3", {"count": 1}, timestamp=at(3))})

    landed = []

    def widen(step: str) -> None:
        if step == "record" and not landed:
            landed.append(lake.land({key(4): event("e-4", {"count": Decimal("1.5")}, timestamp=at(4))}))

    lake.close(DAY, checkpoint=widen)
    assert {row["event_id"]: row["data__count"] for row in lake.rows()} == {"e-3": 1, "e-4": Decimal("1.5")}


def test_a_build_that_was_overtaken_leaves_the_part_as_the_other_one_built_it(lake: LakeUnderTest) -> None:
    lake.land({key(3): event("e-3", timestamp=at(3))})
    other = LakeUnderTest(lake.root)
    built = []

    def overtake(step: str) -> None:
        if step == "record" and not built:
            built.append(other.build([HOUR])[HOUR].parts_built)

    summary = lake.build([HOUR], checkpoint=overtake)[HOUR]
    assert (built, summary.parts_built, summary.parts_skipped, summary.rows) == ([1], 0, 1, 1)
    assert ids(lake) == ["e-3"]


def test_a_build_that_is_overtaken_each_time_gives_up(lake: LakeUnderTest) -> None:
    lake.land({key(3): event("e-3", timestamp=at(3))})
    other = LakeUnderTest(lake.root)

    def overtake(step: str) -> None:
        if step == "record":
            other.build([HOUR], force=True)

    with pytest.raises(BuildSupersededError, match=r"part 0 of publish hour 2026-03-01T03 10 times"):
        lake.build([HOUR], force=True, checkpoint=overtake)
    assert ids(lake) == ["e-3"]


def test_nothing_is_left_of_a_closed_day_without_files(lake: LakeUnderTest) -> None:
    lake.land({key(3): event("e-3", timestamp=at(3))})
    lake.close(DAY)
    assert forget_file(lake.settings, lake.ledger, key(3)) is not None
    assert not list((lake.root / "lake").rglob("*.parquet"))
    assert builds(lake, DAY).parts() == []
    assert lake.files.unbuilt_units() == []


@pytest.mark.parametrize("closes", [False, True])
def test_a_row_moves_to_an_earlier_hour_without_a_moment_in_which_it_is_missing(
    lake: LakeUnderTest, closes: bool
) -> None:
    """A late file holds an earlier copy; the later hour, or closed day, is built before the earlier hour."""
    later = key(5, day=2)
    lake.land({later: event("e-1", timestamp=at(1)) + event("e-2", timestamp=at(5))})
    unit = "2026-03-02" if closes else "2026-03-02T05"
    build = lake.close if closes else lambda hour: lake.build([hour])
    build(unit)
    lake.land({key(1): event("e-1", timestamp=at(1)), key(2): event("e-1", timestamp=at(1))})
    seen: list[list[str]] = []
    built = lake.build([unit], checkpoint=lambda _: seen.append(ids(lake)))[unit]
    assert seen
    assert (built.rows, built.parts_built) == (1, 2)
    assert (built.written["rows"], built.written["files"]) == (2, 2)
    assert all("e-1" in moment for moment in seen)
    assert ids(lake) == ["e-1", "e-2"]
    assert {row["event_id"]: row["_source_file"] for row in lake.rows()}["e-1"] == key(1)


def test_a_row_of_an_hour_is_never_missing_while_its_day_is_closed_for_the_first_time(lake: LakeUnderTest) -> None:
    lake.put(event("e-1", timestamp=at(1)) + event("e-2", timestamp=at(5)), key=key(5, day=2))
    lake.land({key(1): event("e-1", timestamp=at(1))})
    seen: list[list[str]] = []
    lake.close("2026-03-02", checkpoint=lambda _: seen.append(ids(lake)))
    assert seen
    assert all("e-1" in moment for moment in seen)
    assert ids(lake) == ["e-1", "e-2"]


def test_a_row_of_a_late_file_is_never_missing_while_its_day_is_closed(lake: LakeUnderTest) -> None:
    lake.put(event("e-3", timestamp=at(3)), key=key(3, day=2))
    steps: list[str] = []
    seen: list[list[str]] = []

    def checkpoint(step: str) -> None:
        steps.append(step)
        if steps.count("read") == 1 and step == "read":
            lake.land({key(5, day=2): event("e-1", timestamp=at(1)) + event("e-2", timestamp=at(5))})
            lake.build(["2026-03-02T05"])
        if step == "record":
            # an earlier copy, not built yet: the hour of the late file loses the row
            lake.land({key(1): event("e-1", timestamp=at(1))})
        if "record" in steps:
            seen.append(ids(lake))

    lake.close("2026-03-02", checkpoint=checkpoint)
    assert len(seen) >= 2
    assert all("e-1" in moment for moment in seen)
    assert ids(lake) == ["e-1", "e-2", "e-3"]


def test_a_row_is_never_missing_if_its_winner_loses_to_a_file_that_came_meanwhile(
    lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run builds the winner's hour after the later hour was judged, and without the row."""
    copy = event("e-1", timestamp=at(1))
    lake.put(copy + event("e-5", timestamp=at(5)), key=key(5))
    lake.land({key(3): copy + event("e-3", timestamp=at(3))})
    find_named = FileLedger.find_named
    raced: list[None] = []

    def race(ledger: FileLedger, names: Iterable[str]) -> list[FileRecord]:
        if not raced:
            raced.append(None)
            lake.land({key(1): copy})
            lake.build([HOUR])
        return find_named(ledger, names)

    monkeypatch.setattr(FileLedger, "find_named", race)
    seen: list[list[str]] = []
    lake.build([f"{DAY}T05"], checkpoint=lambda _: seen.append(ids(lake)))
    assert raced
    assert all("e-1" in moment for moment in [*seen, ids(lake)])
    assert ids(lake) == ["e-1", "e-3", "e-5"]


@pytest.mark.parametrize("last", range(1, 7))
def test_a_row_moves_to_another_part_of_its_hour_without_a_moment_in_which_it_is_missing(
    tmp_path: Path, last: int
) -> None:
    lake = LakeUnderTest(tmp_path, part_bytes=1)
    lake.land({key(3, "b"): event("e-1", timestamp=at(3)), key(3, "c"): event("e-2", timestamp=at(3))})
    lake.build()
    lake.land({key(3, "a"): event("e-1", timestamp=at(3)) + event("e-3", timestamp=at(3))})
    seen: list[list[str]] = []

    def look(_: str) -> None:
        seen.append(ids(lake))
        if len(seen) == last:
            raise FailedError

    with suppress(FailedError):
        lake.build(checkpoint=look)
    lake.build(checkpoint=look)
    assert len(seen) >= 5
    assert all("e-1" in moment for moment in seen)
    assert ids(lake) == ["e-1", "e-2", "e-3"]
    assert lake.files.unbuilt_units() == []


def test_a_row_moves_to_a_part_with_a_file_that_came_while_its_hour_was_built(tmp_path: Path) -> None:
    lake = LakeUnderTest(tmp_path, part_bytes=1)
    lake.land({key(3, "b"): event("e-1", timestamp=at(3)), key(3, "c"): event("e-2", timestamp=at(3))})
    lake.build()
    seen: list[list[str]] = []

    def look(step: str) -> None:
        if step == "write" and not seen:
            lake.land({key(3, "a"): event("e-2", timestamp=at(3))})
        seen.append(ids(lake))

    lake.build([f"{DAY}T03"], force=True, checkpoint=look)
    assert all({"e-1", "e-2"} <= set(moment) for moment in seen)
    assert ids(lake) == ["e-1", "e-2"]
    # the file has marked the part that was built before it came
    lake.build()
    assert lake.files.unbuilt_units() == []


def test_a_late_file_that_cannot_be_built_holds_up_no_later_hour(
    lake: LakeUnderTest, caplog: pytest.LogCaptureFixture
) -> None:
    lake.land({key(5): event("e-1", timestamp=at(1)) + event("e-2", timestamp=at(5))})
    lake.build()
    lake.land({key(1): event("e-1", timestamp=at(1)), key(5, "b"): event("e-3", timestamp=at(5))})
    Path(lake.files.of_hour(f"{DAY}T01")[0].raw_uri).write_bytes(b"altered")
    lake.build([f"{DAY}T05"])
    assert ids(lake) == ["e-2", "e-3"]
    assert "publish hour 2026-03-01T01 has earlier copies of events, and cannot be built: " in caplog.text
    with pytest.raises(LandedFileError):
        lake.build()
