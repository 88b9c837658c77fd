"""Erase events: they are found, removed from every place, and do not come back."""

from __future__ import annotations

import gzip
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from tests.lakes import ORG, LakeUnderTest, at, event, find_in_rows, key

from pismo_lake.cli.main import main
from pismo_lake.errors import ConfigError
from pismo_lake.events.erase import erase, erase_events
from pismo_lake.events.find import find_event
from pismo_lake.hours import PublishDay
from pismo_lake.index.keys import dedupe_key
from pismo_lake.index.rebuild import rebuild_ledger
from pismo_lake.ledger import FileLedger, Ledger
from pismo_lake.ledger.erasures import Erasure, record_erasure
from pismo_lake.report.reconcile import reconcile
from pismo_lake.settings.contracts import ContractRules
from pismo_lake.settings.privacy import STRICT, PrivacyKey, load_privacy

if TYPE_CHECKING:
    from pathlib import Path

HIM = {"document": "007", "amount": Decimal("1.50"), "note": "his own words"}
OTHER = {"document": "008", "amount": Decimal("2.50"), "note": "someone else's"}


@pytest.fixture
def peopled(lake: LakeUnderTest) -> LakeUnderTest:
    """Make two hours of a closed day and an open hour, with a person's events e-1 and e-3.

    There are three copies of e-1, one with other content.
    """
    lake.land({
        key(1): event("e-1", HIM, timestamp=at(1)) + event("e-2", OTHER, timestamp=at(1)),
        key(2): event("e-1", {**HIM, "note": "his other words"}, timestamp=at(1)) + event("e-1", HIM, timestamp=at(1)),
        key(3, day=2): gzip.compress(event("e-3", HIM, timestamp=at(3, 2)) + event("e-4", OTHER, timestamp=at(3, 2))),
    })  # fmt: skip
    lake.close("2026-03-01")
    lake.build()
    return lake


def ids(lake: LakeUnderTest) -> list[str]:
    return sorted(row["event_id"] for row in lake.rows())


def test_a_person_is_gone_from_rows_and_rejects_and_counts_balance(peopled: LakeUnderTest) -> None:
    assert ids(peopled) == ["e-1", "e-2", "e-3", "e-4"]
    assert any(b"his other words" in row["raw"] for row in peopled.rejects())
    found = find_in_rows(peopled.settings, [("data__document", "007")])
    assert sorted(item.event_id for item in found) == ["e-1", "e-3"]
    done = erase(peopled.settings, peopled.ledger, found, "ticket 1")
    assert (done.units, done.left, done.raw_files) == (("2026-03-01", "2026-03-02T03"), (), 0)
    assert ids(peopled) == ["e-2", "e-4"]
    (reject,) = peopled.rejects()
    assert (reject["reason"], reject["raw"]) == ("conflicting_duplicate", None)
    report = reconcile(peopled.settings, peopled.ledger, PublishDay.parse("2026-03-01"))
    assert (report.events, report.rows, report.duplicates, report.erased) == (4, 1, 2, 1)
    assert report.balanced
    assert {place.state for place in find_event(peopled.settings, peopled.ledger, "e-1")} == {"erased"}
    assert peopled.files.unbuilt_units() == []


def test_what_is_erased_does_not_come_back(peopled: LakeUnderTest) -> None:
    erase(peopled.settings, peopled.ledger, find_in_rows(peopled.settings, [("data__document", "007")]), "ticket 1")
    # delivered once more, forced, and with the ledger lost
    peopled.land({key(5, day=2): event("e-3", HIM, timestamp=at(3, 2)) + event("e-5", OTHER, timestamp=at(5, 2))})
    peopled.build()
    peopled.close("2026-03-01", force=True)
    assert ids(peopled) == ["e-2", "e-4", "e-5"]
    peopled.lose_ledger()
    again = LakeUnderTest(peopled.root)
    rebuild_ledger(again.settings, again.ledger)
    again.build()
    again.close("2026-03-02")
    assert ids(again) == ["e-2", "e-4", "e-5"]
    assert again.close("2026-03-02").parts_built == 0


@pytest.mark.parametrize("lose_index", [False, True])
def test_raw_bytes_become_blanks_in_place(peopled: LakeUnderTest, lose_index: bool) -> None:
    found = find_in_rows(peopled.settings, [("data__document", "007")])
    sizes = {path: path.stat().st_size for path in (peopled.root / "landing").rglob("main_stream/**/2/a")}
    assert erase(peopled.settings, peopled.ledger, found, "ticket 1", raw=True).raw_files == 3
    assert sizes == {path: path.stat().st_size for path in sizes}
    for path in (peopled.root / "landing" / "test" / "main_stream").rglob("a"):
        raw = path.read_bytes()
        assert b"his " not in (gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw)
    before = peopled.rows()
    peopled.close("2026-03-01", force=True)
    peopled.build(["2026-03-02T03"], force=True)
    assert peopled.rows() == before
    if lose_index:
        # an index that is made again from blanked bytes has nothing of the person
        peopled.lose_ledger()
        again = LakeUnderTest(peopled.root)
        rebuild_ledger(again.settings, again.ledger)
        again.build()
        assert ids(again) == ["e-2", "e-4"]
        assert reconcile(again.settings, again.ledger, PublishDay.parse("2026-03-01")).balanced


def test_blanking_a_damaged_gzip_file_leaves_word_of_the_damage(lake: LakeUnderTest) -> None:
    events = [event(f"e-{n}", {"n": n, "pad": str(n * 7919) * 20}, timestamp=at(3)) for n in range(300)]
    packed = gzip.compress(b"".join(events))
    lake.land({key(3): packed[: len(packed) // 2]})
    lake.build()
    (damage,) = [row for row in lake.rejects() if row["reason"] == "gzip_damaged"]
    assert damage["raw"] == packed[: len(packed) // 2]
    erase(lake.settings, lake.ledger, find_in_rows(lake.settings, [], ["e-3"]), "ticket 1", raw=True)
    before = (len(lake.rows()), lake.reasons())
    assert [row["raw"] for row in lake.rejects() if row["reason"] == "gzip_damaged"] == [None]
    assert lake.rows()
    lake.build(["2026-03-01T03"], force=True)
    assert (len(lake.rows()), lake.reasons()) == before
    # make the index again from the blanked file
    lake.lose_ledger()
    again = LakeUnderTest(lake.root)
    rebuild_ledger(again.settings, again.ledger)
    again.build(["2026-03-01T03"], force=True)
    assert (len(again.rows()), again.reasons()) == before
    assert "e-3" not in ids(again)


@pytest.mark.parametrize("value", ["007", "Infinity", "-NaN", "1e99999999999", " 7", "7_0"])
def test_a_text_is_no_number(lake: LakeUnderTest, value: str) -> None:
    lake.put(event("e-1", {"code": 7, "amount": Decimal("7.50")}))
    assert find_in_rows(lake.settings, [("data__code", value)]) == []
    assert find_in_rows(lake.settings, [("data__amount", value)]) == []
    assert len(find_in_rows(lake.settings, [("data__code", "7")])) == 1
    assert len(find_in_rows(lake.settings, [("data__amount", "7.5")])) == 1


def test_values_are_compared_as_their_column_holds_them(peopled: LakeUnderTest) -> None:
    def found(column: str, value: str) -> list[str]:
        return sorted(item.event_id for item in find_in_rows(peopled.settings, [(column, value)]))

    assert found("data__amount", "1.5") == ["e-1", "e-3"]
    assert found("data__amount", "many") == []
    assert found("data__document", "7") == []
    assert found("cid", "c-1") == ["e-1", "e-2", "e-3", "e-4"]
    with pytest.raises(ConfigError, match="no file of the lake has a column data__nothing"):
        found("data__nothing", "x")
    assert [item.event_id for item in find_in_rows(peopled.settings, [], ["e-2", "e-9"])] == ["e-2"]


def test_a_hashed_column_is_searched_by_the_hash(lake: LakeUnderTest) -> None:
    privacy = load_privacy(STRICT, PrivacyKey("k1", b"a secret of some length"))
    lake.settings = replace(lake.settings, privacy=privacy, contracts=ContractRules(shipped=False))
    lake.put(event("e-1", {"email": "who@example.com", "nickname": "Al"}), event("e-2", {"email": "else@example.com"}))
    assert [item.event_id for item in find_in_rows(lake.settings, [("data__email", "who@example.com")])] == ["e-1"]
    with pytest.raises(ConfigError, match="under the policy"):
        find_in_rows(lake.settings, [("data__nickname", "Al")])
    with pytest.raises(ConfigError, match="under the policy"):
        find_in_rows(replace(lake.settings, privacy=None), [("data__email", "who@example.com")])


def test_units_of_another_delivery_are_left_to_it(peopled: LakeUnderTest) -> None:
    other = LakeUnderTest.__new__(LakeUnderTest)
    other.root, other.ledger = peopled.root, peopled.ledger
    other.settings = replace(peopled.settings, delivery="other")
    other.land({key(7): event("e-7", HIM, timestamp=at(7))})
    other.build(["2026-03-01T07"])
    done = erase(other.settings, other.ledger, find_in_rows(other.settings, [], ["e-7"]), "ticket 2")
    assert (done.units, ids(peopled)) == (("2026-03-01T07",), ["e-1", "e-2", "e-3", "e-4"])
    done = erase(peopled.settings, peopled.ledger, find_in_rows(peopled.settings, [("data__document", "007")]), "t")
    assert done.left == ()
    other.land({key(8): event("e-8", OTHER, timestamp=at(8)) + event("e-2", OTHER, timestamp=at(1))})
    done = erase(peopled.settings, peopled.ledger, find_in_rows(peopled.settings, [], ["e-2"]), "t")
    assert done.left == ("other 2026-03-01T08",)


@pytest.mark.parametrize("unit", ["2026-03-01T01", "2026-03-01"])
def test_a_build_that_began_before_an_erasure_does_not_record_its_rows(lake: LakeUnderTest, unit: str) -> None:
    lake.land({key(1): event("e-1", HIM, timestamp=at(1)) + event("e-2", OTHER, timestamp=at(1))})
    erasures = []

    def checkpoint(step: str) -> None:
        if step == "record" and not erasures:
            erasures.append(Erasure.new("t", "2026-03-02T00:00:00+00:00", "another run"))
            record_erasure(lake.ledger, lake.settings.lake, erasures[0], [dedupe_key(ORG, "e-1")])

    (built,) = lake.build([unit], checkpoint=checkpoint).values()
    assert erasures
    assert (built.rows, built.erased) == (1, 1)
    assert ids(lake) == ["e-2"]
    assert not [path for path in lake.root.rglob("*.parquet") if b"his own words" in path.read_bytes()]


def test_a_unit_that_cannot_be_built_does_not_keep_the_others(peopled: LakeUnderTest) -> None:
    (peopled.root / "landing" / "test" / key(1)).unlink()
    found = find_in_rows(peopled.settings, [("data__document", "007")])
    done = erase_events(peopled.settings, peopled.ledger, found, "ticket 1", raw=True)
    assert done.units == ("2026-03-02T03",)
    assert list(done.failures) == ["2026-03-01"]
    assert "is gone from landing" in str(done.failures["2026-03-01"])
    assert ids(peopled) == ["e-1", "e-2", "e-4"]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "raw").write_bytes(event("e-1", HIM) + event("e-2", OTHER))

    def run(*command: str, code: int = 0) -> str:
        ended = main([*command, "--lake", str(tmp_path / "lake")])
        said = capsys.readouterr()
        assert ended == code, said.err
        return said.out + said.err

    run("flatten", str(tmp_path / "raw"), "--publish-hour", "2026-03-01T12")
    assert "give --where" in run("erase", code=1)
    assert "--reference is missing" in run("erase", "--where", "data__document=007", code=1)
    assert "1 event(s) found, nothing is changed" in run("erase", "--where", "data__document=007", "--dry-run")
    told = run("erase", "--where", "data__document=007", "--reference", "ticket 1", "--raw")
    assert "1 event(s) are recorded as erased; 1 unit(s) built again; 1 raw file(s) blanked" in told
    assert "erased" in run("where-is", "e-1")
    with Ledger.open(f"sqlite:///{tmp_path}/lake-ledger.db") as ledger:
        assert FileLedger(ledger, str(tmp_path / "lake"), "local").unbuilt_units() == []
