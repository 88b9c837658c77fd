"""Another process changes the ledger between two steps of a commit, or a build is claimed again at a bad moment."""

from __future__ import annotations

from functools import partial

import pytest
from tests.catalog_reader import event_ids, snapshots, table_files
from tests.lakes import LakeUnderTest, at, event, key

from pismo_lake.build.hour import build_hour
from pismo_lake.catalog.coupling import Coupling
from pismo_lake.catalog.lake import commit_lake, open_tables
from pismo_lake.catalog.sync import sync_tables
from pismo_lake.errors import LakeError
from pismo_lake.hours import PublishHour
from pismo_lake.index.run import index_landed
from pismo_lake.ledger.builds import BuildLedger
from pismo_lake.ledger.table_files import TableFiles, read_table_files

DAY, NEXT = "2026-03-01", "2026-03-02"
FOLDER = "events/domain=pix/event_type=pix_in-1"


def on_disk(lake: LakeUnderTest) -> list[str]:
    return sorted(path.name for path in (lake.root / "lake" / "events").rglob("*.parquet"))


def parts(lake: LakeUnderTest, hour: str) -> BuildLedger:
    return BuildLedger(lake.ledger, lake.settings.lake, "test", hour)


def land_apart(lake: LakeUnderTest, *files: dict[str, bytes]) -> None:
    """Land files one by one, each of which gets a part of its own in its hour."""
    for file in files:
        lake.land_raw(file)
        index_landed(lake.settings, lake.ledger, apart=True)


class LateCommit:
    """A commit of a process that has read the ledger early; then it reads it as it is."""

    def __init__(self, lake: LakeUnderTest) -> None:
        self._lake = lake
        self._read = partial(read_table_files, lake.ledger, lake.settings.lake)
        self._early: list[TableFiles] = []
        self.seen: list[list[str]] = []

    def read(self) -> None:
        self._early.append(self._read())

    def commit(self, _: str = "") -> None:
        tables = open_tables(self._lake.settings, self._lake.ledger)
        sync_tables(
            tables, [FOLDER], lambda: self._early.pop() if self._early else self._read(),
            hold=Coupling(self._lake.settings, self._lake.ledger).hold,
        )  # fmt: skip
        self.seen.append(event_ids(self._lake))


def test_an_hour_waits_although_its_day_was_closed_after_the_ledger_was_read(tabled: LakeUnderTest) -> None:
    tabled.land({key(3): event("e-3", timestamp=at(3)), key(5, day=2): event("e-5", timestamp=at(5))})
    tabled.build()
    tabled.land({key(3, "late"): event("e-5", timestamp=at(5))})
    tabled.build([f"{DAY}T03"])
    other = LateCommit(tabled)
    other.read()
    tabled.close(DAY, checkpoint=lambda step: other.commit() if step == "late" else None)
    assert other.seen == [["e-3", "e-5"]]
    tabled.build()
    assert event_ids(tabled) == ["e-3", "e-5"]
    assert table_files(tabled) == on_disk(tabled)


def test_an_hour_waits_for_one_whose_day_was_closed_after_the_ledger_was_read(tabled: LakeUnderTest) -> None:
    """The later hour must not lose its row: the earlier one has to wait for a third hour."""
    tabled.land({key(hour, day=2): event(f"e-{hour}", timestamp=at(hour)) for hour in (5, 7)})
    tabled.land({key(3): event("e-3", timestamp=at(3))})
    tabled.build()
    tabled.land({key(3, "late"): event("e-5", timestamp=at(5)) + event("e-7", timestamp=at(7))})
    tabled.build([f"{DAY}T03", f"{NEXT}T05"])
    other = LateCommit(tabled)
    other.read()
    tabled.close(DAY, checkpoint=lambda step: other.commit() if step == "late" else None)
    assert other.seen == [["e-3", "e-5", "e-7"]]
    tabled.build()
    # a file that waited for the commit of a later unit is removed by the next run
    tabled.build()
    assert event_ids(tabled) == ["e-3", "e-5", "e-7"]
    assert table_files(tabled) == on_disk(tabled)


def test_a_row_moves_within_its_hour_although_the_first_part_is_claimed_again(tabled: LakeUnderTest) -> None:
    later = event("e-5", timestamp=at(5)) + event("e-6", timestamp=at(5))
    land_apart(tabled, {key(5, "b"): later})
    tabled.build()
    land_apart(tabled, {key(5, "a"): event("e-5", timestamp=at(5))})
    seen: list[list[str]] = []

    def claim_again(step: str) -> None:
        builds = parts(tabled, f"{DAY}T05")
        if step == "write" and not seen and builds.part(1) is not None:
            # part 0 has lost its row already, part 1 does not have it yet
            builds.claim(0)
            commit_lake(tabled.settings, tabled.ledger)
            seen.append(event_ids(tabled))

    tabled.build(checkpoint=claim_again)
    assert seen == [["e-5", "e-6"]]
    tabled.build()
    assert event_ids(tabled) == ["e-5", "e-6"]
    assert table_files(tabled) == on_disk(tabled)


def test_a_slice_waits_for_the_part_of_its_hour_that_loses_a_row(tabled: LakeUnderTest) -> None:
    hour = PublishHour.parse(f"{DAY}T05")
    land_apart(tabled, {key(5, "b"): event("e-5", timestamp=at(5)) + event("e-6", timestamp=at(5))})
    tabled.build()
    land_apart(tabled, {key(5, "a"): event("e-5", timestamp=at(5))})
    build_hour(tabled.settings, tabled.ledger, hour, parts={1})
    assert event_ids(tabled) == ["e-5", "e-6"]
    build_hour(tabled.settings, tabled.ledger, hour, parts={0})
    assert event_ids(tabled) == ["e-5", "e-6"]
    assert table_files(tabled) == on_disk(tabled)


def test_rows_of_a_late_hour_stay_while_it_is_built_again_with_the_same_files(tabled: LakeUnderTest) -> None:
    """The day was closed again without a file that came during the close, so its hour gives the same files again."""
    tabled.land({key(5): event("e-5", timestamp=at(5))})
    tabled.close(DAY)
    seen: list[list[str]] = []

    def commit(step: str) -> None:
        if step == "write":
            commit_lake(tabled.settings, tabled.ledger)
            seen.append(event_ids(tabled))

    def interfere(step: str) -> None:
        if step == "record":
            tabled.land({key(5, "late"): event("e-6", timestamp=at(6))})
            tabled.build([f"{DAY}T05"])
        elif step == "late":
            tabled.build([f"{DAY}T05"], checkpoint=commit)

    tabled.close(DAY, force=True, checkpoint=interfere)
    assert seen == [["e-5", "e-6"]]
    assert tabled.files.unbuilt_units() == []
    assert event_ids(tabled) == ["e-5", "e-6"]
    assert table_files(tabled) == on_disk(tabled)


def test_a_day_that_has_nothing_left_to_remove_ends_its_wait(tabled: LakeUnderTest) -> None:
    """The closer was killed before it removed anything; then the late hour took its files back."""
    tabled.land({key(5): event("e-5", timestamp=at(5))})
    tabled.close(DAY)

    def die(step: str) -> None:
        if step == "record":
            tabled.land({key(5, "late"): event("e-6", timestamp=at(6))})
            tabled.build([f"{DAY}T05"])
        elif step == "late":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tabled.close(DAY, force=True, checkpoint=die)
    tabled.build([f"{DAY}T05"])
    assert tabled.files.unbuilt_units() == [DAY]
    tabled.build()
    assert tabled.files.unbuilt_units() == []
    assert event_ids(tabled) == ["e-5", "e-6"]


def test_a_file_that_another_process_has_replaced_is_no_error(tabled: LakeUnderTest) -> None:
    tabled.land({key(5): event("e-5", timestamp=at(5))})
    tabled.build()
    tables, commit = open_tables(tabled.settings, tabled.ledger), LateCommit(tabled)
    found = tables.open(tables.tables()[0])
    assert found is not None
    # a table that lacks the file, as another process has recorded it a moment ago
    assert found.replace([], sorted(found.files()), [])
    commit.read()
    tabled.land({key(5, "b"): event("e-6", timestamp=at(6))})
    tabled.build()
    tables_before = snapshots(tabled)
    found = tables.open(tables.tables()[0])
    assert found is not None
    assert found.replace([], sorted(found.files()), [])
    commit.commit()
    assert commit.seen == [["e-5", "e-6"]]
    assert snapshots(tabled) > tables_before


def test_a_recorded_file_that_is_not_in_the_lake_is_named(tabled: LakeUnderTest) -> None:
    tabled.land({key(5): event("e-5", timestamp=at(5))})
    tabled.build()
    (path,) = (tabled.root / "lake" / "events").rglob("*.parquet")
    tables = open_tables(tabled.settings, tabled.ledger)
    found = tables.open(tables.tables()[0])
    assert found is not None
    assert found.replace([], sorted(found.files()), [])
    path.unlink()
    with pytest.raises(LakeError, match=f"{path.name} is recorded, but is not in the lake"):
        commit_lake(tabled.settings, tabled.ledger)
