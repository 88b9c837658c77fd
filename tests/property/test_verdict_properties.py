"""A report calls a day *complete* only if it is true, with any faults before and after."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from tests.lakes import LakeUnderTest, at, key
from tests.lakes import event as event_bytes

from pismo_lake.errors import PismoError
from pismo_lake.hours import PublishDay, PublishHour
from pismo_lake.ledger.sightings import Sightings
from pismo_lake.report.model import DayReport, DayVerdict
from pismo_lake.report.reconcile import reconcile

if TYPE_CHECKING:
    from collections.abc import Callable

DAY = "2026-03-01"
HOURS = (1, 2, 3)
STRAYS = "stray_files" in {item.name for item in fields(DayReport)}
"""Whether reports know files that no build has written."""

FAULTY = settings(
    max_examples=int(os.environ.get("PISMO_FUZZ_EXAMPLES", "20")), deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip


@dataclass
class World:
    """A lake, and the facts about it from outside: Pismo's files with their events."""

    lake: LakeUnderTest
    shown: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    """By object key the (event id, number) of its events."""
    damaged: Counter[str] = field(default_factory=Counter)
    """By object key its ranges that are no event."""

    @property
    def partitions(self) -> list[Path]:
        """The visible Parquet files of events and rejects."""
        root = self.lake.root / "lake"
        return sorted(path for part in ("events", "rejects") for path in (root / part).rglob("*.parquet"))

    def raw(self, name: str) -> Path:
        """Return the path of a raw file."""
        return self.lake.root / "landing" / "test" / name

    def is_true(self) -> bool:
        """Read the lake as any reader does, and compare it with the files that Pismo has shown."""
        expected, seen = Counter[tuple[str, int]](), set[str]()
        # the smallest (hour, key, offset) is the copy that wins
        for name in sorted(self.shown, key=lambda name: (int(name.split("/")[4]), name)):
            for event_id, number in self.shown[name]:
                if event_id not in seen:
                    expected[event_id, number] += 1
                seen.add(event_id)
        conflicts = sum(map(len, self.shown.values())) - expected.total() - self._same_copies()
        found, rejects = Counter[tuple[str, int]](), 0
        try:
            for path in self.partitions:
                table = pq.read_table(path, partitioning=None)
                if "/rejects/" in str(path):
                    rejects += table.num_rows
                else:
                    pairs = zip(table["event_id"].to_pylist(), table["data__n"].to_pylist(), strict=True)
                    found.update(pairs)
        except (OSError, ValueError, KeyError, TypeError):
            return False
        return bool(self.shown) and found == expected and rejects == self.damaged.total() + conflicts

    def _same_copies(self) -> int:
        """Count later copies with the bytes of the copy that wins; equal numbers give equal bytes."""
        first: dict[str, int] = {}
        same = 0
        for name in sorted(self.shown, key=lambda name: (int(name.split("/")[4]), name)):
            for event_id, number in self.shown[name]:
                same += first.setdefault(event_id, number) == number
        return same - len(first)


def contents(world: World, name: str, events: list[tuple[str, int]], junk: int) -> bytes:
    """Return the bytes of a file, and note what it holds."""
    world.shown[name], world.damaged[name] = events, junk
    body = b"".join(event_bytes(event_id, {"n": number}, timestamp=at(12)) for event_id, number in events)
    # each range of junk is one reject
    return body + b"".join(b'{"broken": ' + str(number).encode() for number in range(junk))


EVENTS = st.lists(st.tuples(st.sampled_from([f"e-{n}" for n in range(6)]), st.integers(0, 1)), min_size=1, max_size=4)


def land(world: World, data: st.DataObject) -> None:
    """Land a file of an hour, which may be a late one."""
    name = key(data.draw(st.sampled_from(HOURS)), f"f{len(world.shown)}")
    world.lake.land({name: contents(world, name, data.draw(EVENTS), data.draw(st.integers(0, 1)))})


def land_empty(world: World, data: st.DataObject) -> None:
    """Land a file without an event: of no bytes, or of white space."""
    name = key(data.draw(st.sampled_from(HOURS)), f"f{len(world.shown)}")
    contents(world, name, [], 0)
    world.lake.land({name: data.draw(st.sampled_from([b"", b"\n", b" \t\r\n"]))})


def build(world: World, _: st.DataObject) -> None:
    """Index and build what waits."""
    world.lake.build()


def close(world: World, _: st.DataObject) -> None:
    """Close the day."""
    world.lake.close(DAY)


def mend(world: World, _: st.DataObject) -> None:
    """Close the day again by force, which writes all its files again."""
    world.lake.close(DAY, force=True)


def never_land(world: World, data: st.DataObject) -> None:
    """Show a file in a listing or a notice that is never landed."""
    name = key(data.draw(st.sampled_from(HOURS)), f"f{len(world.shown)}")
    contents(world, name, data.draw(EVENTS), 0)
    how = data.draw(st.sampled_from(["listed", "announced"]))
    Sightings(world.lake.ledger, world.lake.settings.lake, "test").note([name], how)


def wait_for_index(world: World, data: st.DataObject) -> None:
    """Land a file, and end before it is indexed."""
    name = key(data.draw(st.sampled_from(HOURS)), f"f{len(world.shown)}")
    world.lake.land_raw({name: contents(world, name, data.draw(EVENTS), 0)})


def pick(paths: list[Path], data: st.DataObject) -> Path | None:
    """Choose one of some files, if there is one."""
    there = [path for path in paths if path.is_file()]
    return data.draw(st.sampled_from(there)) if there else None


def flip(path: Path | None, data: st.DataObject) -> None:
    """Change one byte of a file."""
    if path is not None and (content := bytearray(path.read_bytes())):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(content)


def lose_raw(world: World, data: st.DataObject) -> None:
    """Remove a raw file from landing."""
    if (path := pick([world.raw(name) for name in world.shown], data)) is not None:
        path.unlink()


def alter_raw(world: World, data: st.DataObject) -> None:
    """Change a byte of a raw file."""
    flip(pick([world.raw(name) for name in world.shown], data), data)


def empty_raw(world: World, data: st.DataObject) -> None:
    """Empty a raw file in landing."""
    if (path := pick([world.raw(name) for name in world.shown], data)) is not None:
        path.write_bytes(b"")


def alter_index(world: World, data: st.DataObject) -> None:
    """Remove an index, or change a byte of it."""
    path = pick(sorted((world.lake.root / "landing" / "test" / "_index").rglob("*.parquet")), data)
    if data.draw(st.booleans()):
        flip(path, data)
    elif path is not None:
        path.unlink()


def lose_output(world: World, data: st.DataObject) -> None:
    """Remove a Parquet file of the lake."""
    if (path := pick(world.partitions, data)) is not None:
        path.unlink()


def truncate_output(world: World, data: st.DataObject) -> None:
    """Cut a Parquet file of the lake."""
    if (path := pick(world.partitions, data)) is not None:
        content = path.read_bytes()
        path.write_bytes(content[: data.draw(st.integers(0, max(len(content) - 1, 0)))])


def empty_output(world: World, data: st.DataObject) -> None:
    """Empty a Parquet file of the lake: of all bytes, or of all rows."""
    if (path := pick(world.partitions, data)) is not None:
        if data.draw(st.booleans()):
            path.write_bytes(b"")
            return
        with suppress(OSError, ValueError):
            pq.write_table(pq.read_schema(path).empty_table(), path)


def alter_output(world: World, data: st.DataObject) -> None:
    """Change a byte of a Parquet file of the lake."""
    if (path := pick(world.partitions, data)) is not None:
        flip(path, data)


def swap_outputs(world: World, data: st.DataObject) -> None:
    """Replace a Parquet file by a copy of another with as many rows, e.g. of another hour."""
    first, second = pick(world.partitions, data), pick(world.partitions, data)
    if first is not None and second is not None:
        second.write_bytes(first.read_bytes())


def copy_output(world: World, data: st.DataObject) -> None:
    """Leave a copy of a Parquet file beside it, which readers read too."""
    if (path := pick(world.partitions, data)) is not None:
        path.with_name(f"copy-{len(world.partitions)}.parquet").write_bytes(path.read_bytes())


STEPS: tuple[Callable[[World, st.DataObject], None], ...] = (
    land, land, land, land_empty, build, build, close, close, mend, never_land, wait_for_index, lose_raw, alter_raw,
    empty_raw, alter_index, lose_output, truncate_output, empty_output, alter_output, swap_outputs,
    *((copy_output,) if STRAYS else ()),
)  # fmt: skip


FAULTS = (lose_output, truncate_output, empty_output, alter_output, never_land, wait_for_index)
"""Each of them alone makes a day incomplete, until it is built again."""


BEGINNINGS = ((), (land, close), (land, build, close), (land, build, land, close))
ENDS = ((), (close,), (build, close), (mend,))
"""Work before and after the random steps: without it, hardly any day is complete."""


def verdict(world: World, until: PublishHour | None = None) -> DayVerdict | None:
    """Return the report's verdict; None if there is no report, because a file is damaged."""
    try:
        report = reconcile(world.lake.settings, world.lake.ledger, PublishDay.parse(DAY), until=until)
    except PismoError:
        return None
    assert report.to_json()["complete"] is report.complete
    assert ("is complete" in str(report)) is report.complete
    return report.verdict


@FAULTY
@given(st.data())
def test_complete_is_said_only_if_it_is_true(data: st.DataObject) -> None:
    """In any order of work and faults, a complete day holds each event once."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(LakeUnderTest(Path(folder)))
        between = data.draw(st.lists(st.sampled_from(STEPS), max_size=6))
        for step in (*data.draw(st.sampled_from(BEGINNINGS)), *between, *data.draw(st.sampled_from(ENDS))):
            # a step that meets a fault refuses
            with suppress(PismoError):
                step(world, data)
        said, true = verdict(world), world.is_true()
        event(f"said {said}, in truth {true}")
        if said is DayVerdict.COMPLETE:
            assert true
        if not world.shown:
            assert said is DayVerdict.NO_FILES
        world.lake.ledger.close()


@FAULTY
@given(st.data())
def test_a_whole_day_is_complete_and_one_fault_is_enough(data: st.DataObject) -> None:
    """A closed day is complete; one fault or some at once change that, and a new build restores it."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(LakeUnderTest(Path(folder)))
        for _ in range(data.draw(st.integers(1, 4))):
            land(world, data)
        if data.draw(st.booleans()):
            build(world, data)
        close(world, data)
        assert world.is_true()
        assert verdict(world) is DayVerdict.COMPLETE
        assert verdict(world, PublishHour.parse(f"{DAY}T20")) is DayVerdict.INCOMPLETE
        for fault in data.draw(st.lists(st.sampled_from(FAULTS), min_size=1, max_size=3)):
            fault(world, data)
            event(fault.__name__)
        assert verdict(world) is not DayVerdict.COMPLETE
        world.lake.land(waiting(world))
        mend(world, data)
        assert world.is_true()
        assert verdict(world) is DayVerdict.COMPLETE
        world.lake.ledger.close()


def waiting(world: World) -> dict[str, bytes]:
    """Return the bytes of the files that were shown and are not in landing."""
    return {
        name: contents(world, name, events, 0) for name, events in world.shown.items() if not world.raw(name).exists()
    }


def test_the_truth_is_taken_without_the_lake(tmp_path: Path) -> None:
    world = World(LakeUnderTest(tmp_path))
    name, again = key(1, "a"), key(2, "b")
    world.lake.land({name: contents(world, name, [("e-1", 0), ("e-2", 0)], 1)})
    world.lake.land({again: contents(world, again, [("e-1", 0), ("e-2", 1)], 0)})
    world.lake.close(DAY)
    assert world.is_true()
    row = next(path for path in world.partitions if "/events/" in str(path))
    content = row.read_bytes()
    row.unlink()
    assert not world.is_true()
    row.write_bytes(content)
    assert world.is_true()
    row.with_name("copy.parquet").write_bytes(content)
    assert not world.is_true()
