"""Read a lake with five contract changes with Spark, as files and through `ddl`'s tables."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.evolved import AMOUNTS, IDS, NUMBERS, evolve
from tests.lakes import key
from tests.waiting import PATIENCE

from pismo_lake.contracts.store import ContractStore
from pismo_lake.ddl.statements import statements
from pismo_lake.ddl.tables import lake_tables
from pismo_lake.hours import PublishDay
from pismo_lake.report.reconcile import reconcile
from pismo_lake.report.write import write_report

if TYPE_CHECKING:
    from tests.lakes import LakeUnderTest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-peers" / "bin" / "python"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.integration,
    pytest.mark.skipif(not (PYTHON.exists() and shutil.which("java")), reason="no PySpark: scripts/peers installs it"),
]


def test_spark_reads_every_row_column_and_digit(lake: LakeUnderTest, tmp_path: Path) -> None:
    folder = evolve(lake)
    lake.put(b"{broken}", key=key(9))
    write_report(lake.settings.lake, reconcile(lake.settings, lake.ledger, PublishDay.parse("2026-03-01")))
    tables = lake_tables(lake.settings.lake, ContractStore(lake.ledger, lake.settings))
    (tmp_path / "statements.json").write_text(json.dumps(statements(lake.settings.lake, tables, "spark")))
    reader = Path(__file__).with_name("spark_reader.py")
    command = [str(PYTHON), str(reader), folder, str(tmp_path / "statements.json"), str(tmp_path / "spark")]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, list[list[Any]]] = json.loads(done.stdout.splitlines()[-1])
    # the folder of reports holds pages, too
    assert found.pop("views") == [["2026-03-01", "incomplete", 6, 1, 6, "Path: /data/id. Type: inferred from events."]]
    for rows in found.values():
        assert [row[0] for row in rows] == IDS
        assert [row[1] and Decimal(row[1]) for row in rows] == AMOUNTS
        assert [row[2] and Decimal(row[2]) for row in rows] == NUMBERS
    assert [row[3] for row in found["table"] if row[3]] == [["a", "b"]]
    assert [Decimal(row[4]) for row in found["table"] if row[4]] == [Decimal("2.50")]
    assert {row[5] for row in found["table"]} == {"2026-03-01"}
