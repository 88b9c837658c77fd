"""A day that several tasks or processes close has the bytes of one that a single process closes."""

from __future__ import annotations

import hashlib
import logging
import multiprocessing
import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.catalog_reader import table_files, table_rows
from tests.lakes import LakeUnderTest, at, event, find_in_rows, key

from pismo_lake.build import heartbeat
from pismo_lake.build.day import begin_close, close_day
from pismo_lake.build.day_plan import IDS, REJECTS, share_out
from pismo_lake.build.day_tasks import write_part
from pismo_lake.check.run import check_lake
from pismo_lake.errors import LandedFileError, StalePlanError
from pismo_lake.events.erase import erase
from pismo_lake.hours import PublishDay
from pismo_lake.ledger.days import PART, DayLedger
from pismo_lake.local.workers import Workers
from pismo_lake.settings.contracts import ContractRules
from pismo_lake.settings.privacy import Privacy, PrivacyKey
from pismo_lake.settings.rules import Action, Rule
from pismo_lake.settings.tables import Tables
from pismo_lake.storage import partition_writer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY = "2026-03-01"
POLICY = Privacy("test", (Rule("**/account_id", Action.HASH),), key=PrivacyKey("k1", b"a secret of some length"))
RULES = ContractRules(shipped=False, child_tables=("**",))
PARSED = 5
"""An hour that no build has built, so that its files are parsed."""


@pytest.fixture(autouse=True)
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    # row groups of a few events, and no wait for a claim that nobody keeps alive
    monkeypatch.setattr(partition_writer, "_ROW_GROUP_BYTES", 1500)
    monkeypatch.setattr(heartbeat, "QUIET_SECONDS", 0.0)


def fill(lake: LakeUnderTest) -> None:
    """Land three hours of four types, with lists, copies, conflicts and rejects; two of the hours are built."""
    for hours in (range(3, 5), [PARSED]):
        files = {}
        for hour in hours:
            for name in "ab":
                events = [
                    event(
                        f"{hour}-{name}-{n}",
                        {"account_id": str(n), "items": [{"code": n}, None][: n % 3], "text": "é" * (n * hour)},
                        timestamp=at(hour, 1 + n % 2), event_type=f"type_{n % 3}",
                    )
                    for n in range(12)
                ]  # fmt: skip
                copies = [events[0], event(f"{hour}-{name}-1", {"text": "other"}, timestamp=at(hour, 2))]
                files[key(hour, name)] = b"".join([*events, *copies, b'{"no": "event"}'])
        lake.land(files)
        if PARSED not in hours:
            lake.build()


def begin(lake: LakeUnderTest, most: int) -> tuple[str, int]:
    begun = begin_close(lake.settings, lake.ledger, PublishDay.parse(DAY), most=most, least=1)
    assert begun is not None
    return begun


def commit(lake: LakeUnderTest, token: str, **options: Any) -> int:
    done = close_day(lake.settings, lake.ledger, PublishDay.parse(DAY), begun=token, **options)
    return done.parts_built


def write(lake: LakeUnderTest, token: str, groups: int) -> None:
    for group in reversed(range(groups)):
        write_part(lake.settings, lake.ledger, DAY, token, group)


def ids(lake: LakeUnderTest) -> list[str]:
    return sorted(row["event_id"] for row in lake.rows())


def counts(lake: LakeUnderTest) -> dict[str, Any]:
    record = DayLedger(lake.ledger, lake.settings.lake, "test", DAY).part(PART)
    assert record is not None
    return {name: value for name, value in record.counts.items() if name != "seconds"}


SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "policy, child tables, chunks across hours": {"privacy": POLICY, "contracts": RULES, "part_bytes": 4000},
}


@pytest.fixture(scope="module", params=SETTINGS)
def one(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Yield the settings of a lake, and its files after one process has closed the day."""
    settings = SETTINGS[request.param]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partition_writer, "_ROW_GROUP_BYTES", 1500)
        lake = LakeUnderTest(tmp_path_factory.mktemp("one"), **settings)
        fill(lake)
        lake.close(DAY)
        yield settings, lake.digest(), ids(lake)
        lake.ledger.close()


@pytest.mark.parametrize("most", [2, 5])
def test_any_number_of_writers_gives_the_bytes_of_one(tmp_path: Path, one: Any, most: int) -> None:
    settings, expected, rows = one
    lake = LakeUnderTest(tmp_path, **settings)
    fill(lake)
    token, groups = begin(lake, most)
    assert groups == most
    write(lake, token, groups)
    # nothing is to be seen before the last step
    assert not list((lake.root / "lake" / "events").rglob(f"*-{DAY}-p*"))
    assert commit(lake, token) == 1
    assert lake.digest() == expected
    assert ids(lake) == rows
    assert lake.files.unbuilt_units() == []
    # the counts of hours are taken, and a forced close counts again
    before = counts(lake)
    lake.close(DAY, force=True)
    assert counts(lake) == before


def test_processes_give_the_bytes_of_one(tmp_path: Path, one: Any, caplog: pytest.LogCaptureFixture) -> None:
    settings, expected, _ = one
    lake = LakeUnderTest(tmp_path, **settings)
    fill(lake)
    # a process has row groups of its own size, and this one makes them again in its way
    with Workers(lake.settings, lake.ledger, 2) as workers, caplog.at_level(logging.WARNING):
        assert list(workers.write_day(DAY, "no claim", str(tmp_path), 2)) == []
        assert caplog.text.count("its plan is gone") == 2
        caplog.clear()
        lake.close(DAY, spread=workers)
    assert lake.digest().keys() == expected.keys()
    assert caplog.messages == []
    lake.close(DAY, force=True)
    assert lake.digest() == expected


@pytest.mark.parametrize("damage", ["altered", "lost", "list"])
def test_a_staged_file_that_is_not_as_it_was_written_is_written_again(
    lake: LakeUnderTest, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    fill(lake)
    token, groups = begin(lake, 2)
    write(lake, token, groups)
    place = lake.root / "lake" / "_spool" / f"test-{DAY}-{token}.plan"
    victim = min(place.glob("0001.json" if damage == "list" else "0000-*/*.parquet"))
    if damage == "altered":
        victim.write_bytes(victim.read_bytes()[:-9] + bytes(9))
    else:
        victim.unlink()
    assert commit(lake, token) == 1
    assert "is written again" in caplog.text
    expected = lake.digest()
    lake.close(DAY, force=True)
    assert lake.digest() == expected


@pytest.mark.parametrize("step", ["read", "write", "record", "late", "remove"])
def test_a_commit_that_ends_at_any_step_is_tried_again(lake: LakeUnderTest, step: str) -> None:
    fill(lake)
    token, groups = begin(lake, 2)
    # one group is missing, so that the commit reads, too
    write_part(lake.settings, lake.ledger, DAY, token, 0)
    assert groups == 2

    def end(reached: str) -> None:
        if reached == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        commit(lake, token, checkpoint=end)
    commit(lake, token)
    done = lake.digest()
    assert not list((lake.root / "lake" / "_spool").rglob("*"))
    assert lake.close(DAY).parts_skipped == 1
    lake.close(DAY, force=True)
    assert lake.digest() == done


def _dies(settings: Any, url: str, step: str, token: str) -> None:
    from pismo_lake.ledger import Ledger

    def kill(reached: str) -> None:
        if reached == step:
            os.kill(os.getpid(), signal.SIGKILL)

    write_part(settings, Ledger.open(url), DAY, token, 0, checkpoint=kill)


@pytest.mark.parametrize("step", ["read", "stage"])
def test_a_killed_writer_is_repeated(lake: LakeUnderTest, step: str) -> None:
    fill(lake)
    token, groups = begin(lake, 2)
    url = lake.ledger.engine.url.render_as_string(hide_password=False)
    child = multiprocessing.get_context("spawn").Process(target=_dies, args=(lake.settings, url, step, token))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    # a check beside the tasks names none of their files
    assert check_lake(lake.settings, lake.ledger).findings == ()
    write(lake, token, groups)
    assert commit(lake, token) == 1
    done = lake.digest()
    lake.close(DAY, force=True)
    assert lake.digest() == done


def test_a_plan_is_stale_after_another_close(lake: LakeUnderTest) -> None:
    fill(lake)
    token, groups = begin(lake, 2)
    write_part(lake.settings, lake.ledger, DAY, token, 0)
    lake.land({key(3, "late"): event("late", {"text": "late"}, timestamp=at(3))})
    lake.close(DAY)
    done = lake.digest()
    with pytest.raises(StalePlanError, match="its plan is gone"):
        write_part(lake.settings, lake.ledger, DAY, token, 1)
    assert groups == 2
    # the plan does not know the late file: its rows stay
    assert commit(lake, token) == 0
    assert lake.digest() == done
    assert "late" in ids(lake)


def test_the_second_of_two_plans_is_taken(lake: LakeUnderTest) -> None:
    fill(lake)
    first, _ = begin(lake, 2)
    second, groups = begin(lake, 3)
    with pytest.raises(StalePlanError, match="another run has taken it over"):
        write(lake, first, 2)
    write(lake, second, groups)
    assert commit(lake, second) == 1
    assert commit(lake, first) == 0
    assert not list((lake.root / "lake" / "_spool").rglob("*"))


def test_a_file_that_comes_after_the_plan_stays_beside_the_day(lake: LakeUnderTest) -> None:
    fill(lake)
    token, groups = begin(lake, 2)
    lake.land({key(3, "late"): event("late", {"text": "late"}, timestamp=at(3))})
    write(lake, token, groups)
    # the day, and the hour of the late file
    assert commit(lake, token) == 2
    assert "late" in ids(lake)
    assert len(list((lake.root / "lake/events").rglob(f"test-{DAY}T03-*"))) == 1
    assert lake.files.unbuilt_units() == []


def test_nothing_erased_comes_back_by_a_plan(lake: LakeUnderTest) -> None:
    fill(lake)
    token, groups = begin(lake, 2)
    write_part(lake.settings, lake.ledger, DAY, token, 0)
    (found,) = find_in_rows(lake.settings, [("event_id", "3-a-2")])
    erase(lake.settings, lake.ledger, [found], "t", raw=True)
    assert not list((lake.root / "lake" / "_spool").rglob("*.parquet"))
    with pytest.raises(StalePlanError):
        write_part(lake.settings, lake.ledger, DAY, token, groups - 1)
    commit(lake, token)
    assert "3-a-2" not in ids(lake)
    assert "3-a-3" in ids(lake)


def test_an_erasure_after_the_files_were_written_has_the_day_written_again(
    lake: LakeUnderTest, caplog: pytest.LogCaptureFixture
) -> None:
    fill(lake)
    token, groups = begin(lake, 2)
    write(lake, token, groups)

    (found,) = find_in_rows(lake.settings, [("event_id", "3-a-2")])
    to_erase = [found]

    def erased(step: str) -> None:
        if step == "record" and to_erase:
            erase(lake.settings, lake.ledger, [to_erase.pop()], "t")

    with caplog.at_level(logging.INFO):
        assert commit(lake, token, checkpoint=erased) == 1
    assert "events were erased while part 0" in caplog.text
    assert "3-a-2" not in ids(lake)


def test_a_grown_contract_makes_one_group_stale(lake: LakeUnderTest, caplog: pytest.LogCaptureFixture) -> None:
    fill(lake)
    token, groups = begin(lake, 9)
    lake.land({key(7, day=2): event("new", {"added": 1}, event_type="type_1", timestamp=at(7, 2))})
    stale: list[str] = []
    for group in range(groups):
        try:
            write_part(lake.settings, lake.ledger, DAY, token, group)
        except StalePlanError as error:
            stale.append(str(error))
    assert stale == [f"the plan of publish day {DAY} is stale: a contract or a setting has changed"]
    assert commit(lake, token) == 1
    assert caplog.text.count("is written again") == 1
    done = lake.digest()
    lake.close(DAY, force=True)
    assert lake.digest() == done


def test_a_damaged_raw_file_fails_the_writer_that_compares_it(lake: LakeUnderTest) -> None:
    lake.settings = replace(lake.settings, part_bytes=1)
    fill(lake)
    token, groups = begin(lake, 2)
    (path,) = (lake.root / "landing").rglob("main_stream/2026/3/1/4/b")
    path.write_bytes(path.read_bytes().replace(b"4-b-3", b"4-b-9"))
    failed = set()
    for group in range(groups):
        try:
            write_part(lake.settings, lake.ledger, DAY, token, group)
        except LandedFileError as error:
            failed.add(error.name)
    assert failed == {key(4, "b")}
    with pytest.raises(LandedFileError):
        commit(lake, token)


def test_small_and_unchanged_days_need_no_tasks(lake: LakeUnderTest) -> None:
    fill(lake)
    day = PublishDay.parse(DAY)
    assert begin_close(lake.settings, lake.ledger, day, most=8, least=1 << 30) is None
    assert begin_close(lake.settings, lake.ledger, day, most=1, least=1) is None
    lake.close(DAY)
    assert begin_close(lake.settings, lake.ledger, day, most=8, least=1) is None
    assert begin_close(lake.settings, lake.ledger, day, most=8, least=1, force=True) is not None


def test_tables_get_one_snapshot_of_a_day_of_several_groups(tmp_path: Path) -> None:
    lake = LakeUnderTest(tmp_path, tables=Tables())
    fill(lake)
    token, groups = begin(lake, 3)
    write(lake, token, groups)
    assert len(table_files(lake, "pix.type_2_1")) > 1
    before = sorted(row["event_id"] for row in table_rows(lake, "pix.type_2_1"))
    assert commit(lake, token) == 1
    # two event dates
    assert len(table_files(lake, "pix.type_2_1")) == 2
    assert set(before) < {row["event_id"] for row in table_rows(lake, "pix.type_2_1")}


def test_groups_have_about_equal_bytes() -> None:
    weights = {"a/x": 70, "a/y": 40, "b/z": 30, "c/w": 20}
    assert share_out(weights, 1) == (("a/x", "a/y", "b/z", "c/w", IDS, REJECTS),)
    assert share_out(weights, 3) == (("a/x",), ("a/y", "b/z"), ("c/w", IDS, REJECTS))
    assert len(share_out(weights, 99)) == 6
    assert share_out({}, 4) == ((IDS, REJECTS),)


def test_a_name_of_a_staged_file_has_its_claim(lake: LakeUnderTest) -> None:
    fill(lake)
    token, _ = begin(lake, 2)
    (plan,) = (lake.root / "lake" / "_spool").rglob("plan.parquet")
    assert hashlib.sha256(plan.read_bytes()).hexdigest()
    assert check_lake(lake.settings, lake.ledger).findings == ()
    lake.close(DAY)
    plan.parent.mkdir(parents=True)
    plan.write_bytes(b"left")
    (found,) = check_lake(lake.settings, lake.ledger, repair=True).findings
    assert found.path == str(plan)
    assert token in found.path
