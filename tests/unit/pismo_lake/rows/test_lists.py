"""Lists of payloads become list columns, with misfits rescued, or child tables."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow.parquet as pq
import pytest
from tests.lakes import LakeUnderTest, at, event, find_in_rows, key

from pismo_lake.contracts.store import ContractStore
from pismo_lake.ddl.statements import statements
from pismo_lake.ddl.tables import lake_tables
from pismo_lake.errors import ConfigError
from pismo_lake.events.erase import erase
from pismo_lake.hours import PublishDay
from pismo_lake.report.reconcile import reconcile
from pismo_lake.settings.contracts import ContractRules, Mode, parse_rules
from pismo_lake.settings.privacy import Privacy, PrivacyKey
from pismo_lake.settings.rules import Action, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

APART = ContractRules(shipped=False, child_tables=("**/customers", "codes"))
TWO = [
    {"name": "Ana", "document": "007", "address": {"city": "Recife"}, "phones": ["1", "2"]},
    {"name": "Bia", "document": "008", "share": Decimal("0.50")},
]


def rescued(row: dict[str, Any]) -> str:
    return str(row["_rescued"])


def test_an_item_that_does_not_fit_leaves_the_others_in_the_list(lake: LakeUnderTest) -> None:
    lake.put(
        event("e-1", {"parts": [{"n": 1, "tags": ["a"]}], "codes": [1, 2]})
        + event("e-2", {"parts": [{"n": 2}, {"n": "two", "tags": ["b", 7]}, "three", {}], "codes": [3, "x", None]})
    )
    _, row = lake.rows()
    assert row["data__parts"] == [{"n": 2, "tags": None}, {"n": None, "tags": ["b", None]}, None, None]
    assert row["data__codes"] == [3, None, None]
    assert lake_entries(row) == [
        ("/data/parts/1/n", [2], "not_int", "two"),
        ("/data/parts/1/tags/1", [2, 4], "not_string", 7),
        ("/data/parts/2", [2], "not_object", "three"),
        ("/data/parts/3", [2], "empty_object", {}),
        ("/data/codes/1", [2], "not_int", "x"),
    ]


def lake_entries(row: dict[str, Any]) -> list[tuple[Any, ...]]:
    from pismo_lake.decode.exact_json import loads

    return [tuple(entry[name] for name in ("path", "positions", "reason", "value")) for entry in loads(row["_rescued"])]


def test_a_frozen_contract_rescues_the_new_field_of_an_item_alone(tmp_path: Path) -> None:
    lake = LakeUnderTest(tmp_path)
    lake.put(event("e-1", {"parts": [{"n": 1}]}))
    lake.settings = replace(lake.settings, contracts=ContractRules(shipped=False, mode=Mode.FREEZE))
    lake.put(event("e-2", {"parts": [{"n": 2, "new": True}, {"n": 3}]}), key=key(13))
    rows = {row["event_id"]: row for row in lake.rows()}
    assert rows["e-2"]["data__parts"] == [{"n": 2}, {"n": 3}]
    assert lake_entries(rows["e-2"]) == [("/data/parts/0/new", [2], "no_column", True)]


def test_a_policy_finds_what_was_rescued_from_a_list(tmp_path: Path) -> None:
    privacy = Privacy(
        "any", (Rule("customers/document", Action.DROP),), False, PrivacyKey("k", b"a secret of some length")
    )
    lake = LakeUnderTest(tmp_path, privacy=privacy)
    lake.put(
        event("e-1", {"customers": [{"document": "007"}]}) + event("e-2", {"customers": [{"document": 8}, {"3": {}}]})
    )
    rows = {row["event_id"]: row for row in lake.rows()}
    assert lake_entries(rows["e-2"])[0] == ("/data/customers/0/document", [2], "not_string", None)


@pytest.fixture
def apart(tmp_path: Path) -> LakeUnderTest:
    """Return customers of accounts in a table of their own, over two hours."""
    lake = LakeUnderTest(tmp_path, contracts=APART)
    lake.land(
        {
            key(1): event("e-1", {"account_id": 1, "customers": TWO, "codes": [5, None]}, timestamp=at(1))
            + event("e-2", {"account_id": 2, "customers": []}, timestamp=at(1))
            + event("e-3", {"account_id": 3}, timestamp=at(1)),
            # a duplicate, and a customer that does not fit
            key(2): event("e-1", {"account_id": 1, "customers": TWO, "codes": [5, None]}, timestamp=at(1))
            + event("e-4", {"account_id": 4, "customers": [{"name": 9, "document": "009"}]}, timestamp=at(2)),
        }
    )
    lake.build()
    return lake


def items(lake: LakeUnderTest, name: str) -> list[dict[str, Any]]:
    folder = lake.root / "lake" / "items" / "domain=pix" / f"event_type=pix_in-1__{name}"
    rows = [row for path in sorted(folder.rglob("*.parquet")) for row in pq.ParquetFile(path).read().to_pylist()]
    return sorted(rows, key=lambda row: (row["event_id"], row["position"]))


def test_child_tables_are_configured_by_patterns() -> None:
    rules = parse_rules({"child_tables": ["**/customers", "lines"]})
    asked = [("customers",), ("a", "Customers"), ("lines",), ("a", "lines"), ("code",)]
    assert [rules.is_child_table(keys) for keys in asked] == [True, True, True, False, False]
    with pytest.raises(ConfigError, match=r"contracts\.child_tables is 'lines', a list is expected"):
        parse_rules({"child_tables": "lines"})


def test_lists_have_tables_of_their_own(apart: LakeUnderTest) -> None:
    customers = items(apart, "customers")
    shown = [(row["event_id"], row["position"], row["data__customers__name"]) for row in customers]
    assert shown == [("e-1", 0, "Ana"), ("e-1", 1, "Bia"), ("e-4", 0, None)]
    assert customers[0]["data__customers__address__city"] == "Recife"
    assert customers[0]["data__customers__phones"] == ["1", "2"]
    assert customers[1]["data__customers__share"] == Decimal("0.50")
    codes = [(row["event_id"], row["position"], row["data__codes"]) for row in items(apart, "codes")]
    assert codes == [("e-1", 0, 5), ("e-1", 1, None)]
    rows = {row["event_id"]: row for row in apart.rows()}
    assert [rows[name]["count__customers"] for name in ("e-1", "e-2", "e-3", "e-4")] == [2, 0, None, 1]
    assert "data__customers" not in rows["e-1"]
    assert lake_entries(rows["e-4"]) == [("/data/customers/0/name", [2], "not_string", 9)]


def test_types_and_lists_whose_names_run_together_have_tables_of_their_own(tmp_path: Path) -> None:
    lake = LakeUnderTest(tmp_path, contracts=ContractRules(child_tables=("**",)))
    lake.put(
        event("e-1", {"c": [1, 2]}, event_type="a__b", schema_version=None),
        event("e-2", {"b": {"c": [3]}}, event_type="a", schema_version=None),
        event("e-3", {"c": [4]}, event_type="a_", schema_version=None),
        event("e-4", {"_c": [5]}, event_type="a", schema_version=None),
    )
    paths = sorted((tmp_path / "lake" / "items").rglob("*.parquet"))
    assert len({path.parent.parent.name for path in paths}) == 4
    tables = [pq.ParquetFile(path).read(["event_id", "position"]).to_pylist() for path in paths]
    assert sorted((row["event_id"], row["position"]) for rows in tables for row in rows) == [
        ("e-1", 0), ("e-1", 1), ("e-2", 0), ("e-3", 0), ("e-4", 0)
    ]  # fmt: skip


def test_child_tables_are_built_closed_and_counted_like_their_events(apart: LakeUnderTest) -> None:
    before = items(apart, "customers")
    apart.close("2026-03-01")
    assert items(apart, "customers") == before
    assert len(list((apart.root / "lake" / "items").rglob("*customers/*/*.parquet"))) == 1
    digest = apart.digest()
    assert apart.close("2026-03-01").parts_built == 0
    assert apart.digest() == digest
    report = reconcile(apart.settings, apart.ledger, PublishDay.parse("2026-03-01"))
    assert (report.events, report.rows, report.duplicates) == (5, 4, 1)
    assert report.balanced


def test_a_list_moves_between_column_and_table_when_the_rules_change(apart: LakeUnderTest) -> None:
    apart.settings = replace(apart.settings, contracts=ContractRules(shipped=False))
    apart.build({"2026-03-01T01", "2026-03-01T02"})
    assert items(apart, "customers") == []
    rows = {row["event_id"]: row for row in apart.rows()}
    assert [customer["name"] for customer in rows["e-1"]["data__customers"]] == ["Ana", "Bia"]
    apart.settings = replace(apart.settings, contracts=APART)
    apart.build({"2026-03-01T01", "2026-03-01T02"})
    assert len(items(apart, "customers")) == 3


def test_a_policy_holds_in_child_tables(tmp_path: Path) -> None:
    rules = (Rule("**/document", Action.HASH), Rule("**/name", Action.MASK))
    lake = LakeUnderTest(
        tmp_path, contracts=APART, privacy=Privacy("any", rules, False, PrivacyKey("k", b"some length of secret"))
    )
    lake.put(event("e-1", {"customers": TWO}))
    first, second = items(lake, "customers")
    assert (first["data__customers__name"], second["data__customers__name"]) == ("****", "****")
    assert first["data__customers__document"] not in ("007", None)
    (path,) = (lake.root / "lake" / "items").rglob("*.parquet")
    schema = pq.read_schema(path)
    assert schema.field("data__customers__document").metadata[b"pismo.privacy_key"] == b"k"
    assert b"pismo.privacy" not in (schema.field("data__customers__share").metadata or {})


@pytest.mark.parametrize("rules", [APART, ContractRules(shipped=False)])
def test_a_person_in_a_list_is_found_and_erased(tmp_path: Path, rules: ContractRules) -> None:
    lake = LakeUnderTest(tmp_path, contracts=rules)
    lake.put(event("e-1", {"customers": TWO, "codes": [1]}) + event("e-2", {"customers": TWO[:1], "codes": [2]}))
    assert [f.event_id for f in find_in_rows(lake.settings, [("data__codes", "2")])] == ["e-2"]
    found = find_in_rows(lake.settings, [("data__customers__document", "008")])
    assert [item.event_id for item in found] == ["e-1"]
    erase(lake.settings, lake.ledger, found, "ticket 7")
    assert [row["event_id"] for row in lake.rows()] == ["e-2"]
    assert not [row for row in items(lake, "customers") if row["event_id"] == "e-1"]
    with pytest.raises(ConfigError, match="no file of the lake has a column data__customers__nobody"):
        find_in_rows(lake.settings, [("data__customers__nobody", "1")])


@pytest.fixture
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def test_tables_and_views_of_child_tables_run(apart: LakeUnderTest, engine: duckdb.DuckDBPyConnection) -> None:
    tables = lake_tables(apart.settings.lake, ContractStore(apart.ledger, apart.settings))
    assert [table.name for table in tables] == ["pix__pix_in_1", "pix__pix_in_1__codes", "pix__pix_in_1__customers"]
    for statement in statements(apart.settings.lake, tables, "duckdb"):
        engine.execute(statement)
    joined = engine.execute(
        "SELECT account_id, position, name, customers_count FROM pix_in_1"
        " JOIN pix_in_1_customers USING (org_id, event_id) ORDER BY account_id, position"
    ).fetchall()
    assert joined == [(1, 0, "Ana", 2), (1, 1, "Bia", 2), (4, 0, None, 1)]
