"""Damage a lake in each way: `check` names it and repairs it, and all rows are right again."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from sqlalchemy import delete
from tests.lakes import LakeUnderTest, at, event, is_bond, key

from pismo_lake.check import run as check_run
from pismo_lake.check.model import Finding, Kind
from pismo_lake.check.run import check_lake
from pismo_lake.cli.main import main
from pismo_lake.events.erase import Found, erase
from pismo_lake.index.rebuild import rebuild_ledger
from pismo_lake.ledger.days import DayLedger
from pismo_lake.ledger.tables import builds
from pismo_lake.local.workers import Workers
from pismo_lake.paths import SPOOL, columns_path, index_path, landing_path
from pismo_lake.settings.contracts import ContractRules
from pismo_lake.storage.leftovers import hold, hold_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DAY, NEXT = "2026-03-01", "2026-03-02"
PATTERNS = {
    "row file": f"lake/events/*/*/event_date={DAY}/test-{DAY}-p*.parquet",
    "hour file": f"lake/events/*/*/event_date={NEXT}/test-{NEXT}T05-*.parquet",
    "child table": f"lake/items/*/*/event_date={DAY}/test-{DAY}-*.parquet",
    "ids": f"lake/_ids/publish_date={DAY}/*.parquet",
    "rejects": f"lake/rejects/publish_date={DAY}/*.parquet",
    "raw": f"landing/{landing_path('test', key(3))}",
    "index": f"landing/{index_path('test', key(3))}",
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_run, "SECOND_LOOK_SECONDS", 0.0)


@pytest.fixture
def built(tmp_path: Path) -> LakeUnderTest:
    """Build a closed day with child tables and a reject, and a day of hours."""
    rules = ContractRules(shipped=False, child_tables=("**",))
    lake = LakeUnderTest(tmp_path, contracts=rules)
    files = {key(hour): event(f"e-{hour}", {"lines": [{"n": 1}, {"n": 2}]}, timestamp=at(hour)) for hour in (3, 4)}
    files[key(3)] += b'{"broken'
    files |= {key(5, day=2): event("e-5", {"lines": [{"n": 3}]}, timestamp=at(5, 2))}
    lake.land(files)
    lake.build()
    lake.close(DAY)
    return lake


def the(lake: LakeUnderTest, name: str) -> Path:
    """Return the only file of a pattern."""
    (path,) = lake.root.glob(PATTERNS[name])
    return path


def kinds(lake: LakeUnderTest, **options: bool) -> list[tuple[str, str]]:
    """Kind and file name of each finding."""
    return sorted((found.kind.value, found.path.rsplit("/", 1)[-1]) for found in findings(lake, **options))


def findings(lake: LakeUnderTest, **options: bool) -> list[Finding]:
    return list(check_lake(lake.settings, lake.ledger, **options).findings)


def everything(lake: LakeUnderTest) -> dict[str, bytes]:
    """Return the bytes of every file of lake and landing, without the lake's bond."""
    return {
        str(path.relative_to(lake.root)): path.read_bytes()
        for path in lake.root.rglob("*")
        if path.is_file() and not is_bond(path) and "ledger.db" not in path.name
    }


def test_a_sound_lake_has_no_findings(built: LakeUnderTest) -> None:
    before = everything(built)
    result = check_lake(built.settings, built.ledger, repair=True)
    assert result.findings == ()
    assert (result.outputs, result.landed) == (6, 3)
    assert str(result) == "6 output(s) and 3 landed file(s) compared with the ledger: all sound"
    assert everything(built) == before


def rewrite(path: Path, *, rows: int) -> None:
    """Keep the first rows of a Parquet file."""
    pq.write_table(pq.read_table(path, partitioning=None).slice(0, rows), path)


def shift_offsets(path: Path) -> None:
    """Change a column of an id index and nothing else."""
    table = pq.read_table(path, partitioning=None)
    place = table.column_names.index("offset")
    shifted = table.column("offset").to_pylist()[::-1]
    shifted = [offset + 1 for offset in shifted]
    pq.write_table(table.set_column(place, table.schema.field("offset"), [shifted]), path)


def change_value(path: Path) -> None:
    """Change one value of a Parquet file, and keep its schema and its number of rows."""
    table = pq.read_table(path, partitioning=None)
    place = table.column_names.index("event_id")
    ids = ["another", *table.column("event_id").to_pylist()[1:]]
    pq.write_table(table.set_column(place, table.schema.field("event_id"), [ids]), path)


def flip_metadata(path: Path) -> None:
    """Flip a bit of the name that the writer left in the footer, which no reader needs."""
    data = path.read_bytes()
    place = data.rindex(b"parquet-cpp-arrow")
    path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])


def flip(path: Path) -> None:
    """Flip one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def copy_beside(path: Path, name: str) -> None:
    path.with_name(name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, path.with_name(name))


STRAY = f"test-{DAY}T03-p0000-0123456789.parquet"
MENDED: dict[str, tuple[Callable[[LakeUnderTest], object], list[str]]] = {
    "overtaken builder's file": (lambda lake: copy_beside(the(lake, "row file"), STRAY), [Kind.UNKNOWN]),
    "somebody's file": (lambda lake: copy_beside(the(lake, "hour file"), "notes.csv"), [Kind.UNKNOWN]),
    "file of an event type that is not known": (
        lambda lake: (
            (folder := lake.root / f"lake/events/domain=x/event_type=y/event_date={DAY}").mkdir(parents=True),
            shutil.copy(the(lake, "row file"), folder / STRAY),
        ),
        [Kind.UNKNOWN],
    ),
    "unknown ids": (lambda lake: copy_beside(the(lake, "ids"), STRAY), [Kind.UNKNOWN]),
    "row file is missing": (lambda lake: the(lake, "row file").unlink(), [Kind.MISSING]),
    "hour file is missing": (lambda lake: the(lake, "hour file").unlink(), [Kind.MISSING]),
    "child table is missing": (lambda lake: the(lake, "child table").unlink(), [Kind.MISSING]),
    "ids are missing": (lambda lake: the(lake, "ids").unlink(), [Kind.MISSING]),
    "rejects are missing": (lambda lake: the(lake, "rejects").unlink(), [Kind.MISSING]),
    "row file has a changed value": (lambda lake: change_value(the(lake, "row file")), [Kind.DAMAGED]),
    "reject has a flipped bit": (lambda lake: flip_metadata(the(lake, "rejects")), [Kind.DAMAGED]),
    "row file is cut": (lambda lake: the(lake, "row file").write_bytes(b"PAR1 half of it"), [Kind.DAMAGED]),
    "ids are cut": (lambda lake: the(lake, "ids").write_bytes(b""), [Kind.DAMAGED]),
    # the child table holds more items than the rows that are left ask for
    "rows are lost": (lambda lake: rewrite(the(lake, "row file"), rows=1), [Kind.CHILD_TABLE, Kind.ROWS]),
    "rows of an hour are lost": (
        lambda lake: rewrite(the(lake, "hour file"), rows=0),
        [Kind.CHILD_TABLE, Kind.ROWS],
    ),
    "rejects are lost": (lambda lake: rewrite(the(lake, "rejects"), rows=0), [Kind.ROWS]),
    "items are lost": (lambda lake: rewrite(the(lake, "child table"), rows=3), [Kind.CHILD_TABLE]),
    "ids are lost": (lambda lake: rewrite(the(lake, "ids"), rows=1), [Kind.IDS]),
    "ids are others": (lambda lake: shift_offsets(the(lake, "ids")), [Kind.IDS]),
    "temporary output": (lambda lake: copy_beside(the(lake, "row file"), ".a.parquet.0f.tmp"), [Kind.TEMPORARY]),
    "temporary raw file": (lambda lake: copy_beside(the(lake, "raw"), ".a.0f.tmp"), [Kind.TEMPORARY]),
    "temporary index": (lambda lake: copy_beside(the(lake, "index"), ".a.parquet.0f.tmp"), [Kind.TEMPORARY]),
    "claim of a killed writer": (
        lambda lake: (
            (folder := the(lake, "raw").with_name(".a.claim")).mkdir(),
            (folder / ".0f.tmp").write_bytes(b""),
        ),
        [Kind.TEMPORARY],
    ),
    "spool of a killed close": (
        lambda lake: (
            (folder := lake.root / f"lake/_spool/test-{DAY}-0f").mkdir(parents=True),
            (folder / "00000-0000.parquet").write_bytes(b"half"),
        ),
        [Kind.TEMPORARY],
    ),
    "temporary mark": (lambda lake: (lake.root / "lake/._lake.json.0f.tmp").write_bytes(b""), [Kind.TEMPORARY]),
    "payloads of a file that is built": (
        lambda lake: (lake.root / "landing" / columns_path("test", key(3))).write_bytes(b"kept"),
        [Kind.TEMPORARY],
    ),
    "index is flipped": (lambda lake: flip(the(lake, "index")), [Kind.INDEX]),
    "index is cut": (lambda lake: the(lake, "index").write_bytes(b"PAR1"), [Kind.INDEX]),
    "index of another file": (
        lambda lake: shutil.copy(lake.root / "landing" / index_path("test", key(4)), the(lake, "index")),
        [Kind.INDEX],
    ),
    "index is missing": (lambda lake: the(lake, "index").unlink(), [Kind.MISSING_INDEX]),
    "index of nothing": (lambda lake: copy_beside(the(lake, "index"), "b.parquet"), [Kind.UNKNOWN_INDEX]),
    "index and output": (
        lambda lake: (the(lake, "index").unlink(), the(lake, "row file").unlink()),
        [Kind.MISSING, Kind.MISSING_INDEX],
    ),
}


@pytest.mark.parametrize("name", MENDED)
def test_damage_is_found_by_name_and_mended(built: LakeUnderTest, name: str) -> None:
    damage, expected = MENDED[name]
    before = everything(built)
    damage(built)
    damaged = everything(built)
    touched = {path for path in before | damaged if before.get(path) != damaged.get(path)}
    found = findings(built)
    assert sorted(finding.kind for finding in found) == expected
    assert everything(built) == damaged
    assert not any(finding.repaired or finding.done for finding in found)
    # a difference of two files may be named by the one that is sound
    assert {finding.path for finding in found} & {str(built.root / path) for path in touched}
    repaired = findings(built, repair=True)
    assert [finding.path for finding in repaired] == [finding.path for finding in found]
    assert all(finding.repaired and finding.done for finding in repaired)
    assert findings(built) == []
    assert everything(built) == before


@pytest.mark.parametrize(("unit", "files"), [(f"{NEXT}T05", 1), (DAY, 2)])
def test_a_file_whose_build_is_lost_is_built_again(built: LakeUnderTest, unit: str, files: int) -> None:
    """Its rows are not in the lake, and no file of the lake shows it."""
    before = everything(built)
    with built.ledger.transaction() as connection:
        connection.execute(delete(builds).where(builds.c.unit == unit))
    outputs = list((built.root / "lake").rglob(f"test-{unit}-*.parquet"))
    assert outputs
    for path in outputs:
        path.unlink()
    assert built.files.unbuilt_units() == []
    found = findings(built)
    assert [finding.kind for finding in found] == [Kind.NO_BUILD] * files
    assert {finding.path for finding in found} <= {record.raw_uri for record in built.lake_files.every()}
    assert all(finding.repaired for finding in findings(built, repair=True))
    assert findings(built) == []
    assert everything(built) == before


def test_a_raw_file_that_differs_is_left_with_advice(built: LakeUnderTest) -> None:
    raw = the(built, "raw")
    flip(raw)
    (found,) = findings(built, repair=True)
    assert (found.kind, found.path, found.repaired) == (Kind.RAW, str(raw), False)
    assert "ask for its object key again" in found.done
    raw.unlink()
    (found,) = findings(built, repair=True)
    assert (found.kind, found.path, found.repaired) == (Kind.MISSING_RAW, str(raw), False)
    built.land({key(3): event("e-3", {"lines": [{"n": 1}, {"n": 2}]}, timestamp=at(3)) + b'{"broken'})
    assert findings(built) == []


def test_an_output_whose_raw_file_is_gone_is_left(built: LakeUnderTest) -> None:
    the(built, "raw").unlink()
    the(built, "row file").unlink()
    left = findings(built, repair=True)
    assert sorted(found.kind for found in left) == [Kind.MISSING, Kind.MISSING_RAW]
    assert not any(found.repaired for found in left)
    assert all(found.done.startswith("left: ") for found in left)


def rebuilt_without(lake: LakeUnderTest, damage: Callable[[LakeUnderTest], None]) -> LakeUnderTest:
    """Return the lake with its ledger made again after a damage, and all units built that can be built."""
    lake.lose_ledger()
    lake = LakeUnderTest(lake.root, contracts=lake.settings.contracts)
    damage(lake)
    done = rebuild_ledger(lake.settings, lake.ledger)
    Workers(lake.settings, lake.ledger, 1).build(done.units, ())
    return lake


def lose_raw(lake: LakeUnderTest) -> None:
    the(lake, "raw").unlink()
    the(lake, "index").unlink()


def damage_raw(lake: LakeUnderTest) -> None:
    flip(the(lake, "raw"))


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lose_raw, "does not have the file, so a build would remove the only copy: run ledger rebuild with the right"),
        (damage_raw, "cannot be indexed, so a build would remove the only copy: "),
    ],
)
def test_a_unit_that_cannot_be_built_is_named_and_left(
    built: LakeUnderTest, capsys: pytest.CaptureFixture[str], damage: Callable[[LakeUnderTest], None], why: str
) -> None:
    right = the(built, "raw").read_bytes()
    lake = rebuilt_without(built, damage)
    rows = everything(lake)
    (found,) = [finding for finding in findings(lake) if finding.kind is not Kind.RAW]
    assert (found.kind, found.ledger) == (Kind.REFUSED, f"test {DAY} is to be built")
    assert found.disk.startswith(f"the lake has rows of {key(3)}, and ")
    assert why in found.disk
    (left,) = [finding for finding in findings(lake, repair=True) if finding.kind is not Kind.RAW]
    assert not left.repaired
    assert left.done.startswith(f"left: the lake has rows of {key(3)}, and ")
    assert everything(lake) == rows
    places = ("--lake", lake.settings.lake, "--landing", lake.settings.landing, "--delivery", "test")
    options = (*places, "--ledger", lake.ledger.engine.url.render_as_string(hide_password=False))
    assert main(["check", *options]) == 1
    assert f"unit cannot be built: {lake.settings.lake}: ledger: test {DAY} is to be built" in capsys.readouterr().out
    # a repair builds it as soon as the raw file is there
    raw = lake.root / PATTERNS["raw"]
    raw.write_bytes(right)
    lake.index()
    assert all(found.repaired for found in findings(lake, repair=True))
    lake.build()
    assert findings(lake) == []
    assert sorted(row["event_id"] for row in lake.rows()) == ["e-3", "e-4", "e-5"]


def test_a_unit_of_another_delivery_that_cannot_be_built_is_left_to_it(built: LakeUnderTest) -> None:
    lake = rebuilt_without(built, lose_raw)
    other = replace(lake.settings, delivery="other", landing=str(built.root / "elsewhere"))
    (left,) = check_lake(other, lake.ledger, repair=True).findings
    assert "and landing does not have the file" in left.disk
    assert "--delivery test" in left.done


def test_a_raw_file_comes_before_the_unit_that_needs_it(built: LakeUnderTest) -> None:
    right = the(built, "raw").read_bytes()
    lake = rebuilt_without(built, lose_raw)
    (lake.root / PATTERNS["raw"]).write_bytes(right)
    done = findings(lake, repair=True)
    assert {found.kind for found in done} == {Kind.UNKNOWN_RAW, Kind.REFUSED}
    assert all(found.repaired for found in done)
    assert findings(lake) == []
    assert sorted(row["event_id"] for row in lake.rows()) == ["e-3", "e-4", "e-5"]


def test_a_raw_file_that_waits_for_its_index_is_compared(built: LakeUnderTest) -> None:
    built.land_raw({key(9): event("e-9", timestamp=at(9))})
    assert findings(built) == []
    path = built.root / "landing" / landing_path("test", key(9))
    path.write_bytes(b"other")
    assert kinds(built) == [(Kind.RAW.value, "a")]
    path.unlink()
    assert kinds(built) == [(Kind.MISSING_RAW.value, "a")]


def test_a_raw_file_that_was_not_recorded_comes_into_the_lake(built: LakeUnderTest) -> None:
    """As a landing leaves it that was killed before it could say so."""
    path = built.root / "landing" / landing_path("test", key(7, day=2))
    path.parent.mkdir(parents=True)
    path.write_bytes(event("e-7", timestamp=at(7, 2)))
    assert kinds(built) == [(Kind.UNKNOWN_RAW.value, "a")]
    (found,) = findings(built, repair=True)
    assert found.repaired
    assert findings(built) == []
    assert sorted(row["event_id"] for row in built.rows()) == ["e-3", "e-4", "e-5", "e-7"]
    # one that nothing gives an hour stays
    other = path.with_name("b").rename(built.root / "landing/test/b") if path.with_name("b").exists() else None
    assert other is None
    (built.root / "landing/test/orphan").write_bytes(event("e-8"))
    (left,) = findings(built, repair=True)
    assert (left.kind, left.repaired) == (Kind.UNKNOWN_RAW, False)
    assert "publish hour" in left.done


def test_files_of_a_build_that_did_not_end_are_found_and_removed(built: LakeUnderTest) -> None:
    before = everything(built)
    stray = the(built, "row file").with_name(STRAY)
    dead = DayLedger(built.ledger, built.settings.lake, "test", DAY)
    path = str(stray.relative_to(built.root / "lake"))
    (record,) = dead.parts()
    copy_beside(the(built, "row file"), STRAY)
    token = dead.claim(0)
    assert dead.plan(0, token, [path, *record.outputs])
    assert kinds(built) == [(Kind.UNFINISHED.value, STRAY)]
    (found,) = findings(built, repair=True)
    assert found.repaired
    assert findings(built) == []
    assert everything(built) == before


def test_a_writer_at_work_is_no_finding(built: LakeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = the(built, "row file").with_name(".x.parquet.0f.tmp")
    temporary.write_bytes(b"some")
    monkeypatch.setattr(check_run.time, "sleep", lambda _: temporary.write_bytes(b"some more"))
    assert findings(built) == []
    monkeypatch.setattr(check_run.time, "sleep", lambda _: temporary.unlink())
    assert findings(built) == []


def test_marks_contracts_reports_and_ddl_count_as_known(built: LakeUnderTest) -> None:
    for path in ("_ddl/names.json", "_privacy.json.old", f"reports/publish_date={DAY}/other.json", "README.md"):
        place = built.root / "lake" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"{}")
    assert findings(built) == []


def test_an_erased_and_blanked_file_is_sound(built: LakeUnderTest) -> None:
    found = [Found("pix/pix_in-1", built.rows()[0]["org_id"], "e-3")]
    erase(built.settings, built.ledger, found, "a ticket", raw=True)
    assert findings(built) == []
    # its index cannot be made again from blanks
    the(built, "index").unlink()
    left = findings(built, repair=True)
    assert sorted(found.kind for found in left) == [Kind.MISSING_INDEX, Kind.RAW]
    assert not any(found.repaired for found in left)


def test_other_deliveries_are_checked_and_left_to_themselves(built: LakeUnderTest) -> None:
    other = replace(built.settings, delivery="other", landing=str(built.root / "elsewhere"))
    second = LakeUnderTest(built.root)
    second.settings = other
    second.land({key(6, day=2): event("e-6", timestamp=at(6, 2))})
    for unit in (f"{NEXT}T06",):
        from pismo_lake.build.day import build_unit

        build_unit(other, second.ledger, unit)
    assert findings(built) == []
    (output,) = built.root.glob(f"lake/events/*/*/*/other-{NEXT}T06-*.parquet")
    (index,) = built.root.glob("elsewhere/other/_index/**/*.parquet")
    output.unlink()
    flip(index)
    copy_beside(the(built, "row file"), f"other-{DAY}-p0000-0123456789.parquet")
    left = {found.kind: found for found in findings(built, repair=True)}
    assert left[Kind.UNKNOWN].repaired
    assert [left[kind].repaired for kind in (Kind.MISSING, Kind.INDEX)] == [False, False]
    assert "--delivery other" in left[Kind.MISSING].done
    assert all(found.repaired for found in check_lake(other, second.ledger, repair=True).findings)
    assert findings(built) == []


def test_the_command_prints_findings_and_says_how_it_ended(
    built: LakeUnderTest, capsys: pytest.CaptureFixture[str]
) -> None:
    places = ("--lake", built.settings.lake, "--landing", built.settings.landing, "--delivery", "test")
    lake = (*places, "--ledger", built.ledger.engine.url.render_as_string(hide_password=False))

    def run(*options: str) -> tuple[int, str]:
        return main(["check", *options, *lake]), capsys.readouterr().out

    code, text = run("--json")
    assert (code, json.loads(text)) == (0, [])
    copy_beside(the(built, "row file"), STRAY)
    code, text = run("--json")
    (found,) = json.loads(text)
    assert code == 1
    assert found == {
        "kind": "unknown file",
        "path": str(the(built, "row file").with_name(STRAY)),
        "ledger": "no build has recorded it",
        "disk": "it is there",
        "done": "",
        "repaired": False,
    }
    code, text = run("--repair")
    assert code == 0
    assert text.splitlines()[0].endswith("; removed")
    assert text.splitlines()[-1].endswith("1 finding(s), 1 repaired, 0 left")
    code, text = run("--repair")
    assert code == 0
    assert text.splitlines()[-1].endswith("all sound")


def test_a_file_that_a_process_is_writing_is_no_finding(built: LakeUnderTest) -> None:
    spool = built.root / "lake" / SPOOL / "test-2026-03-01-0f"
    with hold_folder(spool), the(built, "raw").with_name(".a.0f.tmp").open("wb") as temporary:
        assert hold(temporary)
        (spool / "part.parquet").write_bytes(b"PAR1")
        assert check_lake(built.settings, built.ledger, repair=True).findings == ()
        assert (spool / "part.parquet").exists()
    (left,) = check_lake(built.settings, built.ledger).findings
    assert (left.kind, left.path) == (Kind.TEMPORARY, temporary.name)
