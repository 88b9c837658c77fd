"""Each read compares landed bytes and indexes with their digests; damage is named and local."""

from __future__ import annotations

import gzip
import hashlib
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import update
from tests.lakes import LakeUnderTest, at, event, find_in_rows, key

from pismo_lake.build.units import UNIT_ERRORS
from pismo_lake.cli.main import main
from pismo_lake.errors import LakeError, LandedFileError
from pismo_lake.events.erase import erase
from pismo_lake.events.find import find_event, raw_event
from pismo_lake.hours import PublishDay
from pismo_lake.index.files import read_index_at
from pismo_lake.index.rebuild import rebuild_ledger
from pismo_lake.ledger.tables import files
from pismo_lake.local.workers import Workers
from pismo_lake.report.reconcile import reconcile

if TYPE_CHECKING:
    from pathlib import Path

DAY = "2026-03-01"


def fed(lake: LakeUnderTest, *, packed: bool = False) -> None:
    pack = (lambda raw: gzip.compress(raw, mtime=0)) if packed else bytes
    lake.land(
        {
            key(9, "altered"): pack(event("a", {"amount": 100.25}, timestamp=at(9)) + event("b", timestamp=at(9))),
            key(9, "beside"): pack(event("c", timestamp=at(9))),
            key(10, "other"): pack(event("d", timestamp=at(10))),
        }
    )


def raw_path(lake: LakeUnderTest, name: str = "altered") -> Path:
    (path,) = (path for path in (lake.root / "landing").rglob(name) if path.is_file())
    return path


def alter(path: Path, old: bytes = b"100.25", new: bytes = b"900.25") -> None:
    raw = path.read_bytes()
    packed = raw.startswith(b"\x1f\x8b")
    plain = gzip.decompress(raw) if packed else raw
    assert plain.count(old) == 1
    changed = plain.replace(old, new)
    path.write_bytes(gzip.compress(changed, mtime=0) if packed else changed)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_an_altered_file_makes_its_unit_red_and_no_other(lake: LakeUnderTest, *, packed: bool) -> None:
    fed(lake, packed=packed)
    alter(raw_path(lake))
    with Workers(lake.settings, lake.ledger, 1) as workers:
        built, failures = workers.build([f"{DAY}T09", f"{DAY}T10"], ())
    assert [each.rows for each in built] == [1]
    assert [row["event_id"] for row in lake.rows()] == ["d"]
    (error,) = failures.values()
    assert isinstance(error, LandedFileError)
    assert isinstance(error, UNIT_ERRORS)
    assert (error.key, error.permanent) == (key(9, "altered"), True)
    assert "differs from the file that was landed" in str(error)


@pytest.mark.parametrize("damage", ["altered", "cut", "gone", "empty"])
def test_every_reader_of_raw_bytes_compares_them(lake: LakeUnderTest, damage: str) -> None:
    fed(lake)
    lake.build()
    path = raw_path(lake)
    if damage == "altered":
        alter(path)
    elif damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-5] if damage == "cut" else b"")
    place = find_event(lake.settings, lake.ledger, "b")[0]
    for read in (
        lambda: raw_event(place),
        lambda: lake.build([f"{DAY}T09"], force=True),
        lambda: lake.close(DAY),
        lambda: erase(lake.settings, lake.ledger, find_in_rows(lake.settings, [], ["b"]), "test", raw=True),
    ):
        with pytest.raises(LandedFileError, match="altered"):
            read()
    # nothing of the last sound state was taken away
    assert [row["event_id"] for row in lake.rows()] == ["a", "b", "c", "d"]


def test_report_files_and_where_is_name_an_altered_file(
    lake: LakeUnderTest, capsys: pytest.CaptureFixture[str]
) -> None:
    fed(lake)
    lake.build()
    sound = raw_path(lake).read_bytes()
    alter(raw_path(lake))
    with pytest.raises(LandedFileError):
        lake.close(DAY)
    report = reconcile(lake.settings, lake.ledger, PublishDay.parse(DAY))
    named = [file for file in report.open_files if file.key == key(9, "altered")]
    assert [file.state for file in named] == ["landed, not readable"]
    assert "differs from the file that was landed" in named[0].problem
    assert not report.complete
    assert "differs from the file that was landed" in str(find_event(lake.settings, lake.ledger, "a")[0])
    place = ["--delivery", "test", "--lake", lake.settings.lake, "--landing", lake.settings.landing]
    assert main(["files", *place, "--ledger", f"sqlite:///{lake.root}/ledger.db"]) == 0
    assert f"{key(9, 'altered')}  ({key(9, 'altered')} differs from the file that was landed" in capsys.readouterr().out
    # follow the advice: ask for the key again
    raw_path(lake).unlink()
    lake.land({key(9, "altered"): sound})
    lake.close(DAY)
    report = reconcile(lake.settings, lake.ledger, PublishDay.parse(DAY))
    assert report.open_files == ()


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_blanked_file_is_read_as_before_and_an_altered_one_is_not(lake: LakeUnderTest, *, packed: bool) -> None:
    fed(lake, packed=packed)
    lake.build()
    erase(lake.settings, lake.ledger, find_in_rows(lake.settings, [], ["b"]), "test", raw=True)
    assert b"100.25" in raw_event(find_event(lake.settings, lake.ledger, "a")[0])
    assert lake.close(DAY).rows == 3
    alter(raw_path(lake))
    with pytest.raises(LandedFileError):
        lake.close(DAY, force=True)


def test_blanks_in_the_place_of_an_event_that_is_not_erased_are_no_event(lake: LakeUnderTest) -> None:
    fed(lake)
    whole = event("b", timestamp=at(9))
    alter(raw_path(lake), whole, b" " * len(whole))
    with pytest.raises(LandedFileError, match="is not erased"):
        lake.build([f"{DAY}T09"])


def test_a_rebuilt_ledger_takes_no_altered_file(lake: LakeUnderTest) -> None:
    fed(lake)
    lake.build()
    erase(lake.settings, lake.ledger, find_in_rows(lake.settings, [], ["c"]), "test", raw=True)
    alter(raw_path(lake))
    lake.lose_ledger()
    again = LakeUnderTest(lake.root)
    rebuilt = rebuild_ledger(again.settings, again.ledger)
    assert [name for name, _ in rebuilt.failures] == [key(9, "altered")]
    assert rebuilt.files == 2
    assert again.index().failures[0][0] == key(9, "altered")


def test_each_flipped_bit_of_an_index_is_seen(lake: LakeUnderTest) -> None:
    fed(lake)
    (path,) = (lake.root / "landing").rglob("_index/**/beside.parquet")
    content = path.read_bytes()
    assert len(read_index_at(str(path))) == 1
    # the whole footer, which has the digest, and a sample of the rest
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    places = [*range(0, footer * 8, 97), *range(content.rindex(b"pismo_lake.sha256") * 8 - 32, len(content) * 8, 7)]
    for place in places:
        changed = bytearray(content)
        changed[place // 8] ^= 1 << place % 8
        path.write_bytes(changed)
        with pytest.raises(LandedFileError, match=r"beside\.parquet is damaged"):
            read_index_at(str(path))


def test_a_damaged_index_stops_its_own_unit_alone(lake: LakeUnderTest) -> None:
    fed(lake)
    (path,) = (lake.root / "landing").rglob("_index/**/altered.parquet")
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)
    with Workers(lake.settings, lake.ledger, 1) as workers:
        _, failures = workers.build([f"{DAY}T09", f"{DAY}T10"], ())
    assert list(failures) == [f"{DAY}T09"]
    assert key(9, "altered") in str(failures[f"{DAY}T09"])
    assert [row["event_id"] for row in lake.rows()] == ["d"]


def test_a_file_that_is_altered_before_it_is_indexed_is_not_indexed(lake: LakeUnderTest) -> None:
    lake.land_raw({key(9, "altered"): event("a", {"amount": 100.25}), key(10): event("b")})
    alter(raw_path(lake))
    (failure,) = lake.index().failures
    assert failure[0] == key(9, "altered")
    assert "differs from the file that was landed" in failure[1]


def test_text_that_is_no_utf8_makes_no_parquet_file(lake: LakeUnderTest) -> None:
    """Even if the digest does not tell: a reader would refuse every row of the file."""
    lake.land({key(9, "altered"): b"".join(event(f"e-{n}", {"text": f"abc-{n:03}"}) for n in range(300))})
    for kept in (lake.root / "landing").rglob("*.columns"):
        kept.unlink()
    path = raw_path(lake)
    alter(path, b"abc-150", b"abc-\xff50")
    with lake.ledger.transaction() as connection:
        connection.execute(update(files).values(sha256=hashlib.sha256(path.read_bytes()).hexdigest()))
    with pytest.raises(LakeError, match="UTF-8"):
        lake.build([f"{DAY}T09"])
    assert lake.rows() == []


@pytest.mark.parametrize("lost", [True, False])
def test_a_lost_index_of_a_later_file_does_not_stop_an_earlier_one(lake: LakeUnderTest, lost: bool) -> None:
    fed(lake)
    lake.build()
    (index,) = (lake.root / "landing" / "test" / "_index").rglob("other.parquet")
    content = index.read_bytes()
    if lost:
        index.unlink()
    else:
        index.write_bytes(content[:-20])
    lake.land({key(8, "late"): event("d", timestamp=at(10)) + event("z", timestamp=at(10))})
    lake.build([f"{DAY}T08"])
    with pytest.raises(LandedFileError, match=r"other\.parquet is (gone|damaged)"):
        lake.build([f"{DAY}T10"])
    index.write_bytes(content)
    lake.build()
    assert sorted(row["event_id"] for row in lake.rows()) == ["a", "b", "c", "d", "z"]
