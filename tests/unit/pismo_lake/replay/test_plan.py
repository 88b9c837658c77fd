"""Which events a selection chooses, in which order: each one once, by the copy that counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.lakes import ORG, LakeUnderTest, at, event, key

from pismo_lake.errors import ConfigError, ReplayError
from pismo_lake.events.erase import erase
from pismo_lake.replay import IdSet, Selection, TimeRange, find_missing
from pismo_lake.replay.asked import Asked
from pismo_lake.replay.plan import make_plan, read_plan, remove_plan, write_plan
from pismo_lake.replay.read import PlanReader

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pismo_lake.events.find_rows import Found

DAY = TimeRange.parse("2026-03-01", "2026-03-02")


def ids_of(lake: LakeUnderTest, selection: Selection) -> list[str]:
    """Return the ids of a plan in its order, by the bytes that would be sent."""
    plan, overview = make_plan(lake.settings, lake.ledger, selection)
    assert len(plan) == overview.events == sum(overview.counts.values())
    found = list(PlanReader(lake.settings, lake.ledger, plan).events(0))
    assert [event.position for event in found] == list(range(len(plan)))
    assert sum(len(event.raw) for event in found) == overview.bytes
    return [event.raw.split(b'"event_id":"')[1].split(b'"')[0].decode() for event in found]


def select(lake: LakeUnderTest, **asked: Any) -> list[str]:
    return sorted(ids_of(lake, Asked(**({"first": "2026-03-01", "last": "2026-03-02"} | asked)).select()))


def erased(found: Iterable[Found], lake: LakeUnderTest, **options: Any) -> None:
    erase(lake.settings, lake.ledger, list(found), "ticket-1", **options)


@pytest.fixture
def mixed(lake: LakeUnderTest) -> LakeUnderTest:
    """Return a lake with a day of several types, organisations, accounts and times."""
    lake.land({
        key(11): event("e-1", {"account_id": 7}, timestamp=at(11)),
        key(12): event("e-2", {"account_id": 8, "tags": [{"name": "ä"}]}, timestamp=at(12), domain="cards",
                       event_type="update", schema_version=2)
        + event("e-3", {"object": {"account_id": "8"}}, timestamp=at(10), org_id="tn-other"),
        key(13): event("e-4", {"account_id": 9, "name": "x"}, timestamp="never", domain="cards"),
    })  # fmt: skip
    return lake


def test_a_range_of_publish_time_takes_whole_hours(mixed: LakeUnderTest) -> None:
    assert select(mixed) == ["e-1", "e-2", "e-3", "e-4"]
    assert select(mixed, first="2026-03-01T12", last="2026-03-01T13") == ["e-2", "e-3"]
    assert select(mixed, first="2026-03-01T12:59:59Z", last="2026-03-01T13:00:01Z") == ["e-2", "e-3", "e-4"]
    # another zone: 12 and 13 o'clock in UTC
    assert select(mixed, first="2026-03-01T09-03:00", last="2026-03-01T11-03:00") == ["e-2", "e-3", "e-4"]
    assert select(mixed, first="2026-03-02", last="2026-03-03") == []


def test_a_range_of_event_times_is_exact(mixed: LakeUnderTest) -> None:
    assert select(mixed, first="2026-03-01T10:10", last="2026-03-01T11:10", clock="event") == ["e-3"]
    assert select(mixed, first="2026-03-01T11:10", last="2026-03-01T11:10:00.000001", clock="event") == ["e-1"]
    # an event without a time is in no range of them
    assert select(mixed, first="0001-01-01", last="9999-12-31", clock="event") == ["e-1", "e-2", "e-3"]


def test_types_organisations_accounts_values_and_ids_narrow_a_selection(mixed: LakeUnderTest) -> None:
    assert select(mixed, types=("cards",)) == ["e-2", "e-4"]
    assert select(mixed, types=("cards/update-2", "none/*")) == ["e-2"]
    assert select(mixed, organisations=("TN-OTHER",)) == ["e-3"]
    assert select(mixed, organisations=(ORG.lower(),)) == ["e-1", "e-2", "e-4"]
    assert select(mixed, accounts=("8",)) == ["e-2", "e-3"]
    assert select(mixed, accounts=("8", "9"), types=("cards",)) == ["e-2", "e-4"]
    assert select(mixed, where=("data__account_id=8", "data__account_id=9")) == ["e-2", "e-4"]
    assert select(mixed, where=("data__account_id=8", "data__tags__name=ä")) == ["e-2"]
    assert select(mixed, where=("data__account_id=8", "data__name=x")) == []
    assert select(mixed, event_ids=("e-1", "e-4", "other")) == ["e-1", "e-4"]


def test_ids_need_no_range(mixed: LakeUnderTest) -> None:
    wanted = Asked(event_ids=("e-1", "e-3", "none")).select()
    assert sorted(ids_of(mixed, wanted)) == ["e-1", "e-3"]
    mixed.close("2026-03-01")
    assert sorted(ids_of(mixed, wanted)) == ["e-1", "e-3"]


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({}, "name a range of time"),
        ({"first": "2026-03-01"}, "belong together"),
        ({"first": "yesterday", "last": "2026-03-02"}, "'yesterday' is no time"),
        ({"first": "2026-03-02", "last": "2026-03-01"}, "is empty"),
        ({"first": "2026-03-01", "last": "2026-03-01"}, "is empty"),
        ({"first": "2026-03-01", "last": "2026-03-02", "clock": "wall"}, "no clock of events, allowed: publish, event"),
        ({"first": "0001-01-01T00:00+14:00", "last": "2026-03-02"}, "is no time"),
        ({"event_ids": ("e",), "where": ("data__x",)}, "COLUMN=VALUE"),
        ({"event_ids": ("e",), "where": ("=x",)}, "COLUMN=VALUE"),
    ],
)  # fmt: skip
def test_a_selection_that_makes_no_sense_is_refused(asked: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        Asked(**asked).select()


def test_the_words_of_a_selection_name_no_value() -> None:
    words = str(
        Asked(first="2026-03-01", last="2026-03-02T06:30", where=("data__name=Ana",), accounts=("4711",)).select()
    )
    assert (
        words == "published from 2026-03-01T00:00:00Z to 2026-03-02T06:30:00Z; with values of data__name; 1 account(s)"
    )


def test_an_event_is_chosen_once_by_its_first_copy(lake: LakeUnderTest) -> None:
    """Copies in one file, in other hours, and late ones whose content differs."""
    first = event("e-1", {"account_id": 1}, timestamp=at(12))
    late = event("e-1", {"account_id": 2}, timestamp=at(12))
    lake.land({key(12): first + first, key(14): late, key(13, "b"): first})
    assert select(lake) == ["e-1"]
    # the copy that counts was published at 12
    assert select(lake, first="2026-03-01T13", last="2026-03-01T15") == []
    # a file that comes late for an earlier hour has the copy that counts from then on
    lake.land({key(11, "late"): late})
    assert select(lake, first="2026-03-01T11", last="2026-03-01T12") == ["e-1"]
    assert select(lake, first="2026-03-01T12", last="2026-03-01T13") == []


def test_the_same_id_in_two_organisations_is_two_events(lake: LakeUnderTest) -> None:
    lake.land({key(12): event("e-1") + event("e-1", org_id="TN-2") + event("e-1", org_id="tn-2")})
    assert select(lake) == ["e-1", "e-1"]


def test_erased_events_are_not_chosen(mixed: LakeUnderTest) -> None:
    from pismo_lake.events.find_rows import find_copies

    mixed.build()
    erased(find_copies(mixed.settings, mixed.ledger, ["e-2"]), mixed)
    assert select(mixed) == ["e-1", "e-3", "e-4"]
    assert select(mixed, event_ids=("e-2",)) == []
    found = find_missing(mixed.settings, mixed.ledger, Selection(times=DAY, seen=IdSet([])))
    assert found.missing == 3


def test_events_are_in_the_order_of_their_times(lake: LakeUnderTest) -> None:
    """Events of one time keep the order of files and places; events without a time come first."""
    stamps = ["12:00:02.5", "12:00:02.500001", "12:00:01", "12:00:02.5"]
    body = b"".join(event(f"b-{n}", timestamp=f"2026-03-01T{stamp}Z") for n, stamp in enumerate(stamps))
    lake.land(
        {
            key(12, "b"): body,
            key(12, "a"): event("a-0", timestamp="2026-03-01T12:00:02.5Z") + event("a-1", timestamp="-"),
        }
    )
    assert ids_of(lake, Selection(times=DAY)) == ["a-1", "b-2", "a-0", "b-0", "b-3", "b-1"]


def test_files_without_an_index_are_counted(mixed: LakeUnderTest) -> None:
    mixed.land_raw({key(15): event("e-5")})
    _, overview = make_plan(mixed.settings, mixed.ledger, Selection(times=DAY))
    assert (overview.events, overview.waiting) == (4, 1)
    _, overview = make_plan(
        mixed.settings, mixed.ledger, Selection(times=TimeRange.parse("2026-03-01T11", "2026-03-01T12"))
    )
    assert (overview.events, overview.waiting) == (1, 0)


def test_an_overview_counts_by_hour_and_type(mixed: LakeUnderTest) -> None:
    seen = IdSet(["e-1", "unknown"])
    _, overview = make_plan(mixed.settings, mixed.ledger, Selection(times=DAY, seen=seen))
    assert overview.seen == 1
    assert dict(overview.counts) == {
        ("2026-03-01T12", "cards/update-2"): 1,
        ("2026-03-01T12", "pix/pix_in-1"): 1,
        ("2026-03-01T13", "cards/pix_in-1"): 1,
    }
    times = TimeRange.parse("2026-03-01", "2026-03-02", "event")
    _, overview = make_plan(mixed.settings, mixed.ledger, Selection(times=times))
    assert dict(overview.counts) == {
        ("2026-03-01T10", "pix/pix_in-1"): 1,
        ("2026-03-01T11", "pix/pix_in-1"): 1,
        ("2026-03-01T12", "cards/update-2"): 1,
    }


def test_missing_events_are_grouped_by_hour_and_type(mixed: LakeUnderTest) -> None:
    found = find_missing(mixed.settings, mixed.ledger, Selection(times=DAY, seen=IdSet(["e-3", "e-1"])))
    assert (found.events, found.missing) == (4, 2)
    assert {group: (of.events, of.ids) for group, of in found.groups.items()} == {
        ("2026-03-01T11", "pix/pix_in-1"): (1, []),
        ("2026-03-01T12", "cards/update-2"): (1, ["e-2"]),
        ("2026-03-01T12", "pix/pix_in-1"): (1, []),
        ("2026-03-01T13", "cards/pix_in-1"): (1, ["e-4"]),
    }


def test_a_plan_comes_back_as_it_was_written(mixed: LakeUnderTest) -> None:
    for selection in (Selection(times=DAY), Selection(event_ids=("none",))):
        plan, _ = make_plan(mixed.settings, mixed.ledger, selection)
        write_plan(mixed.settings, "r-1", plan)
        found = read_plan(mixed.settings, "r-1")
        assert found.files == plan.files
        for name in ("file", "offset", "length", "key"):
            assert getattr(found, name).tolist() == getattr(plan, name).tolist()
    remove_plan(mixed.settings, "r-1")
    with pytest.raises(ReplayError, match=r"r-1: its plan .* is gone"):
        read_plan(mixed.settings, "r-1")


def test_ids_with_odd_characters_are_found(lake: LakeUnderTest) -> None:
    odd = ["ä/ö ü", "a,b", "💶", "-", "'", "%00", "é"]
    lake.land({key(12): b"".join(event(event_id) for event_id in odd)})
    seen = Selection(times=DAY, seen=IdSet(odd[:3]))
    assert ids_of(lake, seen) == odd[3:]
    lake.close("2026-03-01")
    assert sorted(ids_of(lake, Selection(event_ids=(*odd[2:5], "e")))) == sorted(odd[2:5])
