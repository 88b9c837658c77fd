"""Run the doctor's DAG in real Airflow, and refuse wrong Params with one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml
from tests.airflow_runs import dag_runs
from tests.integration.test_close_dag import Home

from pismo_sandbox.check.truth import Truth
from pismo_sandbox.s3.server import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration


@pytest.fixture
def home(tmp_path: Path, airflow_database: Path) -> Iterator[Home]:
    with running_sandbox() as sandbox:
        truth = Truth(tmp_path / "truth.db")
        home = Home(tmp_path, sandbox, truth, airflow_database)
        deliveries = yaml.safe_load((tmp_path / "deliveries.yaml").read_text())
        good = deliveries["deliveries"]["sandbox_s3"]
        deliveries["deliveries"]["broken_s3"] = good | {"conn_id": "missing_connection", "ledger_url": "sqlite:////x/y"}
        (tmp_path / "deliveries.yaml").write_text(yaml.safe_dump(deliveries, sort_keys=False))
        with dag_runs(home.environment, tmp_path) as home.runs:
            yield home
        truth.close()


def test_each_delivery_is_examined_where_tasks_run(home: Home) -> None:
    run = home.runs.run("pismo_doctor", {})
    assert run.tasks == {"examine_delivery[0]": "success", "examine_delivery[1]": "failed"}, run.log[-3000:]
    assert "checks of sandbox_s3:" in run.log
    assert "optional privacy" in run.log
    assert "broken_s3: " in run.log
    assert "checks failed: " in run.log
    assert "the page shows checks once the first run has begun the lake" in run.log
    assert not (home.root / "lake").exists()
    assert not (home.root / "ledger.db").exists()


def test_wrong_params_fail_the_first_task_with_one_sentence(home: Home) -> None:
    wrong = {"window_start": "2026-03-01T12:00:00Z", "object_keys": ["main_stream/2026/3/1/12/a"]}
    (ingest,) = home.run(("ingest", wrong))
    assert ingest.tasks["find_new_files[-1]"] == "failed"
    assert "give either a window (window_start, window_end) or object_keys, not both" in ingest.log
    (close,) = home.run(("close", {"publish_day": "2999-01-01"}))
    assert close.tasks["await_settled_day[-1]"] == "failed"
    assert "publish_day: 2999-01-01 has not begun" in close.log
    for run in (ingest, close):
        assert "Task failed with exception" not in run.log
