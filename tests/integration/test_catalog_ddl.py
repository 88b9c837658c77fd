"""DuckDB with its extension for Iceberg runs the statements of `ddl` over the tables of a lake's catalog."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.described import describe_lake, described_tables
from tests.kept_lake import KEPT
from tests.lakes import event, key
from tests.waiting import PATIENCE

from pismo_lake.catalog.lake import commit_lake
from pismo_lake.ddl.over_catalog import open_catalog
from pismo_lake.ddl.statements import statements

pytestmark = pytest.mark.integration
ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-readers" / "bin" / "python"
QUERY = """
SELECT 'pix_in', event_id, CAST(amount AS VARCHAR), CAST(event_date AS VARCHAR) FROM pix_in
UNION ALL SELECT 'lines', event_id, CAST(value AS VARCHAR), CAST(position AS VARCHAR) FROM pix_in_1_lines
UNION ALL SELECT 'reports', verdict, CAST(events AS VARCHAR), CAST(balanced AS VARCHAR) FROM day_reports
UNION ALL SELECT 'rejects', reason, NULL, NULL FROM rejects
ORDER BY ALL
"""


@pytest.mark.skipif(not PYTHON.exists(), reason="no DuckDB with Iceberg: scripts/readers installs it")
def test_duckdb_reads_the_views_over_the_catalog(tmp_path: Path) -> None:
    lake = describe_lake(tmp_path, tables=KEPT)
    # the folder has the rows of the part twice now
    lake.land({key(12, "late"): event("e-4", {"account_id": 9})})
    lake.build()
    commit_lake(lake.settings, lake.ledger)
    catalog = open_catalog(lake.settings, lake.ledger)
    made = statements(lake.settings.lake, described_tables(lake), "duckdb", catalog=catalog)
    (tmp_path / "made.json").write_text(json.dumps(made))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(PYTHON), str(ROOT / "tests" / "readers" / "run_duckdb.py"), str(tmp_path / "made.json"), QUERY]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = json.loads(done.stdout.splitlines()[-1])
    assert [row for row in rows if row[0] == "pix_in"] == [
        ["pix_in", "e-1", "1.100000000000000000", "2026-03-01"],
        ["pix_in", "e-2", "2.250000000000000000", "2026-03-01"],
        ["pix_in", "e-3", "0.500000000000000000", "2026-03-01"],
        ["pix_in", "e-4", None, "2026-03-01"],
    ]
    assert [row[3] for row in rows if row[0] == "lines"] == ["0", "1"]
    assert [row[0] for row in rows if row[0] in {"reports", "rejects"}] == ["rejects", "reports"]
