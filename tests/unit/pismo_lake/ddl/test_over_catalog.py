"""`ddl` makes views over the tables of a lake's catalog, instead of its folders."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import duckdb
import pytest
import sqlglot
import yaml
from sqlglot import exp
from tests.catalog_reader import open_reader, url_of
from tests.described import describe_lake, described_tables
from tests.kept_lake import KEPT
from tests.lakes import LakeUnderTest, event, key

from pismo_lake.catalog.lake import commit_lake
from pismo_lake.cli.main import main
from pismo_lake.ddl.dialects import DIALECTS
from pismo_lake.ddl.over_catalog import open_catalog
from pismo_lake.ddl.statements import statements

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LakeUnderTest]:
    """Return a lake that keeps replaced files, so that its folders show rows twice; one column is in no table yet."""
    lake = describe_lake(tmp_path_factory.mktemp("described"), tables=KEPT)
    commit_lake(lake.settings, lake.ledger)
    lake.land({key(12, "late"): event("e-4", {"account_id": 9})})
    lake.build()
    lake.land({key(12, "waits"): event("e-5", {"account_id": 9, "unbuilt": 1})})
    yield lake
    # each test opens it again
    lake.ledger.close()


@pytest.fixture(scope="module")
def committed(lake: LakeUnderTest) -> dict[tuple[str, ...], pa.Table]:
    """Return the rows of each table of the catalog."""
    with open_reader(url_of(lake)) as catalog:
        names = [name for space in catalog.list_namespaces() for name in catalog.list_tables(space)]
        return {name: catalog.load_table(name).scan().to_arrow() for name in names}


def print_ddl(lake: LakeUnderTest, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    capsys.readouterr()
    own = ["--lake", lake.settings.lake, "--ledger", url_of(lake), "--delivery", "test"]
    assert main(["ddl", *own, "--over", "catalog", *options]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_the_views_of_each_engine_show_each_row_once(
    lake: LakeUnderTest, committed: dict[tuple[str, ...], pa.Table], dialect: str
) -> None:
    catalog = open_catalog(lake.settings, lake.ledger, "memory")
    made = statements(lake.settings.lake, described_tables(lake), dialect, comments=False, catalog=catalog)
    assert not any(lake.settings.lake in statement for statement in made)
    with duckdb.connect() as base:
        base.execute("SET TimeZone = 'UTC'")
        for (space, name), rows in committed.items():
            base.execute(f"CREATE SCHEMA IF NOT EXISTS {space}")
            base.register("rows", rows)
            base.execute(f"CREATE TABLE {space}.{name} AS SELECT * FROM rows")
        for statement in made:
            assert isinstance(sqlglot.parse_one(statement, dialect=dialect), exp.Create), statement
            (spoken,) = (
                sqlglot.transpile(statement, read=dialect, write="duckdb") if dialect != "duckdb" else [statement]
            )
            base.execute(spoken)
        rows = base.execute(
            "SELECT event_id, CAST(event_timestamp AS VARCHAR) FROM pix_in ORDER BY event_id"
        ).fetchall()
        assert [row[0] for row in rows] == ["e-1", "e-2", "e-3", "e-4"]
        assert {row[1][:19] for row in rows} == {"2026-03-01 12:00:00"}
        assert base.execute("SELECT sum(amount) FROM pix_in_1").fetchone() is not None
        assert base.execute("SELECT count(*) FROM pix_in_1_lines").fetchall() == [(2,)]
        assert base.execute("SELECT count(*) FROM rejects").fetchall() == [(1,)]
        # also in Athena, which cannot read the folder of the reports
        assert base.execute("SELECT verdict, events FROM day_reports").fetchall() == [("incomplete", 4)]
        columns = {row[0] for row in base.execute("DESCRIBE pix__pix_in_1").fetchall()}
        assert {"event_date", "data__account_id", "data__amount"} <= columns
        assert "data__unbuilt" not in columns


def test_comments_explain_the_views(lake: LakeUnderTest, capsys: pytest.CaptureFixture[str]) -> None:
    text = print_ddl(lake, capsys, "--dialect", "snowflake", "--schema", "views")
    assert "FROM pix.pix_in_1\n" not in text
    assert "CREATE OR REPLACE VIEW views.pix__pix_in_1 (" in text
    assert "Path: /data/amount. Type: declared by the schema." in text
    assert re.search(r"FROM pix\.pix_in_1;", text)


def test_duckdb_reads_the_metadata_without_a_name_of_the_catalog(
    lake: LakeUnderTest, capsys: pytest.CaptureFixture[str]
) -> None:
    text = print_ddl(lake, capsys, "--dialect", "duckdb")
    assert re.search(r"FROM iceberg_scan\('file://\S+/_iceberg/pix/pix_in_1/metadata/\S+\.metadata\.json'\)", text)


def test_the_sources_of_dbt_are_those_views(lake: LakeUnderTest, capsys: pytest.CaptureFixture[str]) -> None:
    document = yaml.safe_load(print_ddl(lake, capsys, "--dialect", "dbt", "--engine", "athena"))
    tables = {table["name"]: table for table in document["sources"][0]["tables"]}
    assert {"pix_in", "pix_in_1", "pix__pix_in_1", "rejects", "day_reports"} <= tables.keys()
    assert "data__unbuilt" not in {column["name"] for column in tables["pix__pix_in_1"]["columns"]}


def test_a_lake_without_tables_has_no_catalog(
    tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = LakeUnderTest(tmp_path_factory.mktemp("plain"))
    plain.land({key(12): event("e-1")})
    own = ["--lake", plain.settings.lake, "--ledger", url_of(plain), "--delivery", "test"]
    plain.build()
    assert main(["ddl", *own, "--dialect", "duckdb", "--over", "catalog"]) == 1
    assert "has no table format" in capsys.readouterr().err
    assert main(["ddl", *own, "--dialect", "duckdb", "--catalog-name", "x"]) == 1
    assert "--catalog-name needs --over catalog" in capsys.readouterr().err
