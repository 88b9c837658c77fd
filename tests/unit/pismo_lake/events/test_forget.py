"""Forget a landed file in ledger, landing and lake; copies that lost to it come back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.lakes import LakeUnderTest, event, key

from pismo_lake.check.run import check_lake
from pismo_lake.events.forget import forget_file
from pismo_lake.index import indexer
from pismo_lake.ledger import FileLedger

if TYPE_CHECKING:
    from pathlib import Path

DAY = "2026-03-01"


def ids(lake: LakeUnderTest) -> list[str]:
    return sorted(row["event_id"] for row in lake.rows())


def leftovers(lake: LakeUnderTest, name: str) -> list[str]:
    """Files of landing whose names have this part."""
    return [str(path) for path in (lake.root / "landing").rglob("*") if path.is_file() and f"/{name}" in str(path)]


@pytest.fixture(params=[False, True], ids=["open", "closed"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> LakeUnderTest:
    """Two hours; `both` is in two of their files, and the copy of file a wins."""
    lake = LakeUnderTest(tmp_path)
    both = event("both", {"account_id": 7})
    lake.land({key(9, "a"): event("a") + both, key(9, "b"): event("b"), key(10, "c"): both + event("c")})
    lake.build()
    if request.param:
        lake.close(DAY)
    assert ids(lake) == ["a", "b", "both", "c"]
    return lake


def test_its_rows_go_and_copies_that_lost_to_it_come_back(lake: LakeUnderTest) -> None:
    done = forget_file(lake.settings, lake.ledger, key(9, "a"))
    assert done is not None
    assert done.removed
    assert ids(lake) == ["b", "both", "c"]
    assert leftovers(lake, "a") == []
    assert leftovers(lake, "b") != []
    assert lake.files.find_known([key(9, "a")]) == {}
    assert lake.files.unbuilt_units() == []
    assert forget_file(lake.settings, lake.ledger, key(9, "a")) is None


def test_the_last_file_of_all(lake: LakeUnderTest) -> None:
    for name in (key(9, "a"), key(9, "b"), key(10, "c")):
        assert forget_file(lake.settings, lake.ledger, name) is not None
    assert ids(lake) == []
    assert lake.files.unbuilt_units() == []
    assert not list((lake.root / "lake" / "events").rglob("*.parquet"))


def test_it_is_landed_again_as_a_file_that_was_never_there(lake: LakeUnderTest) -> None:
    before = {path: digest for path, digest in lake.digest().items() if "/events/" in path}
    forget_file(lake.settings, lake.ledger, key(9, "a"))
    lake.land({key(9, "a"): event("a") + event("both", {"account_id": 7})})
    lake.build()
    assert ids(lake) == ["a", "b", "both", "c"]
    assert {path for path in lake.digest() if "/events/" in path} == before.keys()


def test_a_lost_index_is_no_hindrance(lake: LakeUnderTest) -> None:
    (lake.root / "landing" / "test" / "_index" / f"{key(9, 'a')}.parquet").unlink()
    assert forget_file(lake.settings, lake.ledger, key(9, "a")) is not None
    assert ids(lake) == ["b", "both", "c"]


def test_a_kill_between_ledger_and_landing_is_mended_by_a_second_call(
    lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pismo_lake.events.forget.storage.remove", killed)
        with pytest.raises(KeyboardInterrupt):
            forget_file(lake.settings, lake.ledger, key(9, "a"))
    assert leftovers(lake, "a") != []
    done = forget_file(lake.settings, lake.ledger, key(9, "a"))
    assert done is not None
    assert leftovers(lake, "a") == []
    lake.build()
    assert ids(lake) == ["b", "both", "c"]


def test_a_file_without_an_index_and_one_that_was_only_seen(tmp_path: Path) -> None:
    from pismo_lake.ledger.sightings import Sightings

    lake = LakeUnderTest(tmp_path)
    lake.land_raw({key(9, "a"): event("a")})
    sightings = Sightings(lake.ledger, lake.settings.lake, "test")
    sightings.note([key(9, "a")], "listed")
    assert forget_file(lake.settings, lake.ledger, key(9, "a")) is not None
    assert leftovers(lake, "a") == []
    assert sightings.of_day(DAY) == []
    assert forget_file(lake.settings, lake.ledger, key(9, "never")) is None


def test_the_bytes_stay_while_another_lake_has_them(lake: LakeUnderTest) -> None:
    from dataclasses import replace

    from pismo_lake.index.run import index_landed
    from pismo_lake.ledger.raw_files import RawFile, RawLedger

    other = replace(lake.settings, lake=f"{lake.root}/lake2")
    (raw,) = leftovers(lake, "test/main_stream/2026/3/1/9/a")
    RawLedger(lake.ledger, other.lake, "test").note([RawFile(key(9, "a"), key(9, "a"), 1, None, None, raw)])
    assert index_landed(other, lake.ledger).files in {0, 1}
    done = forget_file(lake.settings, lake.ledger, key(9, "a"))
    assert done is not None
    assert not done.removed
    assert leftovers(lake, "test/main_stream/2026/3/1/9/a") == [raw]
    assert ids(lake) == ["b", "both", "c"]


@pytest.mark.parametrize("step", ["read", "record"])
def test_a_file_that_is_forgotten_while_it_is_indexed_stays_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    lake = LakeUnderTest(tmp_path)
    lake.land_raw({key(9, "a"): event("a"), key(9, "b"): event("b")})
    owner: object = FileLedger if step == "record" else indexer
    original = getattr(owner, name := "record" if step == "record" else "write_index")

    def first(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(owner, name, original)
        assert forget_file(lake.settings, lake.ledger, key(9, "a")) is not None
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, first)
    assert lake.index().failures == ()
    assert leftovers(lake, "a") == []
    lake.build()
    assert ids(lake) == ["b"]
    assert check_lake(lake.settings, lake.ledger).findings == ()
    # it is landed again as a new file
    lake.land({key(9, "a"): event("a")})
    lake.build()
    assert ids(lake) == ["a", "b"]
