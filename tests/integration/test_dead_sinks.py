"""Sinks of metrics and lineage that accept a connection and never answer: a run succeeds, and is hardly later.

The limits are those that the deployments of this project set, and the transport of lineage is that of the how-to. The
alerts have a test of their own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml
from tests.airflow_runs import ROOT, airflow_environment, dag_runs
from tests.integration.test_signals import WINDOW, stored_feed
from tests.silent_sink import silent_sink
from tests.sinks import settings_of_sink

from pismo_demo.airflow_home import Secrets
from pismo_demo.airflow_home import airflow_environment as demo_environment
from pismo_demo.ports import unusual_ports

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration
LIMITS = {
    "OTEL_EXPORTER_OTLP_TIMEOUT": "3",
    "AIRFLOW__OPENLINEAGE__EXECUTION_TIMEOUT": "5",
    "AIRFLOW__OPENLINEAGE__EXECUTE_IN_THREAD": "True",
}
SEND_A_METRIC = """
from airflow.sdk.configuration import conf
from airflow.sdk._shared.observability.metrics import stats
from airflow.sdk.observability.metrics import stats_utils

from pismo.signals.metrics import time_step

stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=False)
with time_step("a", "land"):
    pass
print("sent")
"""


def test_every_deployment_sets_the_limits(tmp_path: Path) -> None:
    composed = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())["services"]["scheduler"]["environment"]
    values = yaml.safe_load((ROOT / "docs" / "helm" / "values.yaml").read_text())["env"]
    demo = demo_environment(os.environ, tmp_path, unusual_ports(), Secrets.new(), {})
    for found in (composed, {each["name"]: each["value"] for each in values}, demo):
        assert LIMITS.items() <= found.items()


def test_a_lineage_sink_that_never_answers_delays_one_event_of_a_run(tmp_path: Path, airflow_database: Path) -> None:
    with silent_sink() as sink, stored_feed(tmp_path, airflow_database) as home:
        http = {"type": "http", "url": sink.url, "endpoint": "api/v1/lineage"}
        transport = {"type": "pismo.signals.transport.PatientTransport", "transport": http}
        # the pause of this test is its own
        home.environment |= settings_of_sink(sink.url) | LIMITS | {"TMPDIR": str(tmp_path)}
        home.environment["AIRFLOW__OPENLINEAGE__TRANSPORT"] = json.dumps(transport)
        with dag_runs(home.environment, tmp_path) as runs:
            run = runs.run("pismo_ingest_sandbox_s3", WINDOW | {"dry_run": True})
        assert run.state == "success", run.log[-3000:]
    assert run.log.count("did not answer in 2.0 s; events are left out for 300") == 1, run.log[-3000:]
    assert "A lineage event is left out" in run.log
    assert "did not finish within execution_timeout" not in run.log
    assert sink.accepted >= 1


@pytest.mark.slow
def test_a_lineage_sink_that_never_answers_delays_a_run_by_seconds(tmp_path: Path, airflow_database: Path) -> None:
    with silent_sink() as sink, stored_feed(tmp_path, airflow_database) as home:
        home.environment |= settings_of_sink(sink.url) | LIMITS
        with dag_runs(home.environment, tmp_path) as runs:
            run = runs.run("pismo_ingest_sandbox_s3", WINDOW | {"dry_run": True})
        assert run.state == "success", run.log[-3000:]
    # the task waits 5 s for the event of its start, and 5 s for that of its end
    assert run.log.count("did not finish within execution_timeout=5s and will be abandoned") == 2, run.log[-3000:]
    assert sink.accepted >= 1


def test_a_collector_that_never_answers_delays_the_end_of_a_process_by_seconds(tmp_path: Path) -> None:
    with silent_sink() as sink:
        environment = airflow_environment(tmp_path) | settings_of_sink(sink.url) | LIMITS
        command = [sys.executable, "-c", SEND_A_METRIC]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, "sent" in done.stdout.splitlines()) == (0, True), done.stderr[-3000:]
    # without the limit, it takes ten seconds
    assert 1 <= sum(sink.held) < 8, sink.held
