"""`ddl`: DuckDB runs its statements on a real lake; the others' are parsed in their dialects."""

from __future__ import annotations

import json
import logging
import re
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

import duckdb
import pytest
import sqlglot
from sqlglot import exp
from tests.lakes import LakeUnderTest, event

from pismo_lake.cli.main import main
from pismo_lake.contracts.store import ContractStore
from pismo_lake.ddl.dialects import DIALECTS
from pismo_lake.ddl.statements import lake_tables, short_names, statements
from pismo_lake.settings.contracts import ContractRules

if TYPE_CHECKING:
    from pathlib import Path

HOUR = "main_stream/2026/3/1/12"


def status(number: int, account: int, name: str, minute: int) -> bytes:
    data = {"account_id": account, "new_status": {"status": name}, "old_status": {"status": "NORMAL"}}
    own = {"domain": "account", "event_type": "status-change", "schema_version": 2}
    return event(f"s-{number}", data, timestamp=f"2026-03-01T12:{minute:02d}:00Z", **own)


@pytest.fixture
def lake(tmp_path: Path) -> LakeUnderTest:
    lake = LakeUnderTest(tmp_path)
    first = [
        event("e-1", {"account_id": 1, "amount": Decimal("1.10"), "payer": {"id": 5}, "payee": {"id": 6}}),
        event("e-2", {"account_id": 2, "tags": [{"Key é": 1, "b-c": "x"}], "flag": True, "big one": 3}),
        event("e-3", {"account_id": 3}, timestamp=...),
        status(1, 7, "BLOCK", 1),
        status(2, 7, "CANCELLATION", 9),
        status(3, 7, "NORMAL", 5),
        status(4, 8, "NORMAL", 2),
    ]
    lake.land({f"{HOUR}/a": b"".join(first)})
    lake.build()
    # another hour's files lack what this one brings
    lake.land({"main_stream/2026/3/1/13/b": event("e-4", {"amount": Decimal("2.25"), "late": 1.5, "Account_ID": 9})})
    lake.build()
    return lake


def made(lake: LakeUnderTest, dialect: str, root: str | None = None, **more: str) -> list[str]:
    tables = lake_tables(lake.settings.lake, ContractStore(lake.ledger, lake.settings))
    return statements(root or lake.settings.lake, tables, dialect, **more)


def test_duckdb_makes_tables_and_views_of_the_whole_lake(lake: LakeUnderTest) -> None:
    with duckdb.connect() as base:
        for statement in made(lake, "duckdb"):
            base.execute(statement)
        rows = base.execute("SELECT event_id, amount, late, payer_id, payee_id, event_date FROM pix__pix_in_1__v")
        found = {row[0]: row[1:] for row in rows.fetchall()}
        assert found.keys() == {"e-1", "e-2", "e-3", "e-4"}
        assert found["e-1"][:4] == (Decimal("1.1"), None, 5, 6)
        assert found["e-4"][:2] == (Decimal("2.25"), Decimal("1.5"))
        assert {str(row[-1]) for row in found.values()} == {"2026-03-01"}
        latest = base.execute("SELECT account_id, status FROM account_status_latest ORDER BY account_id").fetchall()
        assert latest == [(7, "CANCELLATION"), (8, "NORMAL")]


def test_columns_that_no_file_has_are_there_all_the_same(lake: LakeUnderTest) -> None:
    for path in (lake.root / "lake" / "events" / "domain=pix").rglob("*2026-03-01T13*.parquet"):
        path.unlink()
    with duckdb.connect() as base:
        for statement in made(lake, "duckdb"):
            base.execute(statement)
        assert base.execute("SELECT count(*), count(late) FROM pix__pix_in_1__v").fetchall() == [(3, 0)]


def test_declared_dates_have_their_type(tmp_path: Path) -> None:
    lake = LakeUnderTest(tmp_path, contracts=ContractRules(str(tmp_path / "schemas"), shipped=False))
    schema = {"properties": {"due": {"type": "string", "format": "date"}}}
    (tmp_path / "schemas" / "pix").mkdir(parents=True)
    (tmp_path / "schemas" / "pix" / "pix_in-1.json").write_text(json.dumps(schema))
    lake.land({f"{HOUR}/a": event("e-1", {"due": "2026-03-05"}) + event("e-2", {"due": "soon"})})
    lake.build()
    # in whichever order a dialect has a column and its type
    assert all(re.search(r'DATE AS "typed__due|typed__due. DATE', made(lake, dialect)[0]) for dialect in DIALECTS)
    with duckdb.connect() as base:
        for statement in made(lake, "duckdb"):
            base.execute(statement)
        rows = base.execute("SELECT due, due_typed FROM pix__pix_in_1__v ORDER BY event_id").fetchall()
        assert rows == [("2026-03-05", date(2026, 3, 5)), ("soon", None)]


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_every_statement_is_one_of_its_dialect(
    lake: LakeUnderTest, dialect: str, caplog: pytest.LogCaptureFixture
) -> None:
    root = "gs://bucket/lake" if dialect == "bigquery" else "s3://bucket/lake"
    with caplog.at_level(logging.WARNING):
        for statement in made(lake, dialect, root, schema="pismo", stage="lake_stage"):
            # the parser does not know this clause of BigQuery's
            known = statement.replace("WITH PARTITION COLUMNS (`event_date` DATE)\n", "")
            parsed = sqlglot.parse_one(known, dialect=dialect)
            if "RECOVER PARTITIONS" not in statement:
                # a parser that gives up makes a command of it, and says so
                assert isinstance(parsed, exp.Create), statement
            named = parsed.find(exp.Table)
            assert named is None or named.db in {"pismo", ""}, statement
            columns = [column.name for column in parsed.find_all(exp.ColumnDef)]
            if columns and parsed.args["kind"] == "TABLE" and "pix_in" in statement:
                assert {"event_id", "data__amount", "data__payer__id", "_rescued"} <= set(columns)
    assert not [record for record in caplog.records if "RECOVER" not in record.getMessage()], caplog.text


def test_names_are_short_only_where_they_stay_apart() -> None:
    columns = [
        "event_id",
        "data__id",
        "data__a__id",
        "data__b__id",
        "data__status",
        "data__cid",
        "data__x-y",
        "data__x_y",
    ]
    assert short_names(columns) == {
        "event_id": "event_id",
        "data__id": "data_id",
        "data__a__id": "a_id",
        "data__b__id": "b_id",
        "data__status": "status",
        "data__cid": "data_cid",
        "data__x-y": "data__x-y",
        "data__x_y": "data__x_y",
    }


def test_the_command_prints_statements(lake: LakeUnderTest, capsys: pytest.CaptureFixture[str]) -> None:
    own = ["--lake", lake.settings.lake, "--ledger", f"sqlite:///{lake.root}/ledger.db"]
    assert main(["ddl", "--dialect", "spark", "--schema", "bank", "--domain", "account", *own]) == 0
    out = capsys.readouterr().out
    assert "CREATE TABLE IF NOT EXISTS bank.account__status_change_2" in out
    assert "pix" not in out
    assert main(["ddl", "--dialect", "spark", "--domain", "nothing", *own]) == 1
