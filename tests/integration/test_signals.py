"""Lineage and asset events of an ingest and a close in real Airflow."""

from __future__ import annotations

import json
import re
import socket
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.airflow_runs import ROOT, dag_runs
from tests.integration.test_close_dag import Home
from tests.integration.test_one_bad_file import put
from tests.lakes import event

from pismo_sandbox.check.truth import Truth
from pismo_sandbox.s3.server import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


pytestmark = pytest.mark.integration
DAY = "2026-03-01"
WINDOW = {"window_start": f"{DAY}T09:00:00Z", "window_end": f"{DAY}T13:00:00Z"}
FOLDER = "events/domain=pix/event_type=pix_in-1"


@pytest.fixture
def home(tmp_path: Path, airflow_database: Path) -> Iterator[Home]:
    with stored_feed(tmp_path, airflow_database) as home:
        yield home


@contextmanager
def stored_feed(tmp_path: Path, airflow_database: Path) -> Iterator[Home]:
    """Yield a home whose source has two hours of files, for a lake with a privacy policy."""
    with running_sandbox() as sandbox:
        truth = Truth(tmp_path / "truth.db")
        home = Home(tmp_path, sandbox, truth, airflow_database)
        deliveries = tmp_path / "deliveries.yaml"
        quiet = "wait_minutes: 0\n    privacy: strict\n    privacy_key_conn_id: pismo_privacy"
        deliveries.write_text(deliveries.read_text().replace("accounting_reports: true", quiet))
        key = {"conn_type": "generic", "login": "k1", "password": "a secret that is long enough"}
        home.environment["AIRFLOW_CONN_PISMO_PRIVACY"] = json.dumps(key)
        _publish(home)
        yield home
        truth.close()


def _publish(home: Home) -> None:
    """Store two hours: four events, one of them twice, and one of the day before."""
    put(home, "main_stream/2026/3/1/10/a", "e-1", "e-2")
    put(home, "main_stream/2026/3/1/11/a", "e-2", "e-3")
    late = event("e-4", {"account_id": 7, "email": "a@example.com"}, timestamp="2026-02-28T23:59:00Z")
    home.s3.put_object(Bucket=home.policy.bucket, Key="main_stream/2026/3/1/11/b", Body=late)


def asset_events(database: Path) -> list[tuple[str, str | None, dict[str, Any]]]:
    """Return (asset, partition key, extra) of each event."""
    query = (
        "SELECT asset.name, partition_key, asset_event.extra FROM asset_event"
        " JOIN asset ON asset.id = asset_event.asset_id ORDER BY asset_event.id"
    )
    with closing(sqlite3.connect(database)) as connection:
        return [(name, key, json.loads(extra)) for name, key, extra in connection.execute(query)]


def check_assets(events: list[tuple[str, str | None, dict[str, Any]]], home: Home) -> None:
    rows, complete, *days = events
    uri = f"file://{home.lake}/events"
    assert rows == (
        "pismo_lake_sandbox_s3",
        None,
        {
            "delivery": "sandbox_s3", "uri": uri, "rows": 4, "events": 5, "files": 3,
            "units": [f"{DAY}T10", f"{DAY}T11"], "tables": ["pix/pix_in-1"], "event_dates": ["2026-02-28", DAY],
            "left_out": {},
        },
    )  # fmt: skip
    assert complete[:2] == ("pismo_lake_sandbox_s3", None)
    assert (complete[2]["verdict"], complete[2]["units"], complete[2]["rows"]) == ("complete", [DAY], 4)
    assert sorted((name, key) for name, key, _ in days) == [
        ("pismo_days_sandbox_s3", "2026-02-28"), ("pismo_days_sandbox_s3", DAY),
    ]  # fmt: skip
    assert {(extra["publish_date"], extra["rows"]) for *_, extra in days} == {(DAY, 4)}


def completed(events: list[dict[str, Any]], task: str) -> dict[str, Any]:
    """Return the only event of a task's success with outputs, in a run by hand."""
    (found,) = [
        each
        for each in events
        if each["eventType"] == "COMPLETE"
        and each["job"]["name"].endswith(f".{task}")
        and each["outputs"]
        # a scheduler also closes the day before today
        and each["run"]["facets"]["airflow"]["dagRun"]["run_id"].startswith("manual__")
    ]
    return found


def check_lineage(events: list[dict[str, Any]], home: Home) -> None:
    landed = completed(events, "land_event_files")
    assert landed["inputs"][0]["namespace"] == f"s3://{home.policy.bucket}"
    landing = f"{home.root}/landing/sandbox_s3/main_stream"
    raw, *tables = landed["outputs"]
    assert (raw["namespace"], raw["name"]) == ("file", landing)
    assert raw["outputFacets"]["outputStatistics"]["fileCount"] == 3
    assert [table["name"] for table in tables] == [f"{home.lake}/{FOLDER}"]
    assert landed["run"]["facets"]["pismo_units"]["units"] == [f"{DAY}T10", f"{DAY}T11"]

    closed = completed(events, "close_publish_day")
    units = closed["run"]["facets"]["pismo_units"]
    assert (units["delivery"], units["units"], units["unit_count"]) == ("sandbox_s3", [DAY], 1)
    assert [item["name"] for item in closed["inputs"]] == [landing]
    (table,) = closed["outputs"]
    assert table["name"] == f"{home.lake}/{FOLDER}"
    assert table["outputFacets"]["outputStatistics"]["rowCount"] == 4
    columns = {field["name"]: field["type"] for field in table["facets"]["schema"]["fields"]}
    assert columns["data__account_id"] == "int64"
    origins = table["facets"]["columnLineage"]["fields"]
    of_account, of_mail = origins["data__account_id"], origins["data__email"]
    assert (of_account["inputFields"][0]["field"], of_account["transformationType"]) == ("data.account_id", "IDENTITY")
    assert (of_mail["inputFields"][0]["field"], of_mail["transformationType"]) == ("data.email", "MASKED")
    assert of_mail["transformationDescription"] in {"hash", "mask", "drop"}
    assert origins["event_timestamp"]["inputFields"][0]["field"] == "timestamp"
    assert "_source_file" not in origins

    (lake,) = completed(events, "report_publish_day")["inputs"]
    checks = lake["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert len(checks) > 3
    assert all(check["success"] for check in checks)
    building = (".land_event_files", ".flatten_publish_hour")
    written = [
        output["outputFacets"]["outputStatistics"].get("rowCount", 0)
        for each in events
        if each["eventType"] == "COMPLETE" and each["job"]["name"].endswith(building)
        for output in each["outputs"]
    ]
    assert sum(written) == 4
    assert "a@example.com" not in json.dumps(events)


def test_lineage_is_written_to_a_file_and_assets_get_one_event_a_run(home: Home) -> None:
    log = home.root / "lineage.jsonl"
    transport = {"type": "file", "log_file_path": str(log), "append": True}
    environment = home.environment | {
        "AIRFLOW__OPENLINEAGE__DISABLED": "false",
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport),
        # dag.test runs all tasks in one process, which has threads that a fork would lose
        "AIRFLOW__OPENLINEAGE__EXECUTE_IN_THREAD": "True",
    }
    with dag_runs(environment, home.root) as home.runs:
        ingest, close, again = home.run(("ingest", WINDOW), ("close", {"publish_day": DAY}), ("ingest", WINDOW))
    assert [ingest.state, close.state, again.state] == ["success", "success", "success"], ingest.log[-3000:]
    assert again.tasks["announce_rows[-1]"] == "skipped"
    check_assets(asset_events(home.root / "airflow" / "airflow.db"), home)
    check_lineage([json.loads(line) for line in log.read_text().splitlines()], home)


def test_dead_sinks_fail_no_run(home: Home) -> None:
    # the port is taken, and nobody answers on it: each connection is refused
    with socket.socket() as dead:
        dead.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{dead.getsockname()[1]}"
        page = (ROOT / "docs" / "how-to" / "lineage.md").read_text()
        (transport,) = re.findall(r"^AIRFLOW__OPENLINEAGE__TRANSPORT='(.*)'$", page, re.MULTILINE)
        environment = home.environment | {
            "AIRFLOW__OPENLINEAGE__DISABLED": "false",
            "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(json.loads(transport) | {"url": url}),
            "AIRFLOW__OPENLINEAGE__EXECUTE_IN_THREAD": "True",
            "AIRFLOW__METRICS__OTEL_ON": "True",
            "OTEL_EXPORTER_OTLP_ENDPOINT": url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        }
        with dag_runs(environment, home.root) as home.runs:
            ingest, close = home.run(("ingest", WINDOW), ("close", {"publish_day": DAY}))
    assert [ingest.state, close.state] == ["success", "success"], ingest.log[-3000:]
    assert "Failed to emit" in ingest.log
    # the client tries again at once, and then gives up: nothing waits
    assert "Retrying (Retry(total=4, connect=0" in ingest.log
    assert "Retry(total=3" not in ingest.log
    check_assets(asset_events(home.root / "airflow" / "airflow.db"), home)
