"""Blank raw files: size, record and index stay, and later copies are blanked too."""

from __future__ import annotations

import gzip
import shutil
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from tests.lakes import LakeUnderTest, at, event, find_in_rows, key

from pismo_lake.check.run import check_lake
from pismo_lake.events.erase import erase
from pismo_lake.hours import PublishDay
from pismo_lake.index import blank
from pismo_lake.index.rebuild import rebuild_ledger
from pismo_lake.landing.remote_file import RemoteFile, new_files
from pismo_lake.ledger import FileLedger
from pismo_lake.ledger.erasures import erased_keys
from pismo_lake.local.files import local_files
from pismo_lake.report.reconcile import reconcile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HIS = b"his own words"
SECRET = {"document": "00666777889", "note": HIS.decode()}


def person(name: str = "e-1") -> bytes:
    return event(name, SECRET, timestamp=at(1))


def other(number: int) -> bytes:
    return event(f"o-{number}", {"document": f"{number:011d}", "note": "x" * number}, timestamp=at(1))


def feed() -> dict[str, bytes]:
    """Return a plain file, a compressed one, and one of several members."""
    return {
        key(1): other(1) + person() + other(2),
        key(2): gzip.compress(other(3) + person("e-2") + other(4), mtime=0),
        key(3): gzip.compress(person("e-3"), 1, mtime=0) + gzip.compress(other(5), mtime=0),
    }


def erase_all(lake: LakeUnderTest, *, raw: bool = True) -> None:
    erase(lake.settings, lake.ledger, find_in_rows(lake.settings, [("data__document", "00666777889")]), "t", raw=raw)


def landed(root: Path) -> dict[str, bytes]:
    """Return the content of each raw file, uncompressed."""
    paths = (path for path in (root / "landing").rglob("main_stream/**/*") if "_index" not in str(path))
    contents = {str(path.relative_to(root)): path.read_bytes() for path in paths if path.is_file()}
    return {name: gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw for name, raw in contents.items()}


def ids(lake: LakeUnderTest) -> list[str]:
    return sorted(row["event_id"] for row in lake.rows())


OTHERS = [f"o-{number}" for number in range(1, 6)]


@pytest.fixture
def erased(lake: LakeUnderTest) -> LakeUnderTest:
    """Erase the person with all bytes from a lake with a closed day."""
    lake.land(feed())
    lake.build()
    lake.close("2026-03-01")
    erase_all(lake)
    return lake


def lose_ledger(lake: LakeUnderTest) -> LakeUnderTest:
    lake.lose_ledger()
    again = LakeUnderTest(lake.root)
    rebuild_ledger(again.settings, again.ledger)
    return again


def test_size_and_other_events_stay(erased: LakeUnderTest) -> None:
    for name, raw in feed().items():
        path = erased.root / "landing" / "test" / name
        assert path.stat().st_size == len(raw)
    assert not any(HIS in raw for raw in landed(erased.root).values())
    assert ids(erased) == OTHERS


def test_after_a_rebuild_the_ledger_knows_blanked_files_as_they_were_landed(erased: LakeUnderTest) -> None:
    before = {record.name: record for record in erased.lake_files.every()}
    report = reconcile(erased.settings, erased.ledger, PublishDay.parse("2026-03-01"))
    outputs = erased.digest()
    again = lose_ledger(erased)
    again.build()
    for record in again.lake_files.every():
        was = before[record.name]
        for field in ("size", "sha256", "events", "rejects", "min_timestamp", "max_timestamp", "plain_size", "closed"):
            assert getattr(record, field) == getattr(was, field), field
    same = reconcile(again.settings, again.ledger, PublishDay.parse("2026-03-01"))
    assert (same.events, same.rows, same.erased, same.balanced) == (report.events, report.rows, report.erased, True)
    assert again.digest() == outputs
    listed = [RemoteFile(name, len(raw)) for name, raw in feed().items()]
    assert new_files(listed, again.files.find_known(feed())) == []


@pytest.mark.parametrize("rebuilt", [False, True])
def test_files_that_are_fetched_again_bring_no_bytes_back(erased: LakeUnderTest, rebuilt: bool) -> None:
    lake = lose_ledger(erased) if rebuilt else erased
    lake.build()
    # asked for by key, with force
    lake.land(feed())
    lake.build()
    assert not any(HIS in raw for raw in landed(lake.root).values())
    # removed from landing, and asked for again
    for name in feed():
        (lake.root / "landing" / "test" / name).unlink()
    lake.land(feed())
    lake.build()
    assert len(landed(lake.root)) == 3
    assert not any(HIS in raw for raw in landed(lake.root).values())
    lake.close("2026-03-01", force=True)
    assert ids(lake) == OTHERS


def test_a_copy_that_comes_later_is_blanked_when_it_is_indexed(erased: LakeUnderTest) -> None:
    late = {
        key(5, day=2): person() + event("n-1", timestamp=at(5, 2)),
        key(6, day=2): gzip.compress(event("n-2", timestamp=at(6, 2)) + person("e-2")),
    }
    erased.land(late)
    assert not any(HIS in raw for raw in landed(erased.root).values())
    assert not any(HIS in path.read_bytes() for path in erased.root.rglob("*.columns"))
    erased.build()
    assert ids(erased) == ["n-1", "n-2", *OTHERS]
    assert reconcile(erased.settings, erased.ledger, PublishDay.parse("2026-03-02")).balanced


def test_if_its_bytes_stayed_a_later_copy_keeps_them_too(lake: LakeUnderTest) -> None:
    lake.land(feed())
    lake.build()
    erase_all(lake, raw=False)
    lake.land({key(5, day=2): person()})
    lake.build()
    assert sum(HIS in raw for raw in landed(lake.root).values()) == 4
    assert ids(lake) == OTHERS


@pytest.mark.parametrize("raw", [False, True])
def test_a_new_lake_from_landing_knows_what_is_erased(lake: LakeUnderTest, raw: bool) -> None:
    lake.land(feed())
    lake.build()
    erase_all(lake, raw=raw)
    shutil.rmtree(lake.root / "lake")
    lake.lose_ledger()
    # another lake and another ledger, of the landing zone alone
    elsewhere = LakeUnderTest(lake.root, lake=str(lake.root / "elsewhere" / "lake"))
    done = rebuild_ledger(elsewhere.settings, elsewhere.ledger)
    assert done.failures == ()
    elsewhere.build()
    rows = [path.read_bytes() for path in (lake.root / "elsewhere").rglob("*.parquet")]
    assert rows
    assert not any(HIS in content for content in rows)
    assert len(erased_keys(elsewhere.ledger, elsewhere.settings.lake)) == 3
    assert list((lake.root / "elsewhere" / "lake" / "_erasures").glob("*.parquet"))
    report = reconcile(elsewhere.settings, elsewhere.ledger, PublishDay.parse("2026-03-01"))
    assert (report.rows, report.erased, report.balanced) == (5, 3, True)


@pytest.mark.parametrize("below", ["", "test", "test/main_stream", "test/main_stream/2026/3/1/1"])
def test_a_new_lake_from_copied_raw_files_knows_what_is_erased(lake: LakeUnderTest, below: str) -> None:
    lake.land({key(1): feed()[key(1)]})
    lake.build()
    erase_all(lake, raw=False)
    new = LakeUnderTest(lake.root / "new", delivery="new")
    taken = local_files([str(lake.root / "landing" / below)]).land(new.settings, new.ledger, None)
    assert taken.failures == []
    new.build(["2026-03-01T01"])
    assert ids(new) == ["o-1", "o-2"]


def test_a_lake_that_shares_landing_learns_of_an_erasure(lake: LakeUnderTest) -> None:
    lake.land(feed())
    lake.build()
    sharing = LakeUnderTest.__new__(LakeUnderTest)
    sharing.root, sharing.ledger = lake.root / "sharing", lake.ledger
    sharing.settings = replace(lake.settings, lake=str(lake.root / "sharing" / "lake"))
    sharing.land(feed())
    sharing.build()
    assert ids(sharing) == ["e-1", "e-2", "e-3", *OTHERS]
    erase_all(lake)
    sharing.build()
    assert ids(sharing) == OTHERS


def test_a_damaged_record_of_an_erasure_stops_the_build(lake: LakeUnderTest) -> None:
    lake.land(feed())
    lake.build()
    erase_all(lake)
    (record,) = (lake.root / "landing" / "test" / "_erasures").glob("*.parquet")
    record.write_bytes(record.read_bytes()[:-9])
    elsewhere = LakeUnderTest(lake.root / "elsewhere", landing=lake.settings.landing)
    with pytest.raises(Exception, match=f"{record.name} is damaged"):
        rebuild_ledger(elsewhere.settings, elsewhere.ledger)
    assert not list((lake.root / "elsewhere").rglob("events/**/*.parquet"))


def test_a_file_that_was_altered_is_not_taken_for_blanked(erased: LakeUnderTest) -> None:
    path = erased.root / "landing" / "test" / key(1)
    path.write_bytes(path.read_bytes().replace(b"00000000001", b"00000000009"))
    erased.lose_ledger()
    again = LakeUnderTest(erased.root)
    done = rebuild_ledger(again.settings, again.ledger)
    assert [name for name, _ in done.failures] == [key(1)]


def test_correlation_ids_leave_the_index(lake: LakeUnderTest) -> None:
    lake.land({key(1): event("e-1", SECRET, cid="of-his-session") + other(1)})
    lake.build()
    erase_all(lake)
    found = [path for path in lake.root.rglob("*") if path.is_file() and b"of-his-session" in path.read_bytes()]
    assert found == []
    again = lose_ledger(lake)
    again.build()
    assert ids(again) == ["o-1"]


def test_a_check_finds_nothing_wrong_after_an_erasure(erased: LakeUnderTest) -> None:
    assert check_lake(erased.settings, erased.ledger).findings == ()


def erase_one(lake: LakeUnderTest, event_id: str) -> None:
    erase(lake.settings, lake.ledger, find_in_rows(lake.settings, [], [event_id]), "another", raw=True)


def between(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, work: Callable[[], None]) -> None:
    """Do some work, as another process may, right before the first call of a function."""
    original = getattr(owner, name)

    def first(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(owner, name, original)
        work()
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, first)


def test_a_copy_that_is_indexed_during_an_erasure_is_blanked(
    lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.put(other(1), person(), key=key(1))
    # the indexer has read the erasures, and the eraser does not know the file
    between(monkeypatch, FileLedger, "record", lambda: erase_all(lake))
    lake.put(person(), other(2), key=key(2))
    assert not any(HIS in raw for raw in landed(lake.root).values())
    assert ids(lake) == ["o-1", "o-2"]


def test_a_copy_that_is_recorded_after_the_search_of_an_erasure_is_blanked(
    lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.put(other(1), person(), key=key(1))
    between(
        monkeypatch,
        sys.modules["pismo_lake.events.erase"],
        "record_erasure",
        lambda: lake.land({key(2): person() + other(2)}),
    )
    erase_all(lake)
    lake.build()
    assert not any(HIS in raw for raw in landed(lake.root).values())
    assert ids(lake) == ["o-1", "o-2"]


def test_two_erasures_that_blank_one_file_keep_the_blanks_of_each_other(
    lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.put(person(), other(1), person("e-2"), key=key(1))
    (raw,) = (lake.root / "landing" / "test").rglob("main_stream/2026/3/1/1/a")

    def erase_other() -> None:
        # the first eraser has read the file, and is about to write it
        assert HIS in raw.read_bytes()
        between(monkeypatch, blank.storage, "write_atomic", lambda: erase_one(lake, "e-2"))

    between(monkeypatch, blank, "landed_bytes", erase_other)
    erase_one(lake, "e-1")
    assert HIS not in raw.read_bytes()
    assert ids(lake) == ["o-1"]
    index = pq.read_table(lake.root / "landing" / "test" / "_index" / f"{key(1)}.parquet", partitioning=None)
    assert [cid for cid in index.column("cid").to_pylist() if cid] == ["c-1"]
