"""An event that moves to an earlier hour is in the tables once at every moment."""

from __future__ import annotations

import logging

import pytest
from tests.catalog_reader import event_ids, snapshots, table_files
from tests.lakes import LakeUnderTest, at, event, key

from pismo_lake.build.day import build_unit
from pismo_lake.catalog.lake import commit_lake
from pismo_lake.check.run import check_lake
from pismo_lake.events.erase import erase, landing_roots, remove_older
from pismo_lake.events.find_person import find_person
from pismo_lake.events.traces import Trace, find_traces
from pismo_lake.ledger import FileLedger
from pismo_lake.settings.tables import Tables

DAY = "2026-03-01"
EARLY, LATE = f"{DAY}T03", f"{DAY}T05"


def on_disk(lake: LakeUnderTest) -> list[str]:
    return sorted(path.name for path in (lake.root / "lake" / "events").rglob("*.parquet"))


@pytest.fixture
def moving(tabled: LakeUnderTest) -> LakeUnderTest:
    """Return a lake in which a late file of 3 o'clock has the earlier copy of an event of 5 o'clock."""
    tabled.land({key(3): event("e-3", timestamp=at(3)), key(5): event("e-5", timestamp=at(5))})
    tabled.build()
    tabled.land({key(3, "late"): event("e-5", timestamp=at(5)) + event("e-4", timestamp=at(3))})
    return tabled


def test_the_hour_that_gets_the_row_waits_for_the_hour_that_loses_it(moving: LakeUnderTest) -> None:
    seen: list[list[str]] = []

    def look(_: str) -> None:
        commit_lake(moving.settings, moving.ledger)
        seen.append(event_ids(moving))

    before = snapshots(moving)
    moving.build([EARLY], checkpoint=look)
    assert event_ids(moving) == ["e-3", "e-5"]
    # a table that waits is no fault
    assert not [finding for finding in check_lake(moving.settings, moving.ledger).findings if "table" in finding.kind]
    moving.build([LATE], checkpoint=look)
    assert seen
    assert all(rows.count("e-5") == rows.count("e-3") == 1 for rows in seen)
    assert event_ids(moving) == ["e-3", "e-4", "e-5"]
    assert snapshots(moving) == before + 1
    # the earlier hour's replaced file waited for this commit, too
    assert table_files(moving) == on_disk(moving)
    assert moving.files.unbuilt_units() == []


def test_the_build_of_the_later_hour_commits_both(moving: LakeUnderTest) -> None:
    before = snapshots(moving)
    moving.build([LATE])
    assert event_ids(moving) == ["e-3", "e-4", "e-5"]
    assert snapshots(moving) == before + 1
    assert table_files(moving) == on_disk(moving)


def test_a_close_of_the_earlier_day_waits_for_the_later_day(tabled: LakeUnderTest) -> None:
    tabled.land({key(3): event("e-3", timestamp=at(3)), key(5, day=2): event("e-5", timestamp=at(5))})
    tabled.close(DAY)
    tabled.close("2026-03-02")
    tabled.land({key(3, "late"): event("e-5", timestamp=at(5))})
    tabled.close(DAY)
    assert event_ids(tabled) == ["e-3", "e-5"]
    tabled.build()
    assert event_ids(tabled) == ["e-3", "e-5"]
    assert table_files(tabled) == on_disk(tabled)


def test_the_later_hour_waits_for_a_day_that_is_being_closed(moving: LakeUnderTest) -> None:
    """If the earlier hour's row is not in the table yet, the later hour keeps its own."""
    seen: list[list[str]] = []

    def look(step: str) -> None:
        if step == "late":
            # the day is recorded, and an hour of it has a late file that is not built yet
            moving.build(["2026-03-02T05"])
            seen.append(event_ids(moving))
        elif step == "record":
            moving.land({key(4, "late"): event("e-6", timestamp=at(4))})

    moving.build()
    moving.land({key(5, day=2): event("e-7", timestamp=at(7))})
    moving.build()
    moving.land({key(7, "late"): event("e-7", timestamp=at(7))})
    every = ["e-3", "e-4", "e-5", "e-7"]
    moving.close(DAY, checkpoint=look)
    assert seen == [every]
    assert event_ids(moving) == sorted([*every, "e-6"])
    # the later hour's replaced file waited for this commit
    moving.build()
    assert table_files(moving) == on_disk(moving)


def test_an_hour_waits_for_the_run_of_another_delivery(tabled: LakeUnderTest, caplog: pytest.LogCaptureFixture) -> None:
    """A reader misses no row and sees none twice; the new rows of the hour come with the other delivery's run."""
    other = LakeUnderTest(tabled.root, tables=Tables(), contracts=tabled.settings.contracts, delivery="other")
    other.land({key(5): event("e-5", timestamp=at(5))})
    build_unit(other.settings, other.ledger, LATE)
    tabled.land({key(3): event("e-5", timestamp=at(5)) + event("e-4", timestamp=at(3))})
    with caplog.at_level(logging.INFO):
        tabled.build()
    assert event_ids(tabled) == ["e-5"]
    assert "1 file(s) of test wait in the table of events/domain=pix/event_type=pix_in-1" in caplog.text
    (left,) = FileLedger(other.ledger, other.settings.lake, "other").unbuilt_units()
    build_unit(other.settings, other.ledger, left)
    assert event_ids(tabled) == ["e-4", "e-5"]
    assert table_files(tabled) == on_disk(tabled)


def test_an_erasure_of_an_hour_that_waits_is_complete_after_the_other_run(tabled: LakeUnderTest) -> None:
    asked = [("data__name", "Maria da Silva")]
    tabled.land({key(3): event("e-3", {"name": "Maria da Silva"}, timestamp=at(3)) + event("e-4", {"name": "x"})})
    tabled.build()
    other = LakeUnderTest(tabled.root, tables=Tables(), contracts=tabled.settings.contracts, delivery="other")
    other.land({key(5): event("e-5", timestamp=at(5))})
    build_unit(other.settings, other.ledger, LATE)
    tabled.land({key(3, "late"): event("e-5", timestamp=at(5))})
    tabled.build()

    def traces() -> list[Trace]:
        found = find_person(tabled.settings, tabled.ledger, asked).events
        if found:
            erase(tabled.settings, tabled.ledger, found, "TICKET-1", raw=True)
        else:
            remove_older(tabled.settings, tabled.ledger)
        roots = landing_roots(tabled.settings, tabled.ledger)
        return find_traces(tabled.settings, tabled.ledger, roots, asked, (), raw=True).found

    # the table still needs the file, and the search says so
    assert traces()[0].place.rsplit("/", 1)[-1] in table_files(tabled)
    assert event_ids(tabled) == ["e-3", "e-4", "e-5"]
    build_unit(other.settings, other.ledger, LATE)
    assert traces() == []
    assert event_ids(tabled) == ["e-4", "e-5"]
    assert table_files(tabled) == on_disk(tabled)
