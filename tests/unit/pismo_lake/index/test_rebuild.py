"""The rebuild of a ledger: every output root, erasures first, and a kill at any step."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests.lakes import SERVER, LakeUnderTest, event, find_in_rows, key

from pismo_lake import storage
from pismo_lake.build.day import build_unit
from pismo_lake.errors import LakeError, LedgerMismatchError
from pismo_lake.events.erase import erase
from pismo_lake.events.forget import forget_file
from pismo_lake.hours import PublishDay
from pismo_lake.index.rebuild import Rebuilt, rebuild_ledger
from pismo_lake.ledger.binding import LakeBinding
from pismo_lake.ledger.known_files import known_outputs
from pismo_lake.local.workers import Workers
from pismo_lake.paths import BUILD_ROOTS, OUTPUT_ROOTS
from pismo_lake.report.model import DayVerdict
from pismo_lake.report.reconcile import reconcile
from pismo_lake.settings.contracts import ContractRules

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STEPS = ("contracts", "erasures", "file", "outputs", "bind")
LISTS = ContractRules(shipped=False, child_tables=("**/customers",))
DAY = "2026-03-01"


class Killed(BaseException):
    """As a process ends that is killed."""


def person(name: str) -> bytes:
    return event(name, {"doc": name, "customers": [{"name": f"{name}-1"}, {"name": f"{name}-2"}]})


def fill(lake: LakeUnderTest) -> None:
    """Return a closed day with rejects and an erasure, and an hour of another day."""
    lake.land({key(10, "a"): person("anna") + person("bob"), key(11, "b"): person("cleo") + b'{"broken'})
    lake.build()
    lake.close(DAY)
    lake.land({key(9, "c", day=2): person("dora") + person("emil")})
    lake.build()
    remove(lake, "anna")


def remove(lake: LakeUnderTest, name: str) -> None:
    erase(lake.settings, lake.ledger, find_in_rows(lake.settings, [], [name]), "ticket")


def back_up(lake: LakeUnderTest) -> Path:
    if SERVER is not None:
        pytest.skip("copies the file of an SQLite ledger")
    copy = lake.root / "backup.db"
    source, target = sqlite3.connect(lake.root / "ledger.db"), sqlite3.connect(copy)
    source.backup(target)
    source.close()
    target.close()
    return copy


def anew(lake: LakeUnderTest) -> LakeUnderTest:
    lake.ledger.close()
    return LakeUnderTest(lake.root, contracts=LISTS)


def restored(lake: LakeUnderTest, copy: Path) -> LakeUnderTest:
    lake.lose_ledger()
    shutil.copy(copy, lake.root / "ledger.db")
    return anew(lake)


def finish(lake: LakeUnderTest) -> Rebuilt:
    done = rebuild_ledger(lake.settings, lake.ledger)
    for unit in done.units:
        build_unit(lake.settings, lake.ledger, unit)
    return done


def people(lake: LakeUnderTest, root: str = "events") -> list[str]:
    return sorted(row["event_id"] for table in lake._tables(root) for row in table.to_pylist())


@pytest.fixture
def lake(tmp_path: Path) -> LakeUnderTest:
    return LakeUnderTest(tmp_path, contracts=LISTS)


def refused(lake: LakeUnderTest) -> bool:
    try:
        LakeBinding(lake.ledger, lake.settings.lake, "test", lake.settings.landing).check()
    except LedgerMismatchError:
        return True
    return False


def nothing(_: LakeUnderTest) -> None:
    pass


def late_and_close(lake: LakeUnderTest) -> None:
    lake.land({key(10, "late"): person("fred"), key(11, "later"): person("hugo")})
    lake.build()
    lake.close("2026-03-02")
    remove(lake, "emil")


def killed_before_the_end_of_a_build(lake: LakeUnderTest) -> None:
    def kill(step: str) -> None:
        if step == "record":
            raise Killed

    lake.land({key(9, "late", day=2): person("gus")})
    with pytest.raises(Killed):
        lake.build(checkpoint=kill)


@dataclass(frozen=True)
class Loss:
    """The changes after the backup are lost; without a backup the ledger is empty."""

    since: Callable[[LakeUnderTest], None]
    backup: bool


LOSSES = {
    "lost": Loss(nothing, backup=False),
    "lost after more": Loss(late_and_close, backup=False),
    "an older copy": Loss(late_and_close, backup=True),
    "lost in a build": Loss(killed_before_the_end_of_a_build, backup=False),
    "an older copy, in a build": Loss(killed_before_the_end_of_a_build, backup=True),
}


def settle(lake: LakeUnderTest) -> dict[str, str]:
    """Build all that waits, close the day again with its late files, and return the digest."""
    lake.build()
    lake.close(DAY)
    assert lake.files.unbuilt_units() == []
    return lake.digest()


def lose(lake: LakeUnderTest, loss: Loss) -> tuple[LakeUnderTest, dict[str, str]]:
    """Return the lake with its ledger lost, and the digest of an undisturbed one."""
    fill(lake)
    copy = back_up(lake) if loss.backup else None
    loss.since(lake)
    whole = shutil.copytree(lake.root, lake.root.with_name(f"{lake.root.name}-copy"))
    wanted = settle(lake)
    lake.ledger.close()
    for name in ("lake", "landing"):
        shutil.rmtree(lake.root / name)
        shutil.copytree(whole / name, lake.root / name)
    lake.lose_ledger()
    if copy is not None:
        shutil.copy(copy, lake.root / "ledger.db")
    return anew(lake), wanted


@pytest.mark.parametrize("name", LOSSES)
def test_a_rebuilt_ledger_gives_the_same_lake(lake: LakeUnderTest, name: str) -> None:
    lake, wanted = lose(lake, LOSSES[name])
    assert refused(lake)
    finish(lake)
    assert len(people(lake)) == len(set(people(lake)))
    assert settle(lake) == wanted


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("name", ["lost after more", "an older copy"])
def test_a_rebuild_that_is_killed_is_done_by_a_second_call(lake: LakeUnderTest, name: str, step: str) -> None:
    lake, wanted = lose(lake, LOSSES[name])
    before = lake.digest()

    for times in range(2):
        left = times

        def kill(at: str) -> None:
            nonlocal left
            if at == step:
                left -= 1
                if left < 0 or step != "file":
                    raise Killed

        with pytest.raises(Killed):
            rebuild_ledger(lake.settings, lake.ledger, checkpoint=kill)
        lake = anew(lake)
        assert refused(lake)
        assert lake.digest() == before
    finish(lake)
    assert len(people(lake)) == len(set(people(lake)))
    assert settle(lake) == wanted


def test_a_rebuild_of_a_sound_ledger_changes_nothing(lake: LakeUnderTest) -> None:
    fill(lake)
    before = lake.digest()
    done = finish(lake)
    assert (done.files, done.units, done.adopted, done.strangers, done.waiting) == (0, (), (), (), ())
    assert lake.digest() == before
    assert not refused(lake)


@pytest.mark.parametrize("root", BUILD_ROOTS)
def test_every_output_root_is_adopted_and_replaced(lake: LakeUnderTest, root: str) -> None:
    fill(lake)
    wanted = lake.digest()
    known = known_outputs(lake.ledger, lake.settings.lake)
    path = next(path for path in sorted(known) if path.startswith(f"{root}/"))
    copy_as_other_build(lake, path)
    lake.lose_ledger()
    lake = anew(lake)
    finish(lake)
    assert lake.digest() == wanted
    assert known_outputs(lake.ledger, lake.settings.lake) == known


def copy_as_other_build(lake: LakeUnderTest, path: str) -> None:
    """Another output of the same unit and part, which no ledger knows."""
    stray = f"{path.removesuffix('.parquet')[:-10]}0123456789.parquet"
    shutil.copy(lake.root / "lake" / path, lake.root / "lake" / stray)


def test_a_sound_ledger_takes_a_file_that_no_build_owns(lake: LakeUnderTest) -> None:
    fill(lake)
    wanted = lake.digest()
    path = next(path for path in sorted(known_outputs(lake.ledger, lake.settings.lake)) if path.startswith("events/"))
    shutil.copy(
        lake.root / "lake" / path, lake.root / "lake" / f"{path.removesuffix('.parquet')[:-10]}0123456789.parquet"
    )
    assert people(lake) != sorted(set(people(lake)))
    done = finish(lake)
    assert len(done.adopted) == 1
    assert lake.digest() == wanted


def test_a_file_that_no_build_wrote_is_named_and_left(lake: LakeUnderTest) -> None:
    fill(lake)
    strange = lake.root / "lake" / "events" / "mine.parquet"
    strange.write_bytes(b"x")
    assert finish(lake).strangers == ("events/mine.parquet",)
    assert strange.exists()


def test_child_tables_follow_a_later_erasure(lake: LakeUnderTest) -> None:
    fill(lake)
    lake.lose_ledger()
    lake = anew(lake)
    # landed by a run that was killed before it could say so
    storage.write_atomic(f"{lake.settings.landing}/test/{key(10, 'late')}", person("late"))
    finish(lake)
    assert people(lake, "items") == sorted(2 * ["bob", "cleo", "dora", "emil", "late"])
    remove(lake, "bob")
    lake.close(DAY)
    assert people(lake, "items") == sorted(2 * ["cleo", "dora", "emil", "late"])
    assert people(lake) == ["cleo", "dora", "emil", "late"]


def test_erasures_are_read_before_anything_is_built(lake: LakeUnderTest) -> None:
    fill(lake)
    copy = back_up(lake)
    remove(lake, "dora")
    lake = restored(lake, copy)
    done = rebuild_ledger(lake.settings, lake.ledger)
    for unit in done.units:
        build_unit(lake.settings, lake.ledger, unit)
        assert "dora" not in people(lake)
        assert "anna" not in people(lake)
    assert people(lake) == ["bob", "cleo", "emil"]


def test_a_raw_file_that_cannot_be_indexed_stops_no_other(lake: LakeUnderTest) -> None:
    fill(lake)
    lake.lose_ledger()
    lake = anew(lake)
    damage(lake)
    done, unbuilt = finish_like_the_command(lake)
    assert [name for name, _ in done.failures] == [key(11, "b")]
    assert unbuilt == [DAY]
    assert lake.files.unbuilt_units() == [DAY, "2026-03-01T11"]
    assert people(lake) == ["bob", "cleo", "dora", "emil"]


def damage(lake: LakeUnderTest) -> bytes:
    """Change a raw file so that its digest differs; return the right bytes."""
    raw = lake.root / "landing" / "test" / key(11, "b")
    right = raw.read_bytes()
    raw.write_bytes(right.replace(b"cleo-1", b"cleo-9"))
    return right


def finish_like_the_command(lake: LakeUnderTest) -> tuple[Rebuilt, list[str]]:
    """Rebuild, and build all units that can be built; return the others too."""
    done = rebuild_ledger(lake.settings, lake.ledger)
    return done, list(Workers(lake.settings, lake.ledger, 1).build(done.units, ())[1])


def put_back(lake: LakeUnderTest, right: bytes) -> None:
    (lake.root / "landing" / "test" / key(11, "b")).write_bytes(right)


def fetch_again(lake: LakeUnderTest, right: bytes) -> None:
    (lake.root / "landing" / "test" / key(11, "b")).unlink()
    lake.land({key(11, "b"): right})


@pytest.mark.parametrize("mend", [put_back, fetch_again])
def test_rows_of_a_damaged_raw_file_stay_until_it_is_mended(
    lake: LakeUnderTest, mend: Callable[[LakeUnderTest, bytes], None]
) -> None:
    fill(lake)
    wanted = lake.digest()
    lake.lose_ledger()
    lake = anew(lake)
    right = damage(lake)
    finish_like_the_command(lake)
    with pytest.raises(LakeError, match=r"cannot be indexed, so a build would remove the only copy: .* differs"):
        build_unit(lake.settings, lake.ledger, DAY)
    report = reconcile(lake.settings, lake.ledger, PublishDay.parse(DAY))
    assert report.verdict is DayVerdict.INCOMPLETE
    assert [(file.key, file.state) for file in report.open_files][-1] == (key(11, "b"), "landed, not indexed")
    with pytest.raises(LakeError, match="would remove the only copy"):
        lake.close(DAY, force=True)
    # a run on the same raw file, and a second rebuild, leave the rows too
    lake.index()
    _, unbuilt = finish_like_the_command(lake)
    assert unbuilt == [DAY]
    assert people(lake) == ["bob", "cleo", "dora", "emil"]
    mend(lake, right)
    lake.build()
    assert lake.files.unbuilt_units() == []
    assert lake.digest() == wanted
    assert reconcile(lake.settings, lake.ledger, PublishDay.parse(DAY)).verdict is DayVerdict.COMPLETE


def test_rows_stay_while_their_raw_file_waits_for_its_index(lake: LakeUnderTest) -> None:
    fill(lake)
    right = (lake.root / "landing" / "test" / key(11, "b")).read_bytes()
    lake.lose_ledger()
    lake = anew(lake)
    remove_landing(lake, "b")
    finish_like_the_command(lake)
    lake.land_raw({key(11, "b"): right})
    with pytest.raises(LakeError, match="it waits for its index"):
        build_unit(lake.settings, lake.ledger, DAY)
    assert people(lake) == ["bob", "cleo", "dora", "emil"]


def test_rows_of_a_raw_file_that_became_unreadable_stay(lake: LakeUnderTest) -> None:
    fill(lake)
    wanted = people(lake)
    lake.lose_ledger()
    lake = anew(lake)
    right = (lake.root / "landing" / "test" / key(11, "b")).read_bytes()
    # without its index nothing tells which bytes were landed
    remove_landing(lake, "b")
    (lake.root / "landing" / "test" / key(11, "b")).write_bytes(b"\x28\xb5\x2f\xfd" + right)
    done, unbuilt = finish_like_the_command(lake)
    assert (done.failures, unbuilt) == ((), [DAY])
    assert people(lake) == wanted
    with pytest.raises(LakeError, match=r"unreadable .*: forget it first"):
        build_unit(lake.settings, lake.ledger, DAY)
    with pytest.raises(LakeError, match="does not have the file"):
        forget_file(lake.settings, lake.ledger, key(11, "b"))
    assert people(lake) == wanted
    lake.land({key(11, "b"): right})
    lake.build()
    assert people(lake) == wanted
    assert lake.files.unbuilt_units() == []


def test_a_file_that_was_unreadable_before_keeps_no_unit_from_its_build(lake: LakeUnderTest) -> None:
    lake.land({key(10, "a"): person("anna"), key(10, "b"): b"\x28\xb5\x2f\xfd"})
    lake.build()
    wanted = lake.digest()
    lake.lose_ledger()
    lake = anew(lake)
    finish(lake)
    assert lake.files.unbuilt_units() == []
    assert lake.digest() == wanted


def remove_landing(lake: LakeUnderTest, *names: str) -> None:
    """Remove raw files and their indexes; all of them if none is named."""
    for path in (lake.root / "landing").rglob("*"):
        if path.is_file() and (not names or path.name.removesuffix(".parquet") in names):
            path.unlink()


@pytest.mark.parametrize(
    ("gone", "units"), [((), {DAY, "2026-03-02T09"}), (("b",), {DAY}), (("c",), {"2026-03-02T09"})]
)
def test_rows_whose_raw_file_is_gone_stay_until_it_comes_again(
    lake: LakeUnderTest, gone: tuple[str, ...], units: set[str]
) -> None:
    fill(lake)
    kept = people(lake)
    before = {path: digest for path, digest in lake.digest().items() if "/events/" in path or "/rejects/" in path}
    raws = {key(10, "a"): person("anna") + person("bob"), key(11, "b"): person("cleo") + b'{"broken'}
    raws |= {key(9, "c", day=2): person("dora") + person("emil")}
    lake.lose_ledger()
    lake = anew(lake)
    remove_landing(lake, *gone)
    done = rebuild_ledger(lake.settings, lake.ledger)
    for unit in units:
        with pytest.raises(LakeError, match="would remove the only copy"):
            build_unit(lake.settings, lake.ledger, unit)
    for unit in set(done.units) - units:
        build_unit(lake.settings, lake.ledger, unit)
    assert people(lake) == kept
    for unit in units:
        day = PublishDay.parse(unit[:10])
        assert reconcile(lake.settings, lake.ledger, day).verdict is DayVerdict.INCOMPLETE
        with suppress(LakeError):
            lake.close(str(day), force=True)
    assert people(lake) == kept
    lake.land(raws)
    lake.build()
    assert {path: digest for path, digest in lake.digest().items() if path in before} == before
    assert people(lake) == kept


def test_a_damaged_output_is_built_again_after_a_rebuild(lake: LakeUnderTest) -> None:
    fill(lake)
    lake.lose_ledger()
    lake = anew(lake)
    for path in (lake.root / "lake" / "events").rglob("*.parquet"):
        path.write_bytes(path.read_bytes()[:-100])
    finish(lake)
    assert people(lake) == ["bob", "cleo", "dora", "emil"]


def test_reports_are_output_too_and_no_build_owns_them() -> None:
    assert set(OUTPUT_ROOTS) - set(BUILD_ROOTS) == {"reports"}
