"""Contracts come from JSON Schema and from events; their changes are recorded."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest
from tests.lakes import LakeUnderTest, event, key

from pismo_lake.contracts.contract import MAX_DEPTH, MAX_KEYS, Contract
from pismo_lake.contracts.describe import changes_of, column_lines, differences, schema_of
from pismo_lake.contracts.json_schema import SHIPPED, SchemaFolder, forget_schemas
from pismo_lake.contracts.recorded import changes_by_files
from pismo_lake.contracts.store import ContractStore
from pismo_lake.contracts.tree import MAX_COLUMNS, Kind, Node
from pismo_lake.contracts.validator import validator_of
from pismo_lake.ddl.short_names import short_names
from pismo_lake.ddl.tables import lake_tables
from pismo_lake.errors import ConfigError
from pismo_lake.index.rebuild import rebuild_ledger
from pismo_lake.report.schema_check import SchemaCheck
from pismo_lake.settings.contracts import ContractRules, Mode, parse_rules
from pismo_lake.settings.lake import DECIMAL_NAMES, FREE_FORM
from pismo_lake.settings.privacy import STRICT, PrivacyKey, load_privacy
from pismo_sandbox.feed.payloads import CATALOGUE

if TYPE_CHECKING:
    from pathlib import Path

PIX = ("pix", "pix_in-1")


def write(folder: Path, name: str, schema: Any) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(schema))
    return path


def payload(folder: Path, schema: Any) -> Node:
    write(folder, "pix/pix_in-1.json", schema)
    return SchemaFolder.open(folder).payload("pix/pix_in-1.json")


def kinds(node: Node) -> Any:
    """Return a node as plain kinds."""
    if node.kind is Kind.OBJECT:
        return {key: kinds(child) for key, child in node.fields.items()}
    return [kinds(node.item or Node())] if node.kind is Kind.LIST else str(node.kind)


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"type": "string"}, "string"), ({"type": ["integer", "null"]}, "int"), ({"type": "number"}, "decimal"),
        ({"type": ["integer", "number", "null"]}, "decimal"), ({"type": ["string", "integer"]}, "json"),
        ({"enum": ["A", None]}, "string"), ({"const": 5}, "int"), ({"enum": [1, 2.5]}, "decimal"), ({}, "null"),
        (True, "null"), ({"type": "object"}, "json"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "json"),
        ({"patternProperties": {"^x": {}}}, "json"), ({"properties": {"b": {"type": "boolean"}}}, {"b": "bool"}),
        ({"type": "object", "additionalProperties": False}, {}),
        ({"type": "array", "items": {"type": "string"}}, ["string"]),
        ({"items": of(n={"type": "integer"})}, [{"n": "int"}]), ({"type": "array"}, ["null"]),
        ({"type": "array", "items": [{"type": "integer"}, {"type": "number"}]}, ["decimal"]),
        ({"allOf": [{"type": "object"}, of(a={"type": "string"})]}, {"a": "string"}),
        ({"oneOf": [{"type": "null"}, {"type": "string"}]}, "string"),
        ({"anyOf": [{"type": "string"}, {"type": "boolean"}]}, "json"),
        ({"oneOf": [of(a={"type": "string"}), of(b={"type": "integer"})]}, {"a": "string", "b": "int"}),
        ({"type": "object", "allOf": [of(a={"type": "string"}), {"then": of(c={"type": "boolean"})}]},
         {"a": "string", "c": "bool"}),
        ({"$ref": "#/definitions/money"}, {"value": "decimal"}),
        ({"$ref": "../common/types.json#/definitions/id"}, "int"),
        ({"$ref": "#/definitions/tree"}, {"name": "string", "below": ["null"]}),
    ],
)  # fmt: skip
def test_what_a_schema_says_of_a_path(tmp_path: Path, schema: Any, kind: Any) -> None:
    write(
        tmp_path,
        "common/types.json",
        {"definitions": {"id": {"$ref": "#/definitions/whole"}, "whole": {"type": "integer"}}},
    )
    tree = of(name={"type": "string"}, below={"type": "array", "items": {"$ref": "#/definitions/tree"}})
    definitions = {"money": of(value={"type": "number"}), "tree": tree}
    assert kinds(payload(tmp_path, of(x=schema) | {"definitions": definitions})) == {"x": kind}


def test_a_schema_may_describe_the_whole_event(tmp_path: Path) -> None:
    write(tmp_path, "main-event.json", of(event_id={"type": "string"}, data={"type": "object"}))
    whole = {"allOf": [{"$ref": "../main-event.json"}, of(data=of(account_id={"type": "integer"}))]}
    assert kinds(payload(tmp_path, whole)) == {"account_id": "int"}
    assert kinds(payload(tmp_path / "other", of(data={"type": "string"}, id={"type": "integer"}))) == {
        "data": "string", "id": "int",
    }  # fmt: skip


@pytest.mark.parametrize(
    "schema",
    [{"$ref": "#/nowhere"}, {"$ref": "../../outside.json"}, {"$ref": "http://example.invalid/x.json"}, {"type": "text"},
     {"properties": {"a": {"$ref": "gone.json"}}}],
)  # fmt: skip
def test_a_schema_that_cannot_be_used_is_named(tmp_path: Path, schema: Any) -> None:
    write(tmp_path, "outside.json", {})
    with pytest.raises(ConfigError, match=r"contract .*pix_in-1\.json"):
        payload(tmp_path / "folder", schema)


def _doubling(levels: int) -> dict[str, Any]:
    """Return a small schema that means two to the power of `levels` parts."""
    steps = {f"l{n}": {"allOf": [{"$ref": f"#/definitions/l{n + 1}"}] * 2} for n in range(levels)}
    return {"definitions": steps | {f"l{levels}": {"type": "object"}}, "$ref": "#/definitions/l0"}


def _nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(levels):
        schema = {"allOf": [schema]}
    return schema


HOSTILE = {
    "only itself": ({"$ref": "#"}, "leads only back to itself"),
    "a circle of two": (
        of(x={"$ref": "#/definitions/a"})
        | {
            "definitions": {
                "a": {"allOf": [{"$ref": "#/definitions/b"}]},
                "b": {"anyOf": [{"$ref": "#/definitions/a"}]},
            }
        },
        "leads only back to itself",
    ),
    "a circle of files": ({"$ref": "pix_in-1.json"}, "leads only back to itself"),
    "doubled again and again": (_doubling(60), "more than 20000 parts, or"),
    "many levels": (_nested(300), "more than 100 levels"),
    "more levels": ('{"allOf":[' * 600 + "{}" + "]}" * 600, "depth limit|[Rr]ecursion"),
    "a link out": ({"$ref": "../common/link.json"}, "which is not in"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_schema_is_named_at_once(tmp_path: Path, name: str) -> None:
    write(tmp_path, "outside.json", of(secret={"type": "string"}))
    (tmp_path / "folder" / "common").mkdir(parents=True)
    (tmp_path / "folder" / "common" / "link.json").symlink_to(tmp_path / "outside.json")
    schema, why = HOSTILE[name]
    path = write(tmp_path / "folder", "pix/pix_in-1.json", schema)
    if isinstance(schema, str):
        path.write_text(schema)
    with pytest.raises(ConfigError, match=rf"contract .*pix_in-1\.json.*{why}"):
        SchemaFolder.open(tmp_path / "folder").payload("pix/pix_in-1.json")


def test_names_are_found_with_hyphens_and_underscores(tmp_path: Path) -> None:
    write(tmp_path, "account/status_change-2.json", of())
    assert SchemaFolder.open(tmp_path).find("account", "status-change-2") == "account/status_change-2.json"
    assert SchemaFolder.open(tmp_path).find("account", "status-change-1") is None


def test_the_shipped_schemas_are_valid_and_take_the_events_of_the_look_alike() -> None:
    import random

    shipped, r, met = SchemaFolder.open(SHIPPED), random.Random(1), 0
    for each in shipped.names.values():
        jsonschema_rs.meta.validate(shipped.document(each))
    for domain, name, version, _, make in CATALOGUE:
        schema = shipped.find(domain, f"{name}-{version}")
        if schema is None:
            continue
        met += 1
        contract = Contract(free_form=FREE_FORM, decimals=DECIMAL_NAMES)
        contract.declare(shipped.payload(schema))
        before = [change for change in contract.changes if change.after.startswith("rescued")]
        for _ in range(50):
            contract.learn(make(r), {})
        assert [change for change in contract.changes if change.after.startswith("rescued")] == before
    assert met > 15


def test_declared_columns_are_there_from_the_first_event(lake: LakeUnderTest, tmp_path: Path) -> None:
    schema = of(
        amount={"type": "number"}, fee={"type": "integer"}, payer=of(name={"type": "string"}), big={"type": "number"}
    )
    write(tmp_path / "contracts", "pix/pix_in-1.json", schema)
    lake.settings = replace(lake.settings, contracts=ContractRules(folder=str(tmp_path / "contracts"), shipped=False))
    lake.put(event("e-1", {"amount": 5, "fee": 7, "more": "x", "big": 1}))
    row = lake.row()
    assert {name for name in row if name.startswith("data__")} == {
        "data__amount", "data__fee", "data__payer__name", "data__big", "data__more",
    }  # fmt: skip
    assert (row["data__big"], type(row["data__big"])) == (Decimal(1), Decimal)
    # named like money, but a schema knows better
    assert type(row["data__fee"]) is int
    assert row["data__payer__name"] is None


def test_what_was_there_before_a_schema_stands(lake: LakeUnderTest, tmp_path: Path) -> None:
    lake.put(event("e-1", {"n": 5, "text": "x", "only_here": True}))
    write(
        tmp_path / "contracts",
        "pix/pix_in-1.json",
        of(n={"type": "number"}, text={"type": "integer"}, new={"type": "string"}),
    )
    lake.settings = replace(lake.settings, contracts=ContractRules(folder=str(tmp_path / "contracts"), shipped=False))
    lake.land({key(13): event("e-2", {"n": Decimal("1.5"), "text": 8})})
    # int to decimal: the earlier hour is built again
    assert sorted(lake.build()) == ["2026-03-01T12", "2026-03-01T13"]
    one, two = sorted(lake.rows(), key=lambda row: row["event_id"])
    assert (one["data__n"], one["data__text"]) == (Decimal(5), "x")
    assert (two["data__n"], two["data__text"], two["data__new"]) == (Decimal("1.5"), None, None)
    found = {str(item) for item in differences(ContractStore(lake.ledger, lake.settings), *PIX)}
    assert found == {
        "pix/pix_in-1 /text: schema int, lake string", "pix/pix_in-1 /only_here: schema has none, lake bool",
    }  # fmt: skip


def test_a_typed_column_keeps_its_type_whatever_schemas_say_later(lake: LakeUnderTest, tmp_path: Path) -> None:
    lake.put(event("e-0", {"day": "2026-03-01"}))
    rules = ContractRules(folder=str(tmp_path / "contracts"), shipped=False)
    lake.settings = replace(lake.settings, contracts=rules)
    for number, text in enumerate(("date", "date-time", None), 1):
        write(tmp_path / "contracts", "pix/pix_in-1.json", of(day={"type": "string", "format": text}))
        forget_schemas()
        lake.land({key(12 + number): event(f"e-{number}", {"day": "2026-03-01"})})
        lake.build()
    rows = {row["event_id"]: row.get("typed__day") for row in lake.rows()}
    assert rows == {"e-0": None} | dict.fromkeys(("e-1", "e-2", "e-3"), date(2026, 3, 1))
    changes = [change[:3] for change in changes_of(lake.ledger, lake.settings.lake, *PIX)]
    assert changes == [("/data/day", "", "string"), ("/data/day", "", "string date")]


def test_a_frozen_contract_sends_new_fields_to_rescued(lake: LakeUnderTest) -> None:
    lake.put(event("e-1", {"a": 1, "l": [{"x": 1}]}))
    lake.settings = replace(lake.settings, contracts=ContractRules(shipped=False, mode=Mode.FREEZE))
    fresh = {"a": 2, "b": {"c": Decimal("1.10")}, "l": [{"x": 2, "y": 3}]}
    lake.land({key(13): event("e-2", fresh) + event("e-3", fresh) + event("e-4", {"a": 5, "l": []})})
    lake.build()
    rows = {row["event_id"]: row for row in lake.rows()}
    rescued = json.loads(rows["e-2"]["_rescued"], parse_float=Decimal)
    assert {entry["path"]: entry["value"] for entry in rescued} == {
        "/data/b": {"c": Decimal("1.10")}, "/data/l/0/y": 3,
    }  # fmt: skip
    assert rows["e-2"]["data__l"] == [{"x": 2}]
    assert (rows["e-2"]["data__a"], rows["e-4"]["data__a"], rows["e-4"]["_rescued"]) == (2, 5, None)
    # each once, with the place of the first
    noted = [change for change in changes_of(lake.ledger, lake.settings.lake, *PIX) if "rescued" in change[2]]
    assert [(path, after, file, offset) for path, _, after, file, offset, _ in noted] == [
        ("/data/b", "rescued object", key(13), 0), ("/data/l/*/y", "rescued int", key(13), 0),
    ]  # fmt: skip


def test_discarded_fields_are_noted_and_gone(lake: LakeUnderTest) -> None:
    lake.put(event("e-1", {"a": 1, "l": [{"x": 1}]}))
    rules = ContractRules(shipped=False, modes=(("pix/*", Mode.DISCARD),))
    lake.settings = replace(lake.settings, contracts=rules)
    lake.land(
        {key(13): event("e-2", {"a": "text", "b": 1, "l": [{"x": 2, "y": 3}]}) + event("o-1", {"z": 1}, domain="other")}
    )
    lake.build()
    rows = {row["event_id"]: row for row in lake.rows()}
    # another kind is no new field: it is kept
    assert json.loads(rows["e-2"]["_rescued"]) == [{"path": "/data/a", "reason": "not_int", "value": "text"}]
    assert rows["e-2"]["data__l"] == [{"x": 2}]
    assert rows["o-1"]["data__z"] == 1
    after = {(path, after) for path, _, after, *_ in changes_of(lake.ledger, lake.settings.lake, *PIX)}
    assert {("/data/b", "discarded int"), ("/data/l/*/y", "discarded int"), ("/data/a", "rescued string")} <= after


def test_what_was_noted_survives_the_loss_of_the_ledger(lake: LakeUnderTest) -> None:
    lake.put(event("e-1", {"a": 1}), event("e-2", {"a": "x"}))
    lake.lose_ledger()
    again = LakeUnderTest(lake.root)
    rebuild_ledger(again.settings, again.ledger)
    assert ContractStore(again.ledger, again.settings).get(*PIX).noted == {"/data/a rescued string"}


def test_maps_do_not_become_columns(lake: LakeUnderTest) -> None:
    many = {f"k{number}": number for number in range(MAX_KEYS + 1)}
    lake.settings = replace(lake.settings, contracts=ContractRules(shipped=False, json_paths=("**/raw",)))
    grown = [event(f"g-{number}", {"grows": {f"k{number}": 1}}) for number in range(MAX_KEYS + 50)]
    lake.put(event("e-1", {"map": many, "raw": {"a": [1]}, "deep": {"raw": 5}}), *grown)
    rows = {row["event_id"]: row for row in lake.rows()}
    assert json.loads(rows["e-1"]["data__map"]) == many
    assert (rows["e-1"]["data__raw"], rows["e-1"]["data__deep__raw"]) == ('{"a":[1]}', "5")
    assert sum(name.startswith("data__grows__") for name in rows["e-1"]) == MAX_KEYS
    assert json.loads(rows[f"g-{MAX_KEYS + 1}"]["_rescued"])[0]["value"] == 1


def test_events_are_checked_and_nothing_is_enforced(lake: LakeUnderTest, tmp_path: Path) -> None:
    schema = of(name={"type": "string", "maxLength": 3}, kind={"enum": ["A"]}, l={"items": {"type": "integer"}})
    write(tmp_path / "contracts", "pix/pix_in-1.json", schema | {"required": ["name"], "additionalProperties": False})
    first = event("e-1", {"name": "abcd", "kind": "A"})
    lake.put(first, event("e-2", {"name": "secret", "kind": "B"}), event("e-3", {"l": [1, "x", "y"], "more": 1}),
             event("o-1", domain="other"))  # fmt: skip
    check = SchemaCheck([SchemaFolder.open(tmp_path / "contracts")])
    for record in lake.lake_files.every():
        check.add(record)
    assert check.checked == 3
    found = {(item.path, item.rule): (item.count, item.first_offset) for item in check.violations}
    second = len(first)
    assert found[("/name", "maxLength")] == (2, 0)
    assert found[("/kind", "enum")] == (1, second)
    assert found[("/l/*", "type")][0] == 2
    assert {rule for path, rule in found if not path} == {"required", "additionalProperties"}
    assert "secret" not in "".join(map(str, check.violations))
    assert len(lake.rows()) == 4


def test_an_adopted_contract_says_what_the_inferred_one_knew(lake: LakeUnderTest, tmp_path: Path) -> None:
    lake.put(
        event(
            "e-1", {"a": 1, "o": {"d": Decimal("1.5"), "s": ["x"]}, "metadata": {"k": 1}, "n": None, "l": [{"b": True}]}
        )
    )
    contract = ContractStore(lake.ledger, lake.settings).get(*PIX)
    path = write(tmp_path, "pix/pix_in-1.json", schema_of(contract, "pix pix_in-1"))
    jsonschema_rs.meta.validate(json.loads(path.read_text()))
    folder = SchemaFolder.open(tmp_path)
    assert kinds(folder.payload("pix/pix_in-1.json")) == kinds(contract.data)
    validator, whole = validator_of(folder, "pix/pix_in-1.json")
    assert (validator.is_valid({"a": 5, "l": None}), validator.is_valid({"a": "x"}), whole) == (True, False, False)


@pytest.mark.parametrize(
    ("values", "told"),
    [({"mode": "melt"}, "allowed: evolve"), ({"modes": {"a/*": "melt"}}, "allowed: evolve"), ({"colour": 1}, "colour"),
     ({"json_paths": "x"}, "json_paths"), ({"shipped": "yes"}, "shipped")],
)  # fmt: skip
def test_wrong_rules_are_told(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        parse_rules(values)


def test_the_first_pattern_that_covers_an_event_type_gives_its_mode() -> None:
    rules = parse_rules({"mode": "freeze", "modes": {"pix/*": "evolve", "**": "discard"}})
    assert rules.mode_of("pix/pix_in-1") is Mode.EVOLVE
    assert rules.mode_of("cards/update-1") is Mode.DISCARD
    assert parse_rules({"mode": "freeze"}).mode_of("cards/update-1") is Mode.FREEZE


def test_tables_have_declared_columns(lake: LakeUnderTest) -> None:
    lake.settings = replace(lake.settings, contracts=ContractRules())
    lake.put(event("e-1", {"account_id": 1}))
    (table,) = lake_tables(lake.settings.lake, ContractStore(lake.ledger, lake.settings))
    assert "data__payer__document_number" in table.schema.names


def test_the_commands(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.write_bytes(event("e-1", {"account_id": "text", "n": 1}) + event("e-2", {"n": Decimal("1.5")}))

    def run(*command: str, code: int = 0) -> str:
        arguments = [*command, "--lake", str(tmp_path / "lake")]
        done = subprocess.run(
            [sys.executable, "-m", "pismo_lake", *arguments], env={"PYTHONPATH": "include"}, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    run("flatten", str(raw), "--publish-hour", "2026-03-01T12")
    assert "pix/pix_in-1" in run("contracts", "show")
    shown = run("contracts", "show", "pix/pix_in-1")
    assert "data__account_id" in shown
    assert "int64 before" in shown
    assert "/data/account_id: int -> rescued string" in shown
    assert "/n: schema has none, lake decimal" in run("contracts", "diff")
    checked = run("contracts", "check", "--date", "2026-03-01")
    assert "/account_id: type, 1 time(s)" in checked
    run("contracts", "adopt", "pix/pix_in-1", "--into", str(tmp_path / "mine"))
    assert (tmp_path / "mine" / "pix" / "pix_in-1.json").is_file()
    assert "is there already" in run("contracts", "adopt", "pix/pix_in-1", "--into", str(tmp_path / "mine"), code=1)
    (tmp_path / "mine" / "pix" / "pix_in-1.json").write_text("{")
    assert "pix_in-1.json" in run("contracts", "check", "--contracts", str(tmp_path / "mine"), code=1)


def test_declared_dates_and_times_have_a_typed_column_beside_their_text(lake: LakeUnderTest, tmp_path: Path) -> None:
    day, time = {"type": ["string", "null"], "format": "date"}, {"type": "string", "format": "date-time"}
    inner = {"items": of(on=day)}
    write(
        tmp_path / "contracts", "pix/pix_in-1.json", of(day=day, at=of(time=time), lines=inner, code={"format": "uuid"})
    )
    lake.settings = replace(lake.settings, contracts=ContractRules(folder=str(tmp_path / "contracts"), shipped=False))
    texts = [
        ("2026-03-01", "2026-03-01T12:00:00.123456789Z"), ("2026-02-30", "2026-03-01T12:00:00"), (None, "soon"),
        ("26-3-1", "2026-03-01T09:00:00-03:00"),
    ]  # fmt: skip
    lake.put(*(event(f"e-{n}", {"day": d, "at": {"time": t}, "lines": [{"on": d}]}) for n, (d, t) in enumerate(texts)))
    rows = sorted(lake.rows(), key=lambda row: row["event_id"])
    assert [(row["data__day"], row["data__at__time"]) for row in rows] == texts
    assert [str(row["typed__day"]) for row in rows] == ["2026-03-01", "None", "None", "None"]
    assert [str(row["typed__at__time"]) for row in rows] == [
        "2026-03-01 12:00:00.123456+00:00", "None", "None", "2026-03-01 12:00:00+00:00",
    ]  # fmt: skip
    assert {name for name in rows[0] if name.startswith("typed__")} == {"typed__day", "typed__at__time"}
    (table,) = lake_tables(lake.settings.lake, ContractStore(lake.ledger, lake.settings))
    columns = column_lines(ContractStore(lake.ledger, lake.settings).of(*PIX), None)
    assert any("null if the text is no time with a zone" in column.note for column in columns)
    shorts = short_names(table.schema.names)
    assert (shorts["data__day"], shorts["typed__day"], shorts["typed__at__time"]) == ("day", "day_typed", "time_typed")


def test_a_typed_column_tells_no_more_than_a_policy_leaves(lake: LakeUnderTest, tmp_path: Path) -> None:
    schema = of(birth_date={"type": "string", "format": "date"})
    write(tmp_path / "contracts", "pix/pix_in-1.json", schema)
    rules = ContractRules(folder=str(tmp_path / "contracts"), shipped=False)
    privacy = load_privacy(STRICT, PrivacyKey("k1", b"a secret of some length"))
    lake.settings = replace(lake.settings, contracts=rules, privacy=privacy)
    lake.put(event("e-1", {"birth_date": "1990-02-28"}))
    assert (lake.row()["data__birth_date"], lake.row()["typed__birth_date"]) == ("1990", None)


def test_an_inferred_schema_allows_its_events_and_gives_the_same_kinds(tmp_path: Path) -> None:
    contract = Contract(free_form=FREE_FORM, decimals=DECIMAL_NAMES)
    deep: Any = ["x"]
    for _ in range(MAX_DEPTH):
        deep = {"a": deep}
    payloads: list[Any] = [{"metadata": "text", "deep": deep}, {"metadata": [1], "empty": {}, "none": None}]
    for each in payloads:
        contract.learn(each, {})
    schema = schema_of(contract, "pix pix_in-1")
    assert all(map(jsonschema_rs.Draft7Validator(schema).is_valid, payloads))
    again = Contract(free_form=FREE_FORM, decimals=DECIMAL_NAMES)
    again.declare(payload(tmp_path, schema))
    for each in payloads:
        again.learn(each, {})
    assert kinds(again.data) == kinds(contract.data)


def test_a_saved_contract_has_as_many_columns_as_the_one_that_learned() -> None:
    options: dict[str, Any] = {"free_form": FREE_FORM, "decimals": DECIMAL_NAMES}
    learned = Contract(**options)
    groups = {f"g{group}": {f"k{number}": 1 for number in range(280)} for group in range(5)}
    learned.learn({"lists": [[{f"k{number}": 1 for number in range(90)}]], **groups}, {})
    saved = Contract.from_json(learned.to_json(), **options)
    more = {f"n{number}": 1 for number in range(20)}
    for contract in (learned, saved):
        contract.learn(more, {})
        # the lists of lists are counted too: 90 fields, 5 groups of 280, and the 6 columns above them
        assert len(contract.data.fields) == 6 + MAX_COLUMNS - (90 + 5 * 280 + 6)


def test_new_contracts_are_saved_together_or_not_at_all(lake: LakeUnderTest) -> None:
    early, late = (ContractStore(lake.ledger, lake.settings) for _ in range(2))
    for store, domains in ((late, ("cards", "pix", "tokens")), (early, ("pix",))):
        for domain in domains:
            store.get(domain, "pix_in-1").learn({"account_id": 7}, {}, 0)
    assert early.save("a")
    assert not late.save("b")
    saved = ContractStore(lake.ledger, lake.settings)
    assert saved.names() == [PIX]
    assert [change[4] for change in changes_by_files(lake.ledger, lake.settings.lake, ["a", "b"])] == ["a"]
    # the caller learns again from the contracts of now
    for domain in ("cards", "pix", "tokens"):
        assert late.get(domain, "pix_in-1").learn({"account_id": 7}, {}, 0)
    assert late.save("b")
    assert saved.names() == [("cards", "pix_in-1"), PIX, ("tokens", "pix_in-1")]
    documents = sorted(path.parent.name for path in (lake.root / "lake" / "_contracts").glob("*/*.json"))
    assert documents == ["cards", "pix", "tokens"]
