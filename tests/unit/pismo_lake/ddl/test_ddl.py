"""DuckDB runs the statements of `ddl` on a real lake; a parser reads those of other engines."""

from __future__ import annotations

import json
import logging
import os
import re
import tempfile
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
import sqlglot
from sqlglot import exp
from tests.lakes import ORG, LakeUnderTest, event

from pismo_lake.cli.main import main
from pismo_lake.contracts.store import ContractStore
from pismo_lake.ddl.dialects import DIALECTS
from pismo_lake.ddl.short_names import short_names
from pismo_lake.ddl.statements import statements
from pismo_lake.ddl.tables import lake_tables
from pismo_lake.errors import LakeError
from pismo_lake.rows.schema import child_schemas
from pismo_lake.settings.contracts import ContractRules

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    # files of another hour lack this column
    lake.land({"main_stream/2026/3/1/13/b": event("e-4", {"amount": Decimal("2.25"), "late": 1.5, "Account_ID": 9})})
    lake.build()
    return lake


def made(lake: LakeUnderTest, dialect: str, root: str | None = None, **more: Any) -> list[str]:
    tables = lake_tables(lake.settings.lake, ContractStore(lake.ledger, lake.settings))
    return statements(root or lake.settings.lake, tables, dialect, **more)


def test_duckdb_makes_tables_and_views_of_the_whole_lake(lake: LakeUnderTest) -> None:
    with duckdb.connect() as base:
        for statement in made(lake, "duckdb"):
            base.execute(statement)
        rows = base.execute("SELECT event_id, amount, late, payer_id, payee_id, event_date FROM pix_in_1")
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
        assert base.execute("SELECT count(*), count(late) FROM pix_in_1").fetchall() == [(3, 0)]


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
        rows = base.execute("SELECT due, due_typed FROM pix_in_1 ORDER BY event_id").fetchall()
        assert rows == [("2026-03-05", date(2026, 3, 5)), ("soon", None)]


@pytest.mark.parametrize(
    "place",
    ["org_id=TN-9", "delivery=other", "event_date=2020-01-01", "domain=cards/_source_file=x", "lak*", "l[a]", "*"],
)
def test_duckdb_reads_the_values_of_the_files_whatever_the_path_of_the_lake(tmp_path: Path, place: str) -> None:
    # the patterns among the names of lakes meet the other lakes too
    for number, neighbour in enumerate([place, "lake", "la"]):
        lake = LakeUnderTest(tmp_path / neighbour)
        lake.land({f"{HOUR}/a": event(f"e-{number}", {"lines": [{"n": 1}]}) + b"{broken"})
        lake.build()
    lake = LakeUnderTest(tmp_path / place)
    tables = lake_tables(lake.settings.lake, ContractStore(lake.ledger, lake.settings))
    assert tables[0].dates() == (date(2026, 3, 1), date(2026, 3, 1))
    assert "'/data/la[?]e/events/" in made(lake, "duckdb", "/data/la?e")[0]
    with duckdb.connect() as base:
        for statement in made(lake, "duckdb"):
            base.execute(statement)
        found = base.execute("SELECT * FROM pix__pix_in_1")
        (row,) = [dict(zip([column[0] for column in found.description], row, strict=True)) for row in found.fetchall()]
        assert row.keys() == {column.name for column in tables[0].columns}
        assert (row["event_id"], row["org_id"], row["event_date"]) == ("e-0", ORG, date(2026, 3, 1))
        assert row["_source_file"] == f"{HOUR}/a"
        assert base.execute("SELECT delivery, publish_date FROM rejects").fetchall() == [("test", date(2026, 3, 1))]


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
                assert isinstance(parsed, exp.Create | exp.Comment), statement
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


def change(number: int, minute: int, org: str | None, account: Any, name: str, version: int = 2) -> bytes:
    data = {"account_id": account, "new_status": {"status": name}}
    own = {"domain": "account", "event_type": "status-change", "schema_version": version, "org_id": org}
    return event(f"s-{number}", data, timestamp=f"2026-03-01T12:{minute:02d}:00Z", **own)


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_an_account_has_one_latest_row_whatever_its_organisations_case(tmp_path: Path, dialect: str) -> None:
    lake = LakeUnderTest(tmp_path)
    events = [
        change(1, 1, "TN-1", 7, "BLOCK"),
        change(2, 9, "tn-1", 7, "CANCELLATION"),
        change(3, 5, "Tn-1", 7, "NORMAL"),
        change(4, 1, "TN-2", 7, "NORMAL"),
        change(5, 1, None, 7, "NORMAL"),
        change(6, 2, "", 7, "BLOCK"),
        change(7, 3, "TN-1", None, "BLOCK"),
        # the same account by an earlier version of the event, which has its id as text
        change(8, 20, "TN-1", "7", "LATER", version=1),
        change(9, 21, "tn-1", 8, "NORMAL", version=2),
        change(10, 0, "TN-1", 9, "TIMED"),
        change(11, 0, "tn-1", 9, "UNTIMED").replace(b"2026-03-01T12:00:00Z", b"never"),
    ]
    lake.land({f"{HOUR}/a": b"".join(events)})
    lake.build()
    with duckdb.connect() as base:
        for statement in made(lake, "duckdb"):
            base.execute(statement)
        (view,) = (text for text in made(lake, dialect) if re.match("CREATE .* VIEW account_status_latest", text))
        (spoken,) = sqlglot.transpile(view, read=dialect, write="duckdb")
        base.execute(spoken)
        rows = base.execute("SELECT lower(org_id), account_id, status FROM account_status_latest").fetchall()
    assert sorted((org or "", account, status) for org, account, status in rows) == [
        ("", "7", "BLOCK"),
        ("tn-1", "7", "LATER"),
        ("tn-1", "8", "NORMAL"),
        ("tn-1", "9", "TIMED"),
        ("tn-2", "7", "NORMAL"),
    ]


def given(lake: LakeUnderTest) -> dict[str, tuple[str, dict[str, str]]]:
    """Names of tables and of their views' columns by folder, as the statements have them."""
    tables = lake_tables(lake.settings.lake, ContractStore(lake.ledger, lake.settings))
    text = "\n".join(statements(lake.settings.lake, tables, "duckdb"))
    for table in tables:
        assert f"CREATE OR REPLACE VIEW {table.name} AS" in text
        assert f"CREATE OR REPLACE VIEW {table.view} AS" in text
        assert f"CREATE OR REPLACE VIEW {table.together} AS" in text
    return {table.folder: (table.name, table.shorts) for table in tables}


def test_names_never_move(tmp_path: Path) -> None:
    lake = LakeUnderTest(tmp_path)

    def came(hour: int, *events: bytes) -> dict[str, tuple[str, dict[str, str]]]:
        lake.land({f"main_stream/2026/3/1/{hour}/f": b"".join(events)})
        lake.build()
        return given(lake)

    before = came(1, event("e-1", {"payer": {"id": 5}, "list": [{"a": 1}]}, event_type="pix_in"))
    (folder,) = (folder for folder in before if folder.startswith("events/"))
    assert before[folder][0] == "pix__pix_in_1"
    assert before[folder][1]["data__payer__id"] == "id"
    # types whose names differ in signs alone, one of them sorted before; one named as the view, one as the child table
    others = ["pix-in", "pix.in", "pix_in-1__v", "pix_in-1__list"]
    came(2, *(event(f"o-{other}", {"x": 1}, event_type=other, schema_version=...) for other in others))
    more = {"payer": {"id": 5}, "payee": {"id": 6, "Id": 7}, "id": 8, "amount": {"value": 1}, "amount_value": 2}
    later = came(3, event("e-2", more, event_type="pix_in"))
    for name in before:
        assert later[name][0] == before[name][0]
        assert before[name][1].items() <= later[name][1].items()
    names = [name for name, _ in later.values()]
    tables = lake_tables(lake.settings.lake, ContractStore(lake.ledger, lake.settings))
    every = [*names, *(table.view for table in tables), *{table.family: table.together for table in tables}.values()]
    assert len(set(every)) == len(every)
    for _, columns in later.values():
        assert len({short.lower() for short in columns.values()}) == len(columns)
    assert given(lake) == later
    with duckdb.connect() as base:
        for statement in made(lake, "duckdb"):
            base.execute(statement)
        assert base.execute("SELECT id, data__payee__id FROM pix_in_1 WHERE event_id = 'e-2'").fetchall() == [(5, 6)]


def test_a_part_of_the_lake_has_the_names_of_the_whole(tmp_path: Path) -> None:
    lake = LakeUnderTest(tmp_path)
    lake.land({f"{HOUR}/a": event("a", domain="b.c", event_type="x") + event("b", domain="b_c", event_type="x")})
    lake.build()
    store = ContractStore(lake.ledger, lake.settings)
    (only,) = lake_tables(lake.settings.lake, store, ["b_c"])
    assert only.name == "b_c__x_1__2"
    assert [table.name for table in lake_tables(lake.settings.lake, store)] == ["b_c__x_1", "b_c__x_1__2"]


@contextmanager
def as_somebody_else() -> Iterator[None]:
    """Root may write anywhere, so its rights are given up; any other user keeps its own."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_lake_that_may_only_be_read_keeps_the_names_it_has(caplog: pytest.LogCaptureFixture) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lake = LakeUnderTest(Path(folder))
        Path(folder).chmod(0o755)
        lake.land({f"{HOUR}/a": event("a", {"payer": {"id": 1}})})
        lake.build()
        before = given(lake)
        document = (lake.root / "lake" / "_ddl" / "names.json").read_bytes()
        lake.land({f"{HOUR}/b": event("b", {"payee": {"id": 1}}) + event("c", event_type="pix-in")})
        lake.build()
        tables = [lake.root / "lake", *(lake.root / "lake").rglob("*")]
        for path in tables:
            path.chmod(0o555 if path.is_dir() else 0o444)
        store = ContractStore(lake.ledger, lake.settings)
        names = store.names()
        for domain, event_type in names:
            child_schemas(store, domain, event_type)
        with as_somebody_else(), caplog.at_level(logging.WARNING):
            store.names = lambda: names  # type: ignore[method-assign]
            found = {table.folder: (table.name, table.shorts) for table in lake_tables(lake.settings.lake, store)}
        for path in tables:
            path.chmod(0o755 if path.is_dir() else 0o644)
        assert "names are not kept" in caplog.text
        assert all(found[name][0] == before[name][0] for name in before)
        assert (lake.root / "lake" / "_ddl" / "names.json").read_bytes() == document
        lake.ledger.close()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"tables": []}', b'{"tables": {}, "columns": {"x": 1}}'])
def test_a_damaged_record_is_named(lake: LakeUnderTest, content: bytes) -> None:
    given(lake)
    (lake.root / "lake" / "_ddl" / "names.json").write_bytes(content)
    with pytest.raises(LakeError, match=r"_ddl/names\.json is damaged"):
        given(lake)


def test_a_lake_without_events_gets_no_record(tmp_path: Path) -> None:
    lake = LakeUnderTest(tmp_path)
    assert lake_tables(lake.settings.lake, ContractStore(lake.ledger, lake.settings)) == []
    assert not (tmp_path / "lake").exists()


def athena_range(lake: LakeUnderTest) -> tuple[date, int]:
    (text,) = (text for text in made(lake, "athena", "s3://bucket/lake") if "CREATE EXTERNAL TABLE" in text)
    found = re.search(r"event_date\.range' = '(\d{4}-\d\d-\d\d),NOW\+(\d+)DAYS?'", text)
    assert found is not None
    return date.fromisoformat(found[1]), int(found[2])


def test_athenas_range_of_dates_covers_the_data(tmp_path: Path) -> None:
    lake = LakeUnderTest(tmp_path)
    today = datetime.now(UTC)
    times = ["2012-05-06T00:00:00Z", "2026-03-01T12:00:00Z", f"{today + timedelta(days=400):%Y-%m-%dT%H:%M:%SZ}"]
    lake.land({f"{HOUR}/{number}": event(f"e-{number}", timestamp=time) for number, time in enumerate(times)})
    lake.build()
    first, ahead = athena_range(lake)
    assert first == date(2011, 1, 1)
    assert 400 <= ahead <= 402


def test_athenas_range_goes_to_tomorrow_at_least(lake: LakeUnderTest) -> None:
    (text, *_) = (text for text in made(lake, "athena", "s3://bucket/lake") if "CREATE EXTERNAL TABLE" in text)
    assert "'2025-01-01,NOW+1DAY'" in text


def test_snowflakes_stage_is_quoted(lake: LakeUnderTest) -> None:
    for stage, quoted in (("s", "'@s/events/domain=pix/event_type=pix_in-1/'"), ("o'x", "'@o''x/events/")):
        text = "\n".join(made(lake, "snowflake", stage=stage))
        assert f"LOCATION = {quoted}" in text
