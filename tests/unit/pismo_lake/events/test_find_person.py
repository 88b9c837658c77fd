"""Find a person under rotated keys, dropped values and lists, in rows or else in raw files."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.lakes import LakeUnderTest, at, event, find_in_rows, key

from pismo_lake.cli.main import main
from pismo_lake.errors import ConfigError
from pismo_lake.events.find_person import find_person
from pismo_lake.settings.contracts import ContractRules
from pismo_lake.settings.privacy import STRICT, PrivacyKey, load_privacy, parse_keys

if TYPE_CHECKING:
    from pathlib import Path

DOCUMENT = "00666777889"
CONDITION = [("data__document_number", DOCUMENT)]
AT = at(5)
OLD, NEW = PrivacyKey("2026-1", b"o" * 32), PrivacyKey("2026-2", b"n" * 32)


@pytest.fixture
def rotated(lake: LakeUnderTest) -> LakeUnderTest:
    """Write two hours with the person, one of them with an earlier key."""
    lake.settings = replace(lake.settings, contracts=ContractRules(shipped=False), privacy=load_privacy(STRICT, OLD))
    for hour, name, secret in ((1, "old", OLD), (2, "new", NEW)):
        lake.settings = replace(lake.settings, privacy=load_privacy(STRICT, secret))
        person, other = {"document_number": DOCUMENT, "first_name": "Anna"}, {"document_number": "11122233344"}
        lake.land({key(hour): event(f"e-{name}", person, timestamp=at(hour)) + event(f"o-{name}", other)})
        lake.build()
    return lake


def found(lake: LakeUnderTest) -> list[str]:
    return [item.event_id for item in find_person(lake.settings, lake.ledger, CONDITION).events]


def without_raw(lake: LakeUnderTest, hour: int) -> None:
    (lake.root / "landing" / "test" / key(hour)).unlink()


def test_rows_hashed_with_an_earlier_key_are_found(rotated: LakeUnderTest) -> None:
    without_raw(rotated, 1)
    rotated.settings = replace(rotated.settings, privacy=load_privacy(STRICT, NEW, (OLD,)))
    assert found(rotated) == ["e-new", "e-old"]
    assert {item.event_id for item in find_in_rows(rotated.settings, CONDITION)} == {"e-new", "e-old"}


def test_rows_of_a_lost_key_are_found_by_their_raw_files(rotated: LakeUnderTest) -> None:
    assert found(rotated) == ["e-new", "e-old"]
    person = find_person(rotated.settings, rotated.ledger, CONDITION)
    assert (person.blind, len(person.by_landing)) == ((), 1)
    with pytest.raises(ConfigError, match=r"data__document_number .*hashed with key '2026-1', which is not given"):
        find_in_rows(rotated.settings, CONDITION)


def test_values_that_a_policy_drops_and_values_of_lists_are_found_by_raw_files(rotated: LakeUnderTest) -> None:
    person = find_person(rotated.settings, rotated.ledger, [("data__first_name", "Anna")])
    assert [item.event_id for item in person.events] == ["e-new", "e-old"]
    rotated.land({key(3): event("e-list", {"people": [{"x": {"tax_id": DOCUMENT}}]}, timestamp=at(3))})
    person = find_person(rotated.settings, rotated.ledger, [("data__people__x__tax_id", DOCUMENT)])
    assert [item.event_id for item in person.events] == ["e-list"]


def test_a_raw_file_spells_a_value_as_it_likes(rotated: LakeUnderTest) -> None:
    plain = event("e-escaped", {"document_number": DOCUMENT}, timestamp=at(4))
    escaped = plain.replace(DOCUMENT.encode(), b"\\u0030" + DOCUMENT[1:].encode())
    rotated.land({key(4): escaped})
    assert "e-escaped" in found(rotated)


def test_a_dropped_number_with_an_exponent_is_found(rotated: LakeUnderTest) -> None:
    spelled = (b"12345678", b"1.2345678E7", b"1.2345678e+7", b"123456780e-1", b"1.2345679E7")
    events = [event(f"e-{at}", {"salary": "?"}, timestamp=AT).replace(b'"?"', text) for at, text in enumerate(spelled)]
    rotated.land({key(5): b"".join(events)})
    rotated.build()
    person = find_person(rotated.settings, rotated.ledger, [("data__salary", "12345678")])
    assert [item.event_id for item in person.events] == ["e-0", "e-1", "e-2", "e-3"]


def command(lake: LakeUnderTest, *more: str) -> list[str]:
    place = ["--lake", lake.settings.lake, "--landing", lake.settings.landing, "--delivery", "test"]
    where = ["--where", f"data__document_number={DOCUMENT}", "--reference", "ticket"]
    return ["erase", *where, *place, "--ledger", f"sqlite:///{lake.root}/ledger.db", *more]


def test_a_row_out_of_reach_is_named_and_the_command_fails(
    rotated: LakeUnderTest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_raw(rotated, 1)
    monkeypatch.setenv("PISMO_PRIVACY", "strict")
    monkeypatch.setenv("PISMO_PRIVACY_KEY", f"{NEW.key_id}:{NEW.secret.decode()}")
    for more in (["--dry-run"], ["--raw"]):
        assert main(command(rotated, *more)) == 1
        told = capsys.readouterr()
        assert "CANNOT BE SEARCHED" in told.err
        assert "hashed with key '2026-1', which is not given" in told.err
        assert DOCUMENT not in told.out + told.err
    assert "1 event(s) are recorded as erased" in told.out
    assert sorted(row["event_id"] for row in rotated.rows()) == ["e-old", "o-new", "o-old"]


def test_the_command_takes_earlier_keys_from_the_environment(
    rotated: LakeUnderTest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PISMO_PRIVACY", "strict")
    monkeypatch.setenv("PISMO_PRIVACY_KEY", f"{NEW.key_id}:{NEW.secret.decode()}")
    monkeypatch.setenv("PISMO_PRIVACY_EARLIER_KEYS", f"0:{'x' * 16}\n{OLD.key_id}:{OLD.secret.decode()}\n")
    assert main(command(rotated, "--raw")) == 0
    told = capsys.readouterr()
    assert "2 event(s) are recorded as erased" in told.out
    assert told.err == ""
    assert sorted(row["event_id"] for row in rotated.rows()) == ["o-new", "o-old"]


def test_a_policy_file_names_the_ids_of_earlier_keys(rotated: LakeUnderTest, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("extends: strict\nearlier_keys: ['2026-1']\n")
    rotated.settings = replace(rotated.settings, privacy=load_privacy(str(policy), NEW))
    with pytest.raises(ConfigError, match="2026-1: give them"):
        found(rotated)
    rotated.settings = replace(rotated.settings, privacy=load_privacy(str(policy), NEW, (OLD,)))
    assert found(rotated) == ["e-new", "e-old"]
    policy.write_text("extends: strict\nearlier_keys: {'2026-1': secret}\n")
    with pytest.raises(ConfigError, match="secrets are never in a file"):
        load_privacy(str(policy), NEW)


def test_a_mistyped_secret_of_a_known_key_is_noticed(rotated: LakeUnderTest) -> None:
    without_raw(rotated, 1)
    mistyped = PrivacyKey("2026-1", b"m" * 32)
    rotated.settings = replace(rotated.settings, privacy=load_privacy(STRICT, NEW, (mistyped,)))
    person = find_person(rotated.settings, rotated.ledger, CONDITION)
    assert [item.event_id for item in person.events] == ["e-new"]
    assert "another secret of key '2026-1', which is not given" in str(person.blind[0])


def test_a_key_id_with_several_secrets_needs_all_of_them(rotated: LakeUnderTest) -> None:
    again = PrivacyKey("2026-1", b"m" * 32)
    rotated.settings = replace(rotated.settings, privacy=load_privacy(STRICT, again))
    rotated.land({key(3): event("e-again", {"document_number": DOCUMENT}, timestamp=at(3))})
    rotated.build()
    for hour in (1, 2, 3):
        without_raw(rotated, hour)
    rotated.settings = replace(rotated.settings, privacy=load_privacy(STRICT, again, (NEW,)))
    person = find_person(rotated.settings, rotated.ledger, CONDITION)
    assert [item.event_id for item in person.events] == ["e-again", "e-new"]
    assert len(person.blind) == 2
    rotated.settings = replace(rotated.settings, privacy=load_privacy(STRICT, again, (NEW, OLD)))
    person = find_person(rotated.settings, rotated.ledger, CONDITION)
    assert ([item.event_id for item in person.events], person.blind) == (["e-again", "e-new", "e-old"], ())


def test_keys_are_read_line_by_line() -> None:
    keys = parse_keys(f"\n a:{'1' * 16}\nb:{'2' * 15} 2\n")
    assert [(item.key_id, item.secret) for item in keys] == [(" a", b"1" * 16), ("b", b"2" * 15 + b" 2")]
    with pytest.raises(ConfigError, match="has no colon"):
        parse_keys("secret")
