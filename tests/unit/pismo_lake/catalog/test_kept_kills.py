"""A process may be killed at any step while replaced files are kept for older snapshots.

At each moment every snapshot has its files, and a reader sees each row once. After a retry, and after the snapshots
have expired, no file is left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pyiceberg.io.pyarrow import PyArrowFileIO
from tests.catalog_reader import event_ids, open_table, snapshots, table_files
from tests.kept_lake import DAY, age_out, files, lost_files, superseded
from tests.kill_points import KilledError, kill_at
from tests.lakes import at, event, key

from pismo_lake.catalog.iceberg import tables
from pismo_lake.check.run import check_lake
from pismo_lake.events.erase import erase, landing_roots
from pismo_lake.events.find_person import find_person
from pismo_lake.events.traces import find_traces
from pismo_lake.ledger.builds import BuildLedger

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lakes import LakeUnderTest

EVERY = ["e-3", "e-4", "e-5"]
NEXT = "2026-03-02"
NAME = "Maria da Silva"

CALLS: dict[str, tuple[Any, str]] = {
    "forget snapshots": (tables, "expire_table"),
    "remove metadata": (PyArrowFileIO, "delete"),
    "note removed files": (BuildLedger, "record_removed"),
    "note kept files": (BuildLedger, "keep"),
}
"""Calls before which a process is killed, by the step that they are."""


def kill_before(call: str, nth: int, monkeypatch: pytest.MonkeyPatch, act: Callable[[], Any]) -> None:
    """Do something, and end it before it makes a call for the nth time."""
    owner, name = CALLS[call]
    real, made = getattr(owner, name), 0

    def counted(*arguments: Any, **named: Any) -> Any:
        nonlocal made
        made += 1
        if made == nth:
            raise KilledError
        return real(*arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, counted)
        with pytest.raises(KilledError):
            act()


def assert_sound(lake: LakeUnderTest, ids: list[str]) -> None:
    """Assert that each row is there once, and that no snapshot lacks a file."""
    assert event_ids(lake) == ids
    assert lost_files(lake) == []


def assert_settled(lake: LakeUnderTest, ids: list[str]) -> None:
    """Assert that nothing is left to do; then let the snapshots expire, and assert that no other file is left."""
    assert_sound(lake, ids)
    assert lake.files.unbuilt_units() == []
    assert check_lake(lake.settings, lake.ledger).findings == ()
    age_out(lake)
    lake.close(DAY)
    assert_sound(lake, ids)
    assert files(lake) == table_files(lake)
    assert superseded(lake) == []


@pytest.mark.parametrize("step", ["write", "record", "table", "commit", "remove", "note kept files"])
def test_a_killed_build(keeping: LakeUnderTest, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    keeping.land({key(3, "late"): event("late", timestamp=at(3))})
    before = set(files(keeping))
    if step in CALLS:
        kill_before(step, 1, monkeypatch, lambda: keeping.build([f"{DAY}T03"]))
    else:
        with pytest.raises(KilledError):
            keeping.build([f"{DAY}T03"], checkpoint=kill_at(step))
    assert_sound(keeping, [*EVERY, "late"] if step in {"remove", "note kept files"} else EVERY)
    assert before <= set(files(keeping))
    keeping.build()
    assert before < set(files(keeping))
    assert_settled(keeping, [*EVERY, "late"])


def test_a_build_whose_files_changed_since_it_was_killed(keeping: LakeUnderTest) -> None:
    keeping.land({key(3, "late"): event("late", timestamp=at(3))})
    with pytest.raises(KilledError):
        keeping.build([f"{DAY}T03"], checkpoint=kill_at("record"))
    # the file of the killed build is in no snapshot, and no retry writes it again
    keeping.land({key(3, "later"): event("later", timestamp=at(3))})
    keeping.build()
    assert_settled(keeping, [*EVERY, "late", "later"])


@pytest.mark.parametrize("step", ["write", "record", "late", "table", "commit", "remove", "note kept files"])
def test_a_killed_close(keeping: LakeUnderTest, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    before = set(files(keeping))
    if step in CALLS:
        kill_before(step, 1, monkeypatch, lambda: keeping.close(DAY))
    else:
        with pytest.raises(KilledError):
            keeping.close(DAY, checkpoint=kill_at(step))
    assert_sound(keeping, EVERY)
    assert before <= set(files(keeping))
    keeping.close(DAY)
    assert before < set(files(keeping))
    assert_settled(keeping, EVERY)


@pytest.mark.parametrize("call", ["forget snapshots", "remove metadata", "note removed files"])
def test_a_killed_expiry_and_removal(keeping: LakeUnderTest, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    keeping.close(DAY)
    keeping.land({key(3, day=2): event("next", timestamp=at(3, 2))})
    keeping.build()
    age_out(keeping)
    kill_before(call, 1, monkeypatch, lambda: keeping.close(NEXT))
    assert_sound(keeping, [*EVERY, "next"])
    keeping.close(NEXT)
    assert snapshots(keeping) == 1
    assert_settled(keeping, [*EVERY, "next"])


@pytest.mark.parametrize(
    ("call", "nth"),
    [("forget snapshots", 1), ("forget snapshots", 2), ("remove metadata", 1), ("note removed files", 1)],
)
def test_a_killed_erasure(keeping: LakeUnderTest, monkeypatch: pytest.MonkeyPatch, call: str, nth: int) -> None:
    other = event("e-7", {"name": "other"}, timestamp=at(6))
    keeping.land({key(6): event("e-6", {"name": NAME}, timestamp=at(6)) + other})
    keeping.build()
    # files with the event are kept for the hour and for the day
    keeping.land({key(6, "late"): event("e-8", timestamp=at(6))})
    keeping.build()
    with open_table(keeping) as table:
        table.manage_snapshots().create_tag(table.current_snapshot().snapshot_id, "audit").commit()
    keeping.close(DAY)
    asked = [("data__name", NAME)]

    def erase_all() -> None:
        found = find_person(keeping.settings, keeping.ledger, asked, ["e-6"]).events
        erase(keeping.settings, keeping.ledger, found, "TICKET-1", raw=True)

    kill_before(call, nth, monkeypatch, erase_all)
    assert event_ids(keeping) in ([*EVERY, "e-6", "e-7", "e-8"], [*EVERY, "e-7", "e-8"])
    erase_all()
    roots = landing_roots(keeping.settings, keeping.ledger)
    traces = find_traces(keeping.settings, keeping.ledger, roots, asked, (), raw=True)
    assert not traces
    assert traces.unsearched == []
    assert files(keeping) == table_files(keeping)
    assert snapshots(keeping) == 1
    assert_settled(keeping, [*EVERY, "e-7", "e-8"])
