"""Metrics, lineage and asset events of an ingest and a close in real Airflow, at a sink on this machine.

Airflow's own scheduler starts the DAGs of docs/how-to/assets.md by the assets.
"""

from __future__ import annotations

import os
import re
import sys
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.airflow_runs import ROOT
from tests.backfills import list_backfilled, make_backfill, remove_run
from tests.integration.test_signals import DAY, WINDOW, asset_events, check_assets, check_lineage, stored_feed
from tests.sinks import running_sink
from tests.waiting import PATIENCE, until

from pismo_demo.airflow_api import AirflowApi
from pismo_demo.airflow_home import USER, Secrets, airflow_environment, make_home
from pismo_demo.closing import Closing
from pismo_demo.ports import unusual_ports
from pismo_demo.processes import Notes, start, stop
from pismo_demo.servers import wait_for_airflow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.test_close_dag import Home
    from tests.sinks import Sink

pytestmark = pytest.mark.integration
CLOSE = "pismo_close_sandbox_s3"


@pytest.fixture
def home(tmp_path: Path, airflow_database: Path) -> Iterator[Home]:
    with stored_feed(tmp_path, airflow_database) as home:
        yield home


class Scheduled:
    """An Airflow with a scheduler, with the delivery's DAGs and those of the page about assets."""

    def __init__(self, home: Home, sinks: dict[str, str]) -> None:
        self.notes = Notes(home.root / "running.json")
        dags = home.root / "dags"
        dags.mkdir()
        code = '"""The DAGs of a delivery, for Airflow."""\n\nfrom pismo.dags import build_dags\n\n'
        (dags / "lake.py").write_text(f"{code}globals().update(build_dags({str(home.root / 'deliveries.yaml')!r}))\n")
        page = (ROOT / "docs" / "how-to" / "assets.md").read_text()
        for number, block in enumerate(re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)):
            (dags / f"reader_{number}.py").write_text(block)
        secrets, ports = Secrets.new(), unusual_ports()
        self.folder = home.root / "scheduled"
        make_home(self.folder, secrets)
        own = {name: value for name, value in home.environment.items() if name.startswith(("AIRFLOW_CONN_", "PISMO_"))}
        environment = airflow_environment(os.environ, self.folder, ports, secrets, own | sinks)
        self.api = AirflowApi(ports.api, USER, secrets.password)
        command = [sys.executable, "-m", "airflow", "standalone"]
        self.airflow = start(
            "airflow", command, environment | {"AIRFLOW__CORE__DAGS_FOLDER": str(dags)}, home.root / "airflow.log",
            self.notes,
        )  # fmt: skip

    def ready(self) -> None:
        """Wait until every DAG is known, and unpause the readers."""
        wait_for_airflow(self.airflow, self.api)
        names = ("pismo_ingest_sandbox_s3", CLOSE, "new_rows", "daily_model")
        until(lambda: all(map(self.api.is_dag_known, names)), self.api.import_errors, pause=0.5)
        for name in names[2:]:
            self.api.unpause(name)

    def run(self, kind: str, conf: dict[str, Any]) -> None:
        """Run a DAG of the delivery to its end."""
        dag_id = f"pismo_{kind}_sandbox_s3"
        run_id = self.api.trigger(dag_id, conf)
        self.api.unpause(dag_id)
        until(lambda: dict(self.api.runs(dag_id)).get(run_id) in {"success", "failed"}, pause=0.5)
        assert dict(self.api.runs(dag_id))[run_id] == "success"

    def ended(self, dag_id: str) -> list[str]:
        """Return the successful runs of a reader."""
        return [run_id for run_id, state in self.api.runs(dag_id) if state == "success"]


@pytest.fixture
def scheduled(home: Home) -> Iterator[tuple[Scheduled, Sink]]:
    with running_sink() as sink:
        airflow = Scheduled(home, sink.settings)
        try:
            airflow.ready()
            yield airflow, sink
        finally:
            for started in airflow.notes.all():
                stop(started)


@pytest.mark.slow
def test_sinks_get_the_right_numbers_and_assets_start_the_dags_of_the_page(
    home: Home, scheduled: tuple[Scheduled, Sink]
) -> None:
    airflow, sink = scheduled
    # the demo closes its day in this way
    closing = Closing(airflow.api, "sandbox_s3", date.fromisoformat(DAY))
    closing.start_dry_run()
    airflow.run("ingest", WINDOW)
    steps: list[str] = []
    closed = closing.close(home.lake, steps.append, seconds=PATIENCE)
    assert (closed.verdict, closed.plan[0].startswith("DRY RUN: ")) == ("complete", True)
    assert closed.report.read_text().startswith("<!DOCTYPE html>")
    assert f"{DAY} is complete. Its report: {closed.report}" in str(closed)
    assert steps
    until(lambda: airflow.ended("new_rows") and len(airflow.ended("daily_model")) == 2, pause=0.5)

    mine = [each for each in asset_events(airflow.folder / "airflow.db") if each[0].startswith("pismo_")]
    check_assets(mine, home)
    until(lambda: any(each["job"]["name"].endswith(".announce_day") for each in sink.events))
    check_lineage(sink.events, home)
    # the hours, and then the day that replaces them
    assert {name: sink.counters[name] for name in ("files", "events", "rows", "duplicates")} == {
        "files": 6, "events": 10, "rows": 8, "duplicates": 2,
    }  # fmt: skip
    assert sink.counters["day_verdicts,complete"] == 1
    # the ten columns of the event type, and the object that holds four of them
    assert sink.counters["contract_changes,added"] == 11
    assert sink.timings["freshness"] == 3
    assert sink.gauges["backlog_files"][-1] == 0
    assert 1 in sink.gauges["day_complete"]

    # the dry run has the logical date of the day, so the backfill would run it again, with its Params
    remove_run(airflow.api, CLOSE, closing.dry_run)
    _a_backfill_changes_nothing(airflow, home)


def _a_backfill_changes_nothing(airflow: Scheduled, home: Home) -> None:
    """Close the day, and the empty one after it, by a backfill of Airflow."""
    before = {path: path.read_bytes() for path in (home.lake / "events").rglob("*.parquet")}
    first = datetime.fromisoformat(f"{DAY}T00:00:00+00:00")
    make_backfill(airflow.api, CLOSE, first, first + timedelta(days=1), 2)
    states: dict[str, str] = {}

    def over() -> bool:
        states.update(list_backfilled(airflow.api, CLOSE))
        return len(states) == 2 and set(states.values()) <= {"success", "failed"}

    until(over, lambda: states, pause=0.5)
    assert set(states.values()) == {"success"}
    assert before
    assert {path: path.read_bytes() for path in (home.lake / "events").rglob("*.parquet")} == before
    days = sorted(path.parent.name for path in (home.lake / "reports").rglob("*.json"))
    # the schedule closes yesterday besides
    assert days[:2] == [f"publish_date={first + timedelta(days=number):%Y-%m-%d}" for number in range(2)]
