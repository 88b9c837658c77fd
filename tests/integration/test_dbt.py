"""Let dbt read the sources of `ddl --dialect dbt`, and run a model on them over a lake in DuckDB."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import duckdb
import pytest
from tests.described import describe_lake, described_tables
from tests.waiting import PATIENCE

from pismo_lake.ddl.dbt import dbt_sources, dbt_yaml
from pismo_lake.ddl.statements import statements

ROOT = Path(__file__).resolve().parents[2]
DBT = ROOT / ".venv-dbt" / "bin" / "dbt"
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not DBT.exists(), reason="no dbt: scripts/dbt installs it"),
]
PROJECT = """\
name: bank
version: "1.0"
profile: bank
flags: {send_anonymous_usage_stats: false}
"""
PROFILE = "bank: {target: dev, outputs: {dev: {type: duckdb, path: lake.duckdb, threads: 1}}}\n"
MODEL = """\
select account_id, sum(amount) as amount, count(*) as events, max(total) as in_report
from {{ source('pismo', 'pix_in') }}
cross join (select sum("rows") as total from {{ source('pismo', 'day_reports') }})
group by account_id
"""
COLUMNS = """\
select c.table_name, c.column_name, c.data_type from duckdb_columns() c
join duckdb_views() v on c.table_name = v.view_name where not v.internal and v.view_name <> 'amounts'
"""


def test_dbt_runs_a_model_on_the_sources(tmp_path: Path) -> None:
    lake = describe_lake(tmp_path / "lake")
    tables = described_tables(lake)
    project = tmp_path / "project"
    (project / "models").mkdir(parents=True)
    (project / "dbt_project.yml").write_text(PROJECT)
    (project / "profiles.yml").write_text(PROFILE)
    (project / "models" / "amounts.sql").write_text(MODEL)
    sources = dbt_yaml(dbt_sources(tables, "duckdb"), "duckdb")
    (project / "models" / "sources.yml").write_text(sources, encoding="utf-8")
    with duckdb.connect(project / "lake.duckdb") as base:
        base.execute(";\n".join(statements(lake.settings.lake, tables, "duckdb")))

    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "DBT_"))}
    done = subprocess.run(
        [DBT, "--warn-error", "run", "--profiles-dir", ".", "--no-version-check"],
        env=environment, cwd=project, capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    manifest = json.loads((project / "target" / "manifest.json").read_text())
    named = {source["name"]: source["columns"] for source in manifest["sources"].values()}
    with duckdb.connect(project / "lake.duckdb") as base:
        found = base.execute("SELECT account_id, amount::VARCHAR, events, in_report FROM amounts ORDER BY 1").fetchall()
        columns = {(table, name): kind for table, name, kind in base.execute(COLUMNS).fetchall()}

        def type_of(kind: str) -> str:
            return str(base.execute(f"SELECT typeof(NULL::{kind})").fetchall()[0][0])

        types = {(table, name): type_of(one["data_type"]) for table, own in named.items() for name, one in own.items()}
    assert found == [("7", "3.350000000000000000", 2, 4), ("x-8", "0.500000000000000000", 1, 4)]
    # every table and view is a source, with each of its columns and their types
    assert types == columns
    # dbt did not take a part of a description for a template
    assert "{ { env_var('HOME') }} { % raw %}" in named["pix_in"]["amount"]["description"]
