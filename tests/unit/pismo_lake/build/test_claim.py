"""Test that a builder that was overtaken neither writes nor removes a file on a disk."""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from tests.lakes import LakeUnderTest, at, event, key
from tests.waiting import PATIENCE

from pismo_lake import storage
from pismo_lake.build.claim import Claim, ClaimLostError, remove_superseded
from pismo_lake.ledger.builds import BuildLedger

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

UNIT = "2026-03-01T03"
OLD, NEW = "events/x/old.parquet", "events/x/new.parquet"
LOG = logging.getLogger(__name__)


def parts(lake: LakeUnderTest) -> BuildLedger:
    return BuildLedger(lake.ledger, lake.settings.lake, "test", UNIT)


def claim(lake: LakeUnderTest) -> Claim:
    return Claim(parts(lake), lake.settings.lake, 0, LOG)


def write(data: bytes) -> Any:
    return partial(storage.write_atomic, data=data)


def commit(holder: Claim, outputs: list[str]) -> tuple[str, ...]:
    return holder.commit(outputs, "f", {"rows": 1}, (), lambda _: None)


def files(lake: LakeUnderTest) -> set[str]:
    root = lake.root / "lake"
    return {str(path.relative_to(root)) for path in (root / "events").rglob("*") if path.is_file()}


def test_a_builder_that_was_overtaken_gives_no_file_its_name(lake: LakeUnderTest) -> None:
    first = claim(lake)
    first.plan([OLD])

    def sleep_before_the_name(uri: str, *, gate: Callable[[], Any]) -> None:
        # the whole build of another one, from the claim to the removal of what the first had planned
        second = claim(lake)
        second.plan([NEW])
        second.write(NEW, write(b"new"))
        remove_superseded(parts(lake), lake.settings.lake, 0, commit(second, [NEW]))
        storage.write_atomic(uri, b"old", gate=gate)

    with pytest.raises(ClaimLostError):
        first.write(OLD, sleep_before_the_name)
    assert files(lake) == {NEW}
    assert parts(lake).part(0).superseded == ()  # type: ignore[union-attr]


def test_a_spooled_file_of_an_overtaken_builder_is_not_moved_in(lake: LakeUnderTest) -> None:
    first = claim(lake)
    first.plan([OLD])
    spooled = lake.root / "spooled"
    spooled.write_bytes(b"old")
    claim(lake)
    with pytest.raises(ClaimLostError):
        first.write(OLD, partial(storage.move_in, spooled))
    assert files(lake) == set()


def test_nobody_overtakes_a_builder_while_a_file_gets_its_name(lake: LakeUnderTest) -> None:
    first = claim(lake)
    first.plan([OLD])
    other, seen = LakeUnderTest(lake.root), list[set[str]]()

    def overtake() -> None:
        claim(other)
        seen.append(files(lake))

    thread = threading.Thread(target=overtake)
    place, renamed = f"{lake.settings.lake}/{OLD}", storage.local_path(lake.settings.lake) / OLD

    def write_slowly(uri: str, *, gate: Callable[[], Any]) -> None:
        assert uri == place
        renamed.parent.mkdir(parents=True)
        with gate():
            thread.start()
            renamed.write_bytes(b"old")

    first.write(OLD, write_slowly)
    thread.join(PATIENCE)
    # the claim came after the name, so that it saw the file, which was planned
    assert seen == [{OLD}]
    with pytest.raises(ClaimLostError):
        first.check()


def test_a_replaced_file_that_is_an_output_again_is_not_removed(lake: LakeUnderTest) -> None:
    """A builder sleeps between its record and its removal; the input becomes what it was before."""
    for output in (OLD, NEW):
        holder = claim(lake)
        holder.plan([output])
        holder.write(output, write(b"x"))
        superseded = commit(holder, [output])
    assert superseded == (OLD,)
    again = claim(lake)
    again.plan([OLD])
    again.write(OLD, write(b"x"))
    # at work: it may need the file
    remove_superseded(parts(lake), lake.settings.lake, 0, superseded)
    assert files(lake) == {OLD, NEW}
    replaced = commit(again, [OLD])
    # recorded: it needs the file
    remove_superseded(parts(lake), lake.settings.lake, 0, superseded)
    assert files(lake) == {OLD, NEW}
    remove_superseded(parts(lake), lake.settings.lake, 0, replaced)
    assert files(lake) == {OLD}
    assert parts(lake).part(0).superseded == ()  # type: ignore[union-attr]


def test_a_part_that_another_builder_has_claimed_is_not_removed(lake: LakeUnderTest) -> None:
    first = claim(lake)
    first.plan([OLD])
    first.write(OLD, write(b"x"))
    commit(first, [OLD])
    late = claim(lake)
    claim(lake)
    with pytest.raises(ClaimLostError):
        late.remove_part()
    assert files(lake) == {OLD}


def test_a_lake_after_all_of_it_is_sound(lake: LakeUnderTest) -> None:
    """The real builder goes through the fence, and leaves nothing to be removed."""
    lake.land({key(3): event("e-1", timestamp=at(3))})
    lake.build()
    lake.land({key(3, "b"): event("e-2", timestamp=at(3))})
    lake.build()
    (record,) = parts(lake).parts()
    assert (set(record.outputs), record.superseded) == (files(lake), ())
    places: list[Path] = list((lake.root / "lake").rglob(".*"))
    assert places == []
