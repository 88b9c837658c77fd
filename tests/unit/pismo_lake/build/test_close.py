"""A closed day has few large files, also after late files, and with two closers."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.lakes import LakeUnderTest, at, event, key
from tests.waiting import PATIENCE

from pismo_lake import storage
from pismo_lake.build import heartbeat, unit_builder
from pismo_lake.errors import LandedFileError
from pismo_lake.index import files as index_files
from pismo_lake.index.rebuild import rebuild_ledger
from pismo_lake.ledger.builds import BuildLedger
from pismo_lake.ledger.days import DayLedger
from pismo_lake.privacy.mark import MARK
from pismo_lake.storage import partition_writer as partition_files

if TYPE_CHECKING:
    from pathlib import Path

DAY = "2026-03-01"


def names(lake: LakeUnderTest, folder: str = "events") -> list[str]:
    return sorted(path.name for path in (lake.root / "lake" / folder).rglob("*.parquet"))


def ids(lake: LakeUnderTest) -> list[str]:
    return sorted(row["event_id"] for row in lake.rows())


def unbuilt(lake: LakeUnderTest) -> list[str]:
    return lake.files.unbuilt_units()


def test_a_day_of_hours_becomes_one_file_a_partition(lake: LakeUnderTest) -> None:
    lake.land({key(hour): event(f"e-{hour}", timestamp=at(hour)) for hour in range(24)})
    lake.build()
    assert len(names(lake)) == 24
    summary = lake.close(DAY)
    assert (summary.parts_built, summary.files, summary.rows) == (1, 24, 24)
    assert len(names(lake)) == 1
    assert names(lake)[0].startswith(f"test-{DAY}-p0000-")
    assert ids(lake) == sorted(f"e-{hour}" for hour in range(24))
    assert unbuilt(lake) == []


def test_closing_needs_no_hour_to_be_built_before(lake: LakeUnderTest) -> None:
    lake.land({key(hour): event(f"e-{hour}", timestamp=at(hour)) for hour in (3, 4)})
    lake.close(DAY)
    assert len(names(lake)) == 1
    assert unbuilt(lake) == []


def test_a_day_without_files_writes_nothing(lake: LakeUnderTest) -> None:
    assert lake.close(DAY).parts_built == 0
    assert lake.digest() == {}


def test_closing_again_touches_no_file(lake: LakeUnderTest) -> None:
    lake.land({key(hour): event(f"e-{hour}", timestamp=at(hour)) for hour in (3, 4)})
    lake.close(DAY)
    before = {path: path.stat().st_mtime_ns for path in (lake.root / "lake").rglob("*.parquet")}
    assert lake.close(DAY).parts_skipped == 1
    assert before == {path: path.stat().st_mtime_ns for path in (lake.root / "lake").rglob("*.parquet")}
    digest = lake.digest()
    assert lake.close(DAY, force=True).parts_built == 1
    assert lake.digest() == digest


def test_a_late_file_is_there_at_once_and_the_next_close_takes_it_in(lake: LakeUnderTest) -> None:
    lake.land({key(3): event("e-3", timestamp=at(3))})
    lake.close(DAY)
    lake.land({key(3, "late"): event("e-late", timestamp=at(3))})
    assert unbuilt(lake) == [f"{DAY}T03"]
    lake.build()
    assert ids(lake) == ["e-3", "e-late"]
    assert [name[:18] for name in names(lake)] == [f"test-{DAY}-p0", f"test-{DAY}T03"]
    lake.close(DAY)
    assert ids(lake) == ["e-3", "e-late"]
    assert len(names(lake)) == 1


def test_a_late_copy_that_wins_reopens_the_closed_day(lake: LakeUnderTest) -> None:
    """The copy of an earlier hour wins, even if its day was closed with the other one."""
    lake.land({key(5): event("e-1", timestamp=at(2)) + event("e-2", timestamp=at(5))})
    lake.close(DAY)
    lake.land({key(2): event("e-1", timestamp=at(2))})
    assert unbuilt(lake) == [DAY, f"{DAY}T02"]
    lake.build()
    assert ids(lake) == ["e-1", "e-2"]
    assert {row["event_id"]: row["_source_file"] for row in lake.rows()}["e-1"] == key(2)
    assert unbuilt(lake) == []


def test_a_copy_from_another_day_reopens_the_closed_day(lake: LakeUnderTest) -> None:
    lake.land({key(1, day=2): event("e-1", timestamp=at(23))})
    lake.close("2026-03-02")
    lake.land({key(23): event("e-1", timestamp=at(23))})
    lake.close(DAY)
    assert unbuilt(lake) == ["2026-03-02"]
    assert ids(lake) == ["e-1", "e-1"]
    lake.build()
    assert ids(lake) == ["e-1"]


def test_a_file_that_comes_while_the_day_is_closed_stands_after_it(lake: LakeUnderTest) -> None:
    lake.land({key(3): event("e-3", timestamp=at(3))})
    lake.build()

    def late(step: str) -> None:
        if step == "record":
            lake.land({key(3, "b"): event("e-late", timestamp=at(3))})
            lake.build([f"{DAY}T03"])

    lake.close(DAY, checkpoint=late)
    assert ids(lake) == ["e-3", "e-late"]
    assert unbuilt(lake) == []
    lake.close(DAY)
    assert ids(lake) == ["e-3", "e-late"]
    assert len(names(lake)) == 1


@pytest.mark.parametrize("dies", [None, "late", "remove"])
@pytest.mark.parametrize("step", ["read", "write", "record"])
@pytest.mark.parametrize(("hour", "part_bytes"), [(5, 1 << 26), (3, 10)], ids=["hour of its own", "part of its own"])
def test_late_files_that_share_no_output_with_earlier_ones_stay(
    tmp_path: Path, hour: int, part_bytes: int, step: str, dies: str | None
) -> None:
    """Their hour has the same files before the close and after it, so they also have the same names."""
    lake = LakeUnderTest(tmp_path, part_bytes=part_bytes)
    lake.land({key(3): event("e-3", timestamp=at(3))})
    lake.build()
    unit = f"{DAY}T{hour:02d}"
    landed = threading.Event()

    def checkpoint(name: str) -> None:
        if name == step and not landed.is_set():
            landed.set()
            lake.land({key(hour, "late"): event("e-late", timestamp=at(hour))})
            lake.build([unit])
        if name == dies:
            raise KeyboardInterrupt

    with suppress(KeyboardInterrupt):
        lake.close(DAY, checkpoint=checkpoint)
    assert landed.is_set()
    if dies:
        # as the next run of the ingest DAG, and then the next close
        lake.build(sorted(unbuilt(lake), reverse=True))
        assert ids(lake) == ["e-3", "e-late"]
        lake.build()
    assert ids(lake) == ["e-3", "e-late"]
    assert unbuilt(lake) == []
    lake.close(DAY)
    assert ids(lake) == ["e-3", "e-late"]
    assert len(names(lake)) == 1


def test_an_hour_that_is_built_while_its_day_is_closed_leaves_nothing(lake: LakeUnderTest) -> None:
    """The hour's builder is overtaken between two of its files."""
    lake.land({key(3): event("e-3", timestamp=at(3)) + event("e-4", timestamp=at(3), domain="cards")})
    closed = threading.Event()

    def overtaken(step: str) -> None:
        if step == "record" and not closed.is_set():
            closed.set()
            lake.close(DAY)

    lake.build([f"{DAY}T03"], checkpoint=overtaken)
    assert closed.is_set()
    assert ids(lake) == ["e-3", "e-4"]
    assert all(name.startswith(f"test-{DAY}-p") for name in names(lake))
    assert unbuilt(lake) == []


def test_an_hour_that_was_overtaken_by_the_close_keeps_none_of_its_files(lake: LakeUnderTest) -> None:
    """It wakes up after the day was recorded, and plans the files that the closer is about to remove."""
    lake.land({key(3): event("e-3", timestamp=at(3))})
    lake.build()
    hour = BuildLedger(lake.ledger, lake.settings.lake, "test", f"{DAY}T03")
    (record,), tokens = hour.parts(), list[str]()

    def wake_up(step: str) -> None:
        if step == "record":
            tokens.append(hour.claim(0))
        elif step == "remove":
            assert not hour.plan(0, tokens[0], record.outputs)

    lake.close(DAY, checkpoint=wake_up)
    assert tokens
    assert ids(lake) == ["e-3"]
    assert all(name.startswith(f"test-{DAY}-p") for name in names(lake))


def test_a_run_that_found_a_late_hour_unchanged_does_not_mark_it_built_after_a_close(lake: LakeUnderTest) -> None:
    """The close has taken the files of the hour in the lake, and the late file must be built again."""
    lake.land({key(3): event("e-3", timestamp=at(3))})
    lake.close(DAY)
    hour = BuildLedger(lake.ledger, lake.settings.lake, "test", f"{DAY}T03")

    def interfere(step: str) -> None:
        if step == "record":
            lake.land({key(3, "late"): event("e-4", timestamp=at(4))})
            lake.build([f"{DAY}T03"])
            lake.files.mark_unbuilt(f"{DAY}T03")
            found.extend([(record, lake.files.of_hour(f"{DAY}T03")) for record in hour.parts()])
        elif step == "late":
            hour.mark_built(*found[0])

    found: list[Any] = []
    lake.close(DAY, force=True, checkpoint=interfere)
    assert found
    assert ids(lake) == ["e-3", "e-4"]
    lake.build()
    assert ids(lake) == ["e-3", "e-4"]


def test_a_mark_set_while_a_build_is_at_work_is_not_lost(lake: LakeUnderTest) -> None:
    lake.land({key(3): event("e-3", timestamp=at(3))})

    def marked(step: str) -> None:
        if step == "record":
            lake.files.mark_unbuilt(f"{DAY}T03")

    lake.close(DAY, checkpoint=marked)
    assert unbuilt(lake) == [DAY]
    lake.close(DAY)
    assert unbuilt(lake) == []


def test_a_partition_starts_another_file_at_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition_files, "_ROW_GROUP_BYTES", 1)
    lake = LakeUnderTest(tmp_path, target_bytes=1, part_bytes=1)
    lake.land({key(hour): event(f"e-{hour}", {"text": "x" * 5000}, timestamp=at(hour)) for hour in (1, 2)})
    lake.close(DAY)
    assert [name[:21] for name in names(lake)] == [f"test-{DAY}-p0000", f"test-{DAY}-p0001"]
    assert ids(lake) == ["e-1", "e-2"]
    assert lake.close(DAY).parts_skipped == 1


def test_rejects_of_the_day_stand_in_one_file(lake: LakeUnderTest) -> None:
    lake.land({key(hour): event(f"e-{hour}", timestamp=at(hour)) + b'{"broken' for hour in (1, 2)})
    lake.build()
    lake.close(DAY)
    assert len(names(lake, "rejects")) == 1
    assert lake.reasons() == ["truncated", "truncated"]


def test_two_closers_wait_for_each_other(lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.05)
    lake.land({key(hour): event(f"e-{hour}", timestamp=at(hour)) for hour in (1, 2)})
    second: list[Any] = []
    other = LakeUnderTest(lake.root)
    thread = threading.Thread(target=lambda: second.append(other.close(DAY)))
    waiting = threading.Event()
    monkeypatch.setattr(unit_builder, "wait_for_other", _told(unit_builder.wait_for_other, waiting))

    def meet(step: str) -> None:
        if step == "read" and not thread.is_alive() and not second:
            waiting.clear()
            thread.start()
            assert waiting.wait(PATIENCE)

    first = lake.close(DAY, checkpoint=meet)
    thread.join(PATIENCE)
    assert (first.parts_built, second[0].parts_skipped) == (1, 1)
    assert len(names(lake)) == 1


def _told(wait: Any, told: threading.Event) -> Any:
    def waits(*arguments: Any) -> Any:
        told.set()
        return wait(*arguments)

    return waits


def test_a_dead_closers_claim_is_taken_over(lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "QUIET_SECONDS", 0.1)
    lake.land({key(1): event("e-1", timestamp=at(1))})
    dead = DayLedger(lake.ledger, lake.settings.lake, "test", DAY)
    assert dead.plan(0, dead.claim(0), ["events/x/planned.parquet"])
    storage.write_atomic(f"{lake.settings.lake}/events/x/planned.parquet", b"half of it")
    lake.close(DAY)
    assert not (lake.root / "lake/events/x/planned.parquet").exists()
    assert ids(lake) == ["e-1"]


def test_a_closed_day_comes_back_after_the_ledger_is_lost(lake: LakeUnderTest) -> None:
    lake.land({key(hour): event(f"e-{hour}", timestamp=at(hour)) for hour in (1, 2)})
    lake.close(DAY)
    lake.land({key(2, "late"): event("e-late", timestamp=at(2))})
    lake.build()
    before = sorted(names(lake))
    lake.lose_ledger()
    lake.ledger = LakeUnderTest(lake.root).ledger
    rebuilt = rebuild_ledger(lake.settings, lake.ledger)
    assert DAY in rebuilt.units
    lake.build(rebuilt.units)
    assert ids(lake) == ["e-1", "e-2", "e-late"]
    assert len(before) == 2
    assert len(names(lake)) == 1


def test_a_widened_column_rebuilds_the_closed_day(lake: LakeUnderTest) -> None:
    lake.land({key(1): event("e-1", {"size": 5}, timestamp=at(1))})
    lake.close(DAY)
    lake.land({key(1, day=9): event("e-9", {"size": 1.5}, timestamp=at(1, 9))})
    assert DAY in unbuilt(lake)
    lake.build()
    assert [str(row["data__size"])[:3] for row in sorted(lake.rows(), key=lambda row: row["event_id"])] == [
        "5.0",
        "1.5",
    ]


def test_only_the_day_and_the_horizons_overlap_are_read(lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a ledger with a year of files, files whose event times cannot overlap are not read."""
    year = [datetime(2026, 1, 1, 12, 10, tzinfo=UTC) + timedelta(days=day) for day in range(365)]
    stream = {moment: f"main_stream/2026/{moment.month}/{moment.day}/12/a" for moment in year}
    lake.land({name: event(f"e-{moment:%j}", timestamp=moment.isoformat()) for moment, name in stream.items()})
    lake.land({key(13, day=20): event("e-late", timestamp=at(12, 18))})
    raws: list[str] = []
    indexes: list[str] = []
    real_raw, real_mapped, real_index = storage.read_bytes, storage.map_file, index_files.read_index_at
    real_json = storage.read_json
    monkeypatch.setattr(storage, "read_bytes", lambda uri: (raws.append(uri), real_raw(uri))[1])
    monkeypatch.setattr(storage, "read_json", lambda uri: (raws.append(uri), real_json(uri))[1])
    monkeypatch.setattr(storage, "map_file", lambda uri: (raws.append(uri), real_mapped(uri))[1])
    monkeypatch.setattr(
        index_files, "read_index_at", lambda uri, *rest: (indexes.append(uri), real_index(uri, *rest))[1]
    )
    lake.close("2026-03-20")

    def days(uris: list[str]) -> set[str]:
        return {"/".join(uri.split("main_stream/2026/")[1].split("/")[:2]) for uri in uris}

    # the lake is looked at for the mark of a privacy policy
    raws.remove(str(lake.root / "lake" / MARK))
    assert days([uri for uri in raws if "_index" not in uri]) == {"3/20"}
    # the late event's time reaches back to the 18th, no further
    assert days(indexes) == {"3/18", "3/19", "3/20"}
    assert len(raws) < 20


def test_hours_of_other_deliveries_stay(lake: LakeUnderTest) -> None:
    lake.land({key(1): event("e-1", timestamp=at(1))})
    lake.build()
    assert BuildLedger(lake.ledger, lake.settings.lake, "other", f"{DAY}T01").parts() == []
    assert DayLedger(lake.ledger, lake.settings.lake, "other", DAY).hours() == []
    assert DayLedger(lake.ledger, lake.settings.lake, "test", DAY).hours() == [f"{DAY}T01"]
    lake.close(DAY)
    assert DayLedger(lake.ledger, lake.settings.lake, "test", DAY).hours() == []


def test_landing_again_puts_back_what_was_removed(lake: LakeUnderTest) -> None:
    files = {key(1): event("e-1", timestamp=at(1))}
    lake.land(files)
    lake.close(DAY)
    (record,) = lake.lake_files.every()
    before = {path: path.read_bytes() for path in (lake.root / "landing").rglob("*") if path.is_file()}
    for path in before:
        path.unlink()
    with pytest.raises(LandedFileError, match=r"the index .* is gone; ask for its object key again"):
        lake.close(DAY, force=True)
    lake.land(files)
    assert {path: path.read_bytes() for path in before} == before
    assert lake.close(DAY, force=True).rows == 1
    assert record == lake.lake_files.every()[0]
