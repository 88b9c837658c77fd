"""Land object keys that are almost the same: no file replaces or hides another one."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from tests.lakes import LakeUnderTest, event

from pismo_lake import paths
from pismo_lake.build.day import build_unit
from pismo_lake.check import run as check_run
from pismo_lake.check.run import check_lake
from pismo_lake.events.forget import forget_file
from pismo_lake.index.rebuild import rebuild_ledger
from pismo_lake.ledger.raw_files import RawLedger
from pismo_lake.paths import is_event_file, key_of_path, landing_root, safe_key

if TYPE_CHECKING:
    from pathlib import Path

    from pismo_lake.ledger import FileRecord

DAY = "2026-03-01"
PLAIN = "main_stream/2026/3/1/9/b"
ALIKE = (
    PLAIN,
    "main_stream//2026/3/1/9/b",
    "main_stream///2026/3/1/9/b",
    f"/{PLAIN}",
    f"//{PLAIN}",
    f"./{PLAIN}",
    f"../{PLAIN}",
    "main_stream/./2026/3/1/9/b",
    "main_stream/../2026/3/1/9/b",
    "main_stream/%/2026/3/1/9/b",
    "main_stream/%2E/2026/3/1/9/b",
    "main_stream/%25/2026/3/1/9/b",
    "main_stream/2026/3/1/9/.b",
    "main_stream/2026/3/1/9/B",
    "Main_stream/2026/3/1/9/b",
)


@pytest.fixture
def lake(tmp_path: Path) -> LakeUnderTest:
    return LakeUnderTest(tmp_path)


def records(lake: LakeUnderTest) -> list[FileRecord]:
    return sorted(lake.files.of_day(DAY), key=lambda record: record.name)


def sources(lake: LakeUnderTest) -> dict[str, str]:
    """Return the file of each event in the lake."""
    found = [(row["event_id"], row["_source_file"]) for row in lake.rows()]
    assert len(found) == len(dict(found))
    return dict(found)


def test_no_two_keys_have_one_path() -> None:
    segments = ("", ".", "..", "a", "%", "%2E", "%25", "_index")
    keys = ["/".join(each) for length in (1, 2, 3, 4) for each in itertools.product(segments, repeat=length)]
    found = {safe_key(key): key for key in keys}
    assert len(found) == len(set(keys))
    # a disk would leave out an empty segment, and would follow the others
    assert not any(part in {"", ".", ".."} for path in found for part in path.split("/"))
    assert all(key_of_path(path) == key for path, key in found.items())
    assert not is_event_file(f"{PLAIN}/")


def test_a_key_without_an_empty_segment_keeps_its_path() -> None:
    assert safe_key(PLAIN) == PLAIN
    assert safe_key("_index/a b") == "%5Findex/a%20b"
    assert safe_key("") == "%"


@pytest.mark.parametrize("together", [True, False])
def test_files_of_keys_that_are_almost_the_same_are_all_landed(lake: LakeUnderTest, together: bool) -> None:
    files = {key: event(f"e-{number}") for number, key in enumerate(ALIKE)}
    chunks = [files] if together else [{key: content} for key, content in files.items()]
    for chunk in chunks:
        taken = lake.land(chunk)
        assert (taken.files, taken.events) == (len(chunk), len(chunk))
    lake.build()
    assert sources(lake) == {f"e-{number}": key for number, key in enumerate(ALIKE)}
    assert {record.key: (lake.root / record.raw_uri).read_bytes() for record in records(lake)} == files
    assert len({record.index_uri for record in records(lake)}) == len(ALIKE)
    assert lake.land(files).skipped == len(ALIKE)


def test_a_lost_ledger_finds_each_key_again(lake: LakeUnderTest) -> None:
    lake.land({key: event(f"e-{number}") for number, key in enumerate(ALIKE)})
    lake.build()
    wanted = sources(lake)
    for path in (lake.root / "landing" / "test" / "_index").rglob("*.parquet"):
        path.unlink()
    lake.lose_ledger()
    lake = LakeUnderTest(lake.root)
    for unit in rebuild_ledger(lake.settings, lake.ledger).units:
        build_unit(lake.settings, lake.ledger, unit)
    assert sources(lake) == wanted
    assert [record.key for record in records(lake)] == sorted(ALIKE)


def earlier_path(key: str) -> str:
    return "/".join(paths.safe_segment(segment) for segment in key.split("/") if segment)


@pytest.mark.parametrize("content", ["new", "old"])
def test_a_file_that_an_earlier_version_landed_is_found(
    lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    monkeypatch.setattr(check_run, "SECOND_LOOK_SECONDS", 0.0)
    odd, waiting = "main_stream//2026/3/1/9/b", "main_stream//2026/3/1/10/c"
    with monkeypatch.context() as earlier:
        earlier.setattr(paths, "safe_key", earlier_path)
        lake.land({odd: event("old")})
        lake.build()
        lake.land_raw({waiting: event("waits")})
    (record,) = records(lake)
    assert record.raw_uri.endswith(f"/test/{PLAIN}")
    assert landing_root(record.raw_uri, "test", odd) == f"{lake.settings.landing}/test"
    assert lake.land({odd: event("old"), waiting: event("waits")}).skipped == 2
    # the path of the key without an empty segment is in use: this file gets a name with its digest
    assert lake.land({PLAIN: event(content)}).files == 1
    lake.build()
    named = [record.name for record in records(lake)]
    assert named[:2] == [waiting, odd]
    assert named[2].startswith(f"{PLAIN}~")
    assert len(named) == len({record.raw_uri for record in records(lake)}) == 3
    assert set(sources(lake)) == {"old", content, "waits"}
    assert check_lake(lake.settings, lake.ledger).findings == ()
    lake.lose_ledger()
    lake = LakeUnderTest(lake.root)
    for unit in rebuild_ledger(lake.settings, lake.ledger).units:
        build_unit(lake.settings, lake.ledger, unit)
    assert set(sources(lake)) == {"old", content, "waits"}


def test_a_raw_file_of_two_keys_stays_while_one_of_them_needs_it(
    lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(paths, "safe_key", earlier_path)
        earlier.setattr(RawLedger, "is_of_other_key", lambda *_: False)
        lake.land({PLAIN: event("a")})
        lake.land({"main_stream//2026/3/1/9/b": event("a")})
    lake.build()
    assert len({record.raw_uri for record in records(lake)}) == 1
    done = forget_file(lake.settings, lake.ledger, "main_stream//2026/3/1/9/b")
    assert done is not None
    assert not done.removed
    assert sources(lake) == {"a": PLAIN}
