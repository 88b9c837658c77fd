"""Test privacy policies: the rule that decides, and the values in all that is written."""

from __future__ import annotations

import io
import json
import logging
import random
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.lakes import ORG, LakeUnderTest, event, key

from pismo_lake.contracts.contract import Contract
from pismo_lake.decode.exact_json import loads
from pismo_lake.errors import ConfigError, LakeError
from pismo_lake.events.find import display_event, find_event
from pismo_lake.hours import PublishDay
from pismo_lake.privacy.columns import protect, protect_schema
from pismo_lake.privacy.mark import MARK
from pismo_lake.privacy.redact import Redactor
from pismo_lake.report.reconcile import reconcile
from pismo_lake.report.write import write_report
from pismo_lake.settings.lake import DECIMAL_NAMES, FREE_FORM
from pismo_lake.settings.privacy import STRICT, Privacy, PrivacyKey, load_privacy
from pismo_lake.settings.rules import Action, Rule
from pismo_sandbox.feed.payloads import CATALOGUE
from pismo_sandbox.feed.personal import CARD_NUMBERS, Planter

if TYPE_CHECKING:
    from pathlib import Path

KEY = PrivacyKey("k1", b"a secret of some length")
EVENT = "pix/pix_in-1"


def policy(*rules: Rule, card_numbers: bool = False) -> Privacy:
    return Privacy("mine", rules, card_numbers, KEY)


def decided(privacy: Privacy, path: str, event_type: str = EVENT) -> Action | None:
    rule = privacy.rule(event_type, tuple(path.split("/")))
    return rule.action if rule else None


def test_the_first_rule_that_covers_a_path_decides() -> None:
    privacy = policy(
        Rule("**/program/name", Action.KEEP), Rule("**/name", Action.DROP), Rule("applicant/personal", Action.HASH)
    )
    assert decided(privacy, "name") is Action.DROP
    assert decided(privacy, "a/b/name") is Action.DROP
    assert decided(privacy, "a/program/name") is Action.KEEP
    assert decided(privacy, "applicant/personal/deep/er") is Action.HASH
    assert decided(privacy, "x/applicant/personal") is None
    assert decided(privacy, "surname") is None


@pytest.mark.parametrize("key", ["documentNumber", "document_number", "DOCUMENT-NUMBER"])
def test_one_rule_covers_every_spelling_of_a_key(key: str) -> None:
    assert decided(policy(Rule("**/document_number", Action.HASH)), f"a/{key}") is Action.HASH


@pytest.mark.parametrize(
    ("pattern", "path", "covered"),
    [
        ("a/*/c", "a/b/c", True), ("a/*/c", "a/c", False), ("a/**/c", "a/c", True), ("a/**/c", "a/x/y/c/d", True),
        ("**/*_name", "x/card_name", True), ("**/doc*er", "docNumber", True), ("**/doc*er", "doc/number", False),
        ("**", "anything/at/all", True), ("a.b", "a_b", True), ("a", "ab", False),
    ],
)  # fmt: skip
def test_patterns(pattern: str, path: str, covered: bool) -> None:
    assert decided(policy(Rule(pattern, Action.DROP)), path) is (Action.DROP if covered else None)


def test_a_rule_may_be_for_some_event_types_only() -> None:
    privacy = policy(Rule("number", Action.DROP, event="audit/phone*"))
    assert decided(privacy, "number", "audit/phone_change-1") is Action.DROP
    assert decided(privacy, "number", "audit/phone-change-1") is Action.DROP
    assert decided(privacy, "number", "audit/card_change-1") is None


def test_what_stays_of_a_value() -> None:
    redactor = Redactor(policy(), EVENT)

    def leaf(value: Any, action: Action, last: int = 0) -> str | None:
        return redactor.leaf(value, Rule("x", action, last=last))

    assert leaf("José", Action.DROP) is None
    assert leaf(None, Action.HASH) is None
    assert leaf("12345678", Action.MASK, 4) == "****5678"
    assert leaf("1234567", Action.MASK, 4) == "****"
    assert leaf(12345678, Action.MASK, 2) == "****78"
    assert leaf("1990-02-28", Action.YEAR) == "1990"
    assert leaf("1990-02-28T00:00:00Z", Action.MONTH) == "1990-02"
    assert leaf("1990-02-28", Action.DECADE) == "1990s"
    assert leaf("28/02/1990", Action.YEAR) is None
    assert leaf("x", Action.HASH) == KEY.digest("x")
    assert len(KEY.digest("x")) == 64


def test_equal_numbers_hash_alike_whatever_their_spelling() -> None:
    redactor, rule = Redactor(policy(), EVENT), Rule("x", Action.HASH)
    assert len({redactor.leaf(value, rule) for value in (Decimal("1.50"), Decimal("1.5"), "1.5")}) == 1
    assert len({redactor.leaf(value, rule) for value in (700, Decimal("7E+2"), Decimal("700.000"), "700")}) == 1
    assert redactor.leaf(value=True, rule=rule) != redactor.leaf(1, rule)


def test_numbers_of_endless_digits_are_never_written_out() -> None:
    redactor, rule = Redactor(policy(), EVENT), Rule("x", Action.HASH)
    huge = [loads(text) for text in ("1e99999999999", "10E99999999998", "2e99999999999", "1e-99999999999")]
    assert len({redactor.leaf(value, rule) for value in huge}) == 3
    beyond = [loads(text) for text in ("1e99999999999999999999", "2e99999999999999999999")]
    assert len({redactor.leaf(value, rule) for value in beyond}) == 2


@pytest.mark.parametrize("number", CARD_NUMBERS)
def test_card_numbers_in_free_text_are_masked(number: str) -> None:
    redactor = Redactor(policy(card_numbers=True), EVENT)
    assert redactor.free_text(f"paid with {number}, thanks") == f"paid with ****{number[-4:]}, thanks"
    assert redactor.free_text(number) == f"****{number[-4:]}"


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112",  # fails the check
        "41111111111111110000",  # longer than a card number
        "0-0000-0000-0000-0000", "12345678-1234-1234-1234-123456789012", "2026-03-01T12:04:00.417790545Z",
    ],
)  # fmt: skip
def test_other_digits_in_free_text_stay(text: str) -> None:
    assert Redactor(policy(card_numbers=True), EVENT).free_text(text) == text


def test_a_payload_is_gone_through_whole() -> None:
    redactor = Redactor(policy(Rule("**/email", Action.DROP), card_numbers=True), EVENT)
    payload = {"a": [{"email": "x", "b": [CARD_NUMBERS[0], 5]}], "email": {"deep": "x"}}
    assert redactor.value(payload, ()) == {"a": [{"email": None, "b": ["****1111", 5]}], "email": None}


def test_columns_and_rescued_values_of_every_shape(lake: LakeUnderTest) -> None:
    lake.settings = replace(lake.settings, privacy=policy(
        Rule("**/document_number", Action.HASH), Rule("born", Action.YEAR), Rule("**/secret", Action.DROP),
        Rule("limit", Action.MASK, last=1), card_numbers=True,
    ))  # fmt: skip
    people = [{"document_number": "007", "n": 1, "secret": 5}, None, {"document_number": None, "secret": 6}]
    usual = {"document_number": 123, "born": "1990-02-28", "people": people, "limit": Decimal("10.50"),
             "secret": {"a": 1, "b": ["x"]}, "tags": ["4111111111111111", "plain"], "metadata": {"secret": "x", "k": 1},
             "none": None}  # fmt: skip
    odd = {"document_number": "as text", "born": 5, "people": {"document_number": "008"}, "unseen": None}
    lake.put(event("e-1", usual), event("e-2", odd), event("e-3", {**usual, "people": None, "tags": []}))
    one, two, three = sorted(lake.rows(), key=lambda row: row["event_id"])
    assert one["data__document_number"] == KEY.digest("123")
    assert one["data__born"] == "1990"
    assert one["data__people"] == [
        {"document_number": KEY.digest("007"), "n": 1, "secret": None}, None,
        {"document_number": None, "n": None, "secret": None},
    ]  # fmt: skip
    assert (one["data__limit"], one["data__secret__a"], one["data__secret__b"]) == ("****5", None, None)
    assert one["data__tags"] == ["****1111", "plain"]
    assert json.loads(one["data__metadata"]) == {"secret": None, "k": 1}
    rescued = {entry["path"]: entry["value"] for entry in json.loads(two["_rescued"])}
    assert rescued == {
        "/data/document_number": KEY.digest("as text"), "/data/born": None,
        "/data/people": {"document_number": KEY.digest("008")},
    }  # fmt: skip
    assert (three["data__people"], three["data__tags"]) == (None, [])


def test_card_numbers_in_columns_of_numbers_are_masked_in_rescued(lake: LakeUnderTest) -> None:
    lake.settings = replace(lake.settings, privacy=policy(Rule("**/own", Action.KEEP), card_numbers=True))
    card = 4111111111111111
    lake.put(
        event("e-1", {"n": 5, "amount": Decimal("1.5"), "l": [1, 2], "o": [{"a/b": 7, "x": "y"}], "own": card}),
        event("e-2", {"n": card, "amount": Decimal(f"{card}.0"), "l": [1, card, None], "o": [{"a/b": card, "x": "y"}]}),
        event("e-3", {"n": str(card), "metadata": {"k": [card]}, "text": f'{{"k":{card}}}'}, extra=card),
    )
    one, two, three = sorted(lake.rows(), key=lambda row: row["event_id"])
    assert (one["data__n"], one["data__own"], one["_rescued"]) == (5, card, None)
    assert (two["data__n"], two["data__amount"], two["data__l"]) == (None, None, [1, None, None])
    assert two["data__o"] == [{"a%2Fb": None, "x": "y"}]
    masked = {"reason": "card_number", "value": "****1111"}
    assert sorted(json.loads(two["_rescued"]), key=lambda entry: entry["path"]) == [
        {"path": "/data/amount"} | masked, {"path": "/data/l/1", "positions": [2]} | masked,
        {"path": "/data/n"} | masked, {"path": "/data/o/0/a~1b", "positions": [2]} | masked,
    ]  # fmt: skip
    assert json.loads(three["data__metadata"]) == {"k": ["****1111"]}
    assert three["data__text"] == '{"k":"****1111"}'
    assert {entry["path"]: entry["value"] for entry in json.loads(three["_rescued"])} == {
        "/data/n": "****1111", "/extra": "****1111",
    }  # fmt: skip


def test_columns_tell_what_was_done_to_them() -> None:
    contract = Contract(free_form=FREE_FORM, decimals=DECIMAL_NAMES)
    contract.learn({"document_number": 5, "people": [{"document_number": "x", "age": 3}], "name": 4}, {})
    privacy = policy(Rule("**/document_number", Action.HASH), Rule("name", Action.DROP))
    schema = protect_schema(contract, privacy, EVENT)
    notes = {b"pismo.privacy": b"hash", b"pismo.privacy_key": b"k1"}
    assert schema.field("data__document_number").metadata == notes
    assert schema.field("data__people").metadata == notes
    assert schema.field("data__name").metadata == {b"pismo.privacy": b"drop"}
    assert schema.field("data__document_number").type == pa.string()
    assert schema.field("data__name").type == pa.int64()
    assert schema.field("data__people").type.value_type.field("age").type == pa.int64()


def test_lists_keep_their_places_where_some_are_null_or_cut_off() -> None:
    contract = Contract(free_form=FREE_FORM, decimals=DECIMAL_NAMES)
    contract.learn({"l": ["a"]}, {})
    lists = [["a", "b"], None, [], ["c", None], ["d"]]
    table = pa.table({"data__l": pa.array(lists, pa.list_(pa.string())), "_rescued": pa.nulls(5, pa.string())})
    privacy = policy(Rule("l", Action.MASK, last=0))
    masked = [None if item is None else [None if text is None else "****" for text in item] for item in lists]
    assert protect(table, contract, privacy, EVENT)["data__l"].to_pylist() == masked
    assert protect(table.slice(1, 3), contract, privacy, EVENT)["data__l"].to_pylist() == masked[1:4]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rules: [{path: a, action: burn}]", "rule 1: action is 'burn', allowed: keep, drop"),
        ("rules: [{path: a}]", "rule 1: path and action are expected"),
        ("rules: [{path: a, action: hash, last: 2}]", "rule 1: last is the number"),
        ("rules: {}", "rules are a list"), ("[]", "a mapping of"), ("rulez: []", "a mapping of"),
        ("extends: lax", "extends can only be strict"), ("rules: [", "while parsing"),
        ("card_numbers: burn", "card_numbers is mask or keep"),
        ("card_numbers: [mask]", "card_numbers is mask or keep"),
        ("rules: [{path: [a, b], action: drop}]", r"rule 1: path is \['a', 'b'\], a text is expected"),
        ("rules: [{path: '', action: drop}]", "rule 1: path and action are expected"),
        ("rules: [{path: a, action: drop, event: [b]}]", "rule 1: event is .*, a text is expected"),
        ("rules: [{names: a, action: drop, alone: 'false'}]", "rule 1: alone is 'false', true or false is expected"),
        ("rules: &r [*r]", "recursive"), ("rules: !!int x", "no value of the type int"),
        ("rules: !cloud secret", "could not determine a constructor"),
    ],
)  # fmt: skip
def test_a_wrong_policy_file_is_told(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "policy.yaml").write_text(text)
    with pytest.raises(ConfigError, match=told):
        load_privacy(str(tmp_path / "policy.yaml"))


def test_a_policy_may_go_before_the_shipped_one(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("extends: strict\nrules:\n  - {path: '**/email', action: mask, last: 4, event: 'audit/*'}\n")
    privacy = load_privacy(str(file), KEY)
    assert decided(privacy, "email", "audit/phone_change-1") is Action.MASK
    assert decided(privacy, "email") is Action.HASH
    assert privacy.card_numbers
    assert not load_privacy(_file(tmp_path, "extends: strict\ncard_numbers: keep")).card_numbers


def _file(folder: Path, text: str) -> str:
    (folder / "other.yaml").write_text(text)
    return str(folder / "other.yaml")


def test_keys_are_never_shown_and_short_ones_refused() -> None:
    assert "secret" not in repr(policy())
    with pytest.raises(ConfigError, match="at least 16 bytes"):
        PrivacyKey.parse("k1:short")
    with pytest.raises(ConfigError, match="hashes: give its key"):
        load_privacy(STRICT).check_keys()


def test_a_lake_under_a_policy_is_not_written_or_shown_without_one(lake: LakeUnderTest) -> None:
    clear = lake.settings
    lake.settings = replace(clear, privacy=load_privacy(STRICT, KEY))
    lake.put(event("e-1", {"email": "who@example.com"}))
    lake.settings = clear
    before = lake.digest()
    lake.land({key(13): event("e-2", {"email": "other@example.com"})})
    with pytest.raises(ConfigError, match="under privacy policy 'strict'"):
        lake.build()
    with pytest.raises(ConfigError, match="under privacy policy 'strict'"):
        lake.close("2026-03-01")
    assert {path: lake.digest()[path] for path in before} == before
    (lake.root / "lake" / MARK).unlink()
    lake.build()
    assert len(lake.rows()) == 2


def test_another_policy_or_key_builds_anew(lake: LakeUnderTest) -> None:
    clear = lake.settings
    lake.put(event("e-1", {"document_number": "007", "n": 1}))
    assert lake.row()["data__document_number"] == "007"
    for secret in (b"the first secret, long enough", b"another secret, long enough"):
        one = PrivacyKey("k1", secret)
        lake.settings = replace(clear, privacy=load_privacy(STRICT, one))
        assert lake.build(["2026-03-01T12"])["2026-03-01T12"].parts_built == 1
        assert lake.row()["data__document_number"] == one.digest("007")
        assert lake.build(["2026-03-01T12"])["2026-03-01T12"].parts_built == 0


def test_an_earlier_version_of_a_policy_is_named_in_one_warning(
    lake: LakeUnderTest, caplog: pytest.LogCaptureFixture
) -> None:
    lake.settings = replace(lake.settings, privacy=replace(load_privacy(STRICT, KEY), rules=()))
    lake.put(event("e-1", {"surname": "Doe"}))
    assert lake.row()["data__surname"] == "Doe"
    lake.settings = replace(lake.settings, privacy=load_privacy(STRICT, KEY))
    lake.build(["2026-03-01T12"])
    lake.build(["2026-03-01T12"])
    assert lake.row()["data__surname"] is None
    (told,) = (record.getMessage() for record in caplog.records if "privacy policy" in record.getMessage())
    assert told.startswith(
        f"{lake.settings.lake} was written under privacy policy 'strict' as it was before: hours and"
    )
    assert told.endswith("days keep it until they are built again (flatten --force builds them)")


def test_an_event_is_shown_as_the_policy_leaves_it(lake: LakeUnderTest) -> None:
    lake.settings = replace(lake.settings, privacy=load_privacy(STRICT, KEY))
    lake.put(
        event("e-1", {"email": "who@example.com", "amount": Decimal("1.10")}, operator={"email": "op@example.com"}),
        b'{"event_id":"e-2","email":"who@example.com"}',
    )
    (place,) = find_event(lake.settings, lake.ledger, "e-1")
    shown = json.loads(display_event(place, lake.settings.privacy), parse_float=Decimal)
    assert shown["data"] == {"email": KEY.digest("who@example.com"), "amount": Decimal("1.10")}
    assert shown["operator"] == {"email": KEY.digest("op@example.com")}
    assert shown["org_id"] == ORG
    (place,) = find_event(lake.settings, lake.ledger, "e-2")
    with pytest.raises(LakeError, match="not an event that privacy policy strict can be applied to") as caught:
        display_event(place, lake.settings.privacy)
    assert "who@" not in str(caught.value)


def test_no_planted_value_comes_through_the_strict_policy(
    lake: LakeUnderTest, caplog: pytest.LogCaptureFixture
) -> None:
    """Search everything but the raw files: lake, index, ledger, reports, contracts, log, `show`."""
    caplog.set_level(logging.DEBUG, "pismo_lake")
    lake.settings = replace(lake.settings, privacy=load_privacy(STRICT, KEY))
    planter, r = Planter(), random.Random(3)
    raws = []
    for number in range(6):
        for domain, name, version, _, payload in CATALOGUE:
            made = planter.plant(payload(r))
            if number == 5:
                # a copy whose personal fields are of another kind than the contract's
                made = json.loads(json.dumps(made, default=str), object_hook=lambda o: {k: [v] for k, v in o.items()})
            identity = {"domain": domain, "event_type": name, "schema_version": version}
            raws.append(event(f"e-{len(raws)}", made, **identity))
            if number == 4:
                # without a policy, rejects have the bytes of a copy with the same id and other content
                raws.append(event(f"e-{len(raws) - 1}", planter.plant(payload(r)), **identity))
    note = f"card {CARD_NUMBERS[1]} of a customer"
    raws += [
        event("f-1", {"payer": {"full_name": planter.text()}, "text": note, "people": [{"email": planter.text()}]},
              domain="future", holder={"document": planter.text()}),
        event("f-2", {"payer": {"email": {"of": planter.text()}}, "error": [note]}, domain="future",
              holder=[{"phone": planter.text()}]),
        b'{"event_id":"f-3","data":{"email":"' + planter.text().encode() + b'"}}',
        b'{"event_id":"f-4","email":"' + planter.text().encode() + b'" NOT JSON }',
    ]  # fmt: skip
    lake.land({key(12): b"".join(raws[::2]), key(13): b"".join(raws[1::2])})
    built = lake.build()
    assert sum(summary.rejects for summary in built.values()) > len(CATALOGUE)
    lake.close("2026-03-01")
    write_report(lake.settings.lake, reconcile(lake.settings, lake.ledger, PublishDay.parse("2026-03-01")))
    told = caplog.text
    for identity in ("e-0", "e-40", "f-1", "f-2"):
        for place in find_event(lake.settings, lake.ledger, identity):
            told += str(place) + display_event(place, lake.settings.privacy).decode()
    searched = told.encode()
    for path in lake.root.rglob("*"):
        if path.is_file() and "/main_stream/" not in str(path).replace("/_index/main_stream/", "/"):
            searched += _content(path)
    assert b"Planted" in b"".join(path.read_bytes() for path in lake.root.glob("landing/test/main_stream/**/1*/a"))
    assert len(planter.values) > 300
    for value in (*planter.values, *CARD_NUMBERS):
        assert value.encode() not in searched, value
    assert b"****0004 of a customer" in searched


def _content(path: Path) -> bytes:
    if path.suffix != ".parquet":
        return path.read_bytes()
    sink = io.StringIO()
    file = pq.ParquetFile(path)
    print(file.schema_arrow, file.metadata.metadata, file.read().to_pylist(), file=sink)
    return sink.getvalue().encode()


def test_the_command_line_takes_the_policy_and_its_key_from_the_environment(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(event("e-1", {"email": "who@example.com"}))
    arguments = ["--lake", str(tmp_path / "lake")]

    def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pismo_lake", *command, *arguments], env={"PYTHONPATH": "include", **environment},
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    hour = ["--publish-hour", "2026-03-01T12"]
    refused = run("flatten", str(tmp_path / "raw"), *hour, "--privacy", "strict")
    assert (refused.returncode, "give its key" in refused.stderr) == (1, True)
    keyed = {"PISMO_PRIVACY": "strict", "PISMO_PRIVACY_KEY": "k1:a secret of some length"}
    assert run("flatten", str(tmp_path / "raw"), *hour, **keyed).returncode == 0
    assert KEY.digest("who@example.com") in run("show", "e-1", **keyed).stdout
    clear = run("show", "e-1")
    assert (clear.returncode, clear.stdout) == (1, "")
