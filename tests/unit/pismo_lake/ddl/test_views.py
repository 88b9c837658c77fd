"""DuckDB makes the views of a described lake, and keeps their comments; other engines' comments are parsed."""

from __future__ import annotations

import datetime
import json
from decimal import Decimal
from typing import TYPE_CHECKING

import duckdb
import pytest
import sqlglot
from sqlglot import exp
from tests.described import HOSTILE, describe_lake, described_tables
from tests.lakes import LakeUnderTest, event, key

from pismo_lake.ddl.dialects import DIALECTS
from pismo_lake.ddl.dictionary import describe_policy, make_sections
from pismo_lake.ddl.names import PLACE
from pismo_lake.ddl.short_names import view_name
from pismo_lake.ddl.statements import relations, statements
from pismo_lake.settings.privacy import PrivacyKey, load_privacy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pismo_lake.ddl.tables import DescribedTable

SHOWN = HOSTILE.replace("{{", "{ {").replace("{%", "{ %").replace("{#", "{ #")
POLICY = """\
rules:
  - {path: amount, action: hash}
  - {path: due, action: drop}
  - {path: tags, action: mask}
  - {path: account_id, action: keep}
"""


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> list[DescribedTable]:
    return described_tables(describe_lake(tmp_path_factory.mktemp("described")))


@pytest.fixture(scope="module")
def base(tables: list[DescribedTable]) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as base:
        base.execute("CREATE SCHEMA bank")
        base.execute(";\n".join(statements(tables[0].lake, tables, "duckdb", "bank")))
        base.execute("SET schema = 'bank'")
        yield base


def test_all_versions_are_one_view(base: duckdb.DuckDBPyConnection) -> None:
    rows = base.execute("SELECT event_id, schema_version, account_id, amount, due, tags, lines_count FROM pix_in")
    assert sorted(rows.fetchall()) == [
        ("e-1", "1", "7", Decimal("1.10"), None, None, 2),
        ("e-2", "1", "7", Decimal("2.25"), "2026-03-05", '["a"]', None),
        ("e-3", "2", "x-8", Decimal("0.5"), None, '[{"k":1}]', None),
    ]
    assert base.execute("SELECT position, value FROM pix_in_lines ORDER BY 1").fetchall() == [(0, 1), (1, 2)]
    # an event type without a version has both views, too
    assert base.execute("SELECT a_id, b_id FROM pix_other").fetchall() == [(1, 2)]
    assert base.execute("SELECT a_id, b_id FROM pix_other_unversioned").fetchall() == [(1, 2)]


def test_rejects_and_day_reports_are_views(base: duckdb.DuckDBPyConnection) -> None:
    day = datetime.date(2026, 3, 1)
    rejects = base.execute("SELECT publish_date, delivery, length, raw FROM rejects").fetchall()
    assert rejects == [(day, "test", len(b"{broken}"), b"{broken}")]
    query = 'SELECT publish_date, delivery, verdict, closed, balanced, "rows", rejects FROM day_reports'
    assert base.execute(query).fetchall() == [(day, "test", "incomplete", False, True, 4, 1)]
    assert base.execute("SELECT value FROM day_report_values WHERE metric = 'heartbeats'").fetchall() == [(0,)]


def test_duckdb_keeps_every_comment(base: duckdb.DuckDBPyConnection, tables: list[DescribedTable]) -> None:
    kept = base.execute("SELECT table_name, column_name, comment FROM duckdb_columns() WHERE schema_name = 'bank'")
    limit = DIALECTS["duckdb"].comment
    made = list(relations(tables, "duckdb"))
    wanted = {(one.name, column.name, column.comment(limit) or None) for one in made for column in one.columns}
    assert set(kept.fetchall()) == wanted
    comments = {(table, column): comment for table, column, comment in wanted}
    facts = "Path: /data/amount. Type: declared by the schema."
    assert comments["pix_in", "amount"] == f"{SHOWN} ; DROP TABLE x; -- {facts}"
    assert comments["pix__pix_in_1", "data__due"] == "Path: /data/due. Type: inferred from events."
    assert comments["pix_in", "due"] == "Only in version 1. Path: /data/due. Type: inferred from events."
    assert comments["pix_in_1_lines", "value"] == f"A value. {facts.replace('amount', 'lines/value')}"
    views = dict(base.execute("SELECT view_name, comment FROM duckdb_views() WHERE schema_name = 'bank'").fetchall())
    about = f"Events pix/pix_in: one row for each event. Versions: 1, 2. Money that came in. {SHOWN}"
    assert views["pix_in"] == about
    assert all(views.values())


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_a_hostile_description_stays_one_text(tables: list[DescribedTable], dialect: str) -> None:
    found = 0
    for statement in statements("s3://bucket/lake", tables, dialect):
        # the parser does not know this clause of BigQuery's
        known = statement.replace("WITH PARTITION COLUMNS (`event_date` DATE)\n", "")
        (parsed,) = sqlglot.parse(known.replace("WITH PARTITION COLUMNS (`publish_date` DATE)\n", ""), dialect=dialect)
        assert parsed is not None
        texts = [text.this for text in parsed.find_all(exp.Literal) if text.is_string]
        found += sum("it's" in text for text in texts)
        for text in texts:
            if "DROP TABLE" in text:
                assert SHOWN[:40] in text
        assert not list(parsed.find_all(exp.Drop))
    assert found >= (2 if dialect == "athena" else 4)


@pytest.mark.parametrize("dialect", ["athena", "duckdb", "spark"])
def test_the_path_of_a_lake_is_quoted(tables: list[DescribedTable], dialect: str) -> None:
    odd = "it's \\ a lake"
    statement = statements(f"s3://bucket/{odd}", tables, dialect)[0]
    parsed = sqlglot.parse_one(statement, dialect=dialect)
    assert odd in "".join(text.this for text in parsed.find_all(exp.Literal))


def test_athena_casts_to_types_of_its_queries(tables: list[DescribedTable]) -> None:
    views = [one for one in statements("s3://b", tables, "athena") if " VIEW " in one]
    assert any('CAST("data__account_id" AS varchar)' in view for view in views)
    assert not any("AS string" in view for view in views)


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_comments_can_be_left_out(tables: list[DescribedTable], dialect: str) -> None:
    made = statements("lake", tables, dialect, comments=False)
    assert not any(word in statement for statement in made for word in ("COMMENT", "description", "it's"))
    assert sum("CREATE" in statement for statement in made) >= len(tables)


def test_athenas_comments_fit_glue(tables: list[DescribedTable]) -> None:
    for relation in relations(tables, "athena"):
        for column in relation.columns:
            assert len(column.comment(DIALECTS["athena"].comment).encode()) <= 255
    assert not any("day_report" in relation.name for relation in relations(tables, "athena"))


def test_comments_say_what_a_policy_did(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY)
    policy = load_privacy(str(tmp_path / "policy.yaml"), PrivacyKey("k1", b"0123456789abcdef"))
    tables = described_tables(describe_lake(tmp_path / "lake", policy))
    comments = {
        (one.name, column.name): column.comment(1000) for one in relations(tables, "duckdb") for column in one.columns
    }
    assert comments["pix_in", "amount"].endswith("Privacy: hashed.")
    assert comments["pix_in_1", "due"].endswith("Privacy: removed.")
    assert comments["pix_in_2", "tags"].endswith("Privacy: masked.")
    assert "Privacy" not in comments["pix_in", "account_id"]


def test_a_lake_of_version_1_0_keeps_its_views(tmp_path: Path) -> None:
    lake = LakeUnderTest(tmp_path)
    lake.land({key(1): event("e-1", {"payer": {"id": 5}})})
    lake.build()
    described_tables(lake)
    record = lake.root.joinpath("lake", *PLACE)
    content = json.loads(record.read_bytes())
    # the record as version 1.0 wrote it
    folder = "events/domain=pix/event_type=pix_in-1"
    record.write_text(json.dumps({"tables": content["tables"], "columns": {folder: content["columns"][folder]}}))
    lake.land({key(2): event("n-1", {"x": 1}, event_type="new")})
    lake.build()
    for _ in range(2):
        tables = described_tables(lake)
        made = [relation.name for relation in relations(tables, "duckdb")]
        assert "pix__pix_in_1__v" in made
        assert "pix__new_1__v" not in made
        with duckdb.connect() as base:
            base.execute(";\n".join(statements(lake.settings.lake, tables, "duckdb")))
            assert base.execute("SELECT event_id, id FROM pix__pix_in_1__v").fetchall() == [("e-1", 5)]


def test_names_of_views_differ(tmp_path: Path) -> None:
    lake = LakeUnderTest(tmp_path)
    # a version, an event type named as one; signs alone; a type named as another table, view or word of SQL
    types = [("pix", "in", 1), ("pix", "in_1", ...), ("pix_in", "1", ...), ("pix", "pix-in", 1), ("p.ix", "in", 1)]
    types += [("pix", "in__1", ...), ("day", "reports", ...), ("current", "date", ...), ("card", "status_latest", ...)]
    events = [
        event(f"e-{number}", domain=domain, event_type=name, schema_version=version)
        for number, (domain, name, version) in enumerate(types)
    ]
    lake.land({key(1): b"".join(events)})
    lake.build()
    tables = described_tables(lake)
    made = [relation.name for relation in relations(tables, "duckdb")]
    assert len(made) == len(set(made))
    with duckdb.connect() as base:
        base.execute(";\n".join(statements(lake.settings.lake, tables, "duckdb")))
        for number, (domain, name, _) in enumerate(types):
            (table,) = (one for one in tables if one.domain == domain and one.event_type in {name, f"{name}-1"})
            rows = [base.execute(f"SELECT event_id FROM {view}").fetchall() for view in (table.view, table.together)]
            assert rows == [[(f"e-{number}",)]] * 2


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (("transaction", "creation"), "transaction_creation"),
        (("pix", "pix_in", "2"), "pix_in_2"),
        (("order", "order"), "order_order"),
        (("account", "accounts-x", "1", "a__b"), "account_accounts_x_1_a__b"),
    ],
)
def test_a_view_is_named_by_domain_and_event(given: tuple[str, ...], name: str) -> None:
    assert view_name(*given) == name


def test_a_dictionary_has_every_field_and_the_policy(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("card_numbers: mask\nrules: [{path: lines/value, action: drop}]\n")
    policy = load_privacy(str(tmp_path / "policy.yaml"))
    lake = describe_lake(tmp_path / "lake", policy)
    lake.put(event("e-9", {"list": [{"a": {"b": 1}, "c": [2]}]}, event_type="nested"), key=key(9))
    sections = {section.title: section for section in make_sections(described_tables(lake))}
    assert next(iter(sections)) == "Columns of all event types"
    assert list(sections)[-2:] == ["Rejects", "Day report values"]
    nested = [(line.column, line.type, line.path) for line in sections["pix/nested-1"].lines]
    assert nested == [
        ("data__list", "list of struct", "/data/list"),
        ("data__list[].a.b", "int64", "/data/list/a/b"),
        ("data__list[].c", "list of int64", "/data/list/c"),
    ]
    (value,) = (line for line in sections["pix/pix_in-1, list lines"].lines if line.path == "/data/lines/value")
    assert (value.short, value.source, value.privacy, value.about) == ("value", "declared", "removed", "A value.")
    assert describe_policy(policy).endswith("policy.yaml; it masks card numbers in all texts")
