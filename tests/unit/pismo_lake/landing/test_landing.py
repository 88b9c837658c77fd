"""Landing and indexing are two steps: landed files are safe, and wait for their index."""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.lakes import HOUR, LakeUnderTest, event

from pismo_lake import storage
from pismo_lake.errors import (
    AccessDenied,
    HostKeyDenied,
    KeysDenied,
    KmsDenied,
    LandedFileError,
    RoleDenied,
    SourceError,
)
from pismo_lake.hours import PublishDay
from pismo_lake.index.rebuild import rebuild_ledger
from pismo_lake.landing.land import land_files
from pismo_lake.landing.remote_file import RemoteFile, new_files
from pismo_lake.ledger.raw_files import RawLedger
from pismo_lake.ledger.sightings import Sightings
from pismo_lake.report.reconcile import reconcile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

A, B = f"{HOUR}/a", f"{HOUR}/b"
DAY = PublishDay.parse("2026-03-01")


@pytest.fixture
def lake(tmp_path: Path) -> LakeUnderTest:
    return LakeUnderTest(tmp_path)


def waiting(lake: LakeUnderTest) -> list[str]:
    return [file.name for file in RawLedger(lake.ledger, lake.settings.lake, "test").list_waiting()]


def test_what_is_landed_is_known_and_waits_for_its_index(lake: LakeUnderTest) -> None:
    landed = lake.land_raw({B: event("b"), A: event("a")}).summary
    assert (landed.files, landed.skipped, landed.publish_hours) == (2, 0, ("2026-03-01T12",))
    assert waiting(lake) == [A, B]
    assert not Sightings(lake.ledger, lake.settings.lake, "test").of_day(str(DAY))
    assert new_files([RemoteFile(A, len(event("a")))], lake.files.find_known([A])) == []
    assert lake.files.unbuilt_units() == ["2026-03-01T12"]
    assert lake.lake_files.every() == []
    indexed = lake.index()
    assert (indexed.files, indexed.events, indexed.publish_hours) == (2, 2, ("2026-03-01T12",))
    assert waiting(lake) == []
    recorded = {record.name: record.sha256 for record in lake.lake_files.every()}
    assert recorded == {name: hashlib.sha256(event(name[-1])).hexdigest() for name in (A, B)}


def test_landing_again_before_the_index_changes_nothing(lake: LakeUnderTest) -> None:
    lake.land_raw({A: event("a")})
    again = lake.land_raw({A: event("a")}).summary
    assert (again.files, again.skipped, again.bytes, again.publish_hours) == (0, 1, 0, ())
    assert waiting(lake) == [A]


def test_a_second_version_stands_beside_the_first_whether_that_is_indexed_or_not(lake: LakeUnderTest) -> None:
    for number in range(2):
        lake.land_raw({A: event(f"e-{number}")})
    assert [name.split("~")[0] for name in waiting(lake)] == [A, A]
    lake.index()
    lake.land({A: event("e-2")})
    lake.build()
    assert {row["event_id"] for row in lake.rows()} == {"e-0", "e-1", "e-2"}


def test_what_a_killed_landing_wrote_is_never_overwritten(lake: LakeUnderTest) -> None:
    """It was fetched and written; the object has changed at the source before the next try."""
    raw = lake.root / "landing" / "test" / A
    raw.parent.mkdir(parents=True)
    raw.write_bytes(event("killed"))
    assert lake.land_raw({A: event("after")}).summary.files == 1
    assert raw.read_bytes() == event("killed")
    lake.build()
    assert {row["event_id"] for row in lake.rows()} == {"killed", "after"}


def test_two_landings_of_one_object_at_once_keep_both_of_its_versions(lake: LakeUnderTest) -> None:
    """The second begins before the first has noted anything, and finds other bytes."""
    other = LakeUnderTest(lake.root)

    @contextmanager
    def fetch(file: RemoteFile) -> Iterator[Iterator[bytes]]:
        other.land_raw({file.key: event("other")})
        yield iter([event("mine")])

    land_files(lake.settings, lake.ledger, [RemoteFile(A, None)], fetch)
    lake.build()
    assert {row["event_id"] for row in lake.rows()} == {"mine", "other"}
    assert len(lake.lake_files.every()) == 2


@pytest.mark.parametrize("damage", ["gone", "other bytes"])
def test_a_landed_file_that_is_damaged_before_its_index_is_named_and_mended(lake: LakeUnderTest, damage: str) -> None:
    lake.land_raw({A: event("a"), B: event("b")})
    raw = lake.root / "landing" / "test" / A
    raw.unlink()
    if damage == "other bytes":
        raw.write_bytes(event("longer"))
    indexed = lake.index()
    assert indexed.files == 1
    ((name, problem),) = indexed.failures
    assert name == A
    assert ("gone from landing" if damage == "gone" else "differs from the file that was landed") in problem
    (open_file,) = [item for item in reconcile(lake.settings, lake.ledger, DAY).open_files if item.key == A]
    assert (open_file.state, open_file.problem) == ("landed, not indexed", problem)
    lake.build()
    assert [row["event_id"] for row in lake.rows()] == ["b"]
    raw.unlink(missing_ok=True)
    lake.land({A: event("a")})
    lake.build()
    assert sorted(row["event_id"] for row in lake.rows()) == ["a", "b"]
    assert reconcile(lake.settings, lake.ledger, DAY).open_files == ()


def test_a_damaged_file_is_permanent() -> None:
    assert LandedFileError("x", key="y").permanent


def test_a_lost_ledger_comes_back_with_what_had_no_index(lake: LakeUnderTest) -> None:
    lake.land({A: event("a")})
    lake.land_raw({B: event("b")})
    lake.lose_ledger()
    anew = LakeUnderTest(lake.root)
    assert rebuild_ledger(anew.settings, anew.ledger).files == 2
    anew.build()
    assert {row["event_id"] for row in anew.rows()} == {"a", "b"}


def test_what_holds_for_every_file_ends_the_landing(lake: LakeUnderTest) -> None:
    asked: list[str] = []

    def refuse(file: RemoteFile) -> Any:
        asked.append(file.key)
        raise RoleDenied("no role", key=file.key)

    files = [RemoteFile(f"{HOUR}/{number}", 1) for number in range(100)]
    with pytest.raises(RoleDenied):
        land_files(lake.settings, lake.ledger, files, refuse, parallel=2)
    assert len(asked) < 10


def test_a_file_is_created_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = str(tmp_path / "deep" / "file")
    assert storage.create(uri, b"first")
    assert not storage.create(uri, b"second")

    def no_links(*_: object) -> None:
        raise PermissionError("no links on this file system")

    monkeypatch.setattr(os, "link", no_links)
    assert not storage.create(uri, b"third")
    assert storage.read_bytes(uri) == b"first"
    assert storage.create(f"{uri}2", b"fourth")
    assert storage.read_bytes(f"{uri}2") == b"fourth"
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["file", "file2"]


@pytest.mark.parametrize("error", [ValueError("odd"), UnicodeDecodeError("utf-8", b"x", 0, 1, "odd"), KeyError("odd")])
def test_an_unexpected_error_of_one_file_stops_no_other_file(lake: LakeUnderTest, error: Exception) -> None:
    @contextmanager
    def fetch(file: RemoteFile) -> Iterator[Iterator[bytes]]:
        if file.key == A:
            raise error
        yield iter([event("b")])

    landing = land_files(lake.settings, lake.ledger, [RemoteFile(A, None), RemoteFile(B, None)], fetch)
    assert landing.summary.files == 1
    assert str(landing.failures[A]).startswith(f"{A}: {type(error).__name__} at test_landing.py:")
    assert "odd" not in str(landing.failures[A])


@pytest.mark.parametrize("error", [KmsDenied("no right to use the key", key=A), AccessDenied("not readable", key=A)])
def test_a_right_that_is_missing_for_one_object_stops_no_other_file(lake: LakeUnderTest, error: SourceError) -> None:
    @contextmanager
    def fetch(file: RemoteFile) -> Iterator[Iterator[bytes]]:
        if file.key == A:
            raise error
        yield iter([event("b")])

    landing = land_files(lake.settings, lake.ledger, [RemoteFile(A, None), RemoteFile(B, None)], fetch)
    assert (landing.summary.files, landing.failures) == (1, {A: error})


@pytest.mark.parametrize("error", [RoleDenied("refused"), KeysDenied("refused"), HostKeyDenied("other host")])
def test_a_refused_credential_ends_the_landing(lake: LakeUnderTest, error: SourceError) -> None:
    def fetch(file: RemoteFile) -> Any:
        raise error

    with pytest.raises(type(error)):
        land_files(lake.settings, lake.ledger, [RemoteFile(A, None), RemoteFile(B, None)], fetch)


def test_a_path_that_is_too_long_stops_no_other_file(lake: LakeUnderTest) -> None:
    long = "n/" * 3000 + HOUR + "/long"
    landing = lake.land_raw({long: event("long"), A: event("a")})
    assert (landing.summary.files, list(landing.failures)) == (1, [long])
    assert "File name too long" in str(landing.failures[long])
    assert waiting(lake) == [A]
