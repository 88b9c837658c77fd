"""A file that cannot be landed stops nothing else in real Airflow.

The tests check failed tasks, quarantine, verdicts, assets and XCom.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from tests.airflow_runs import dag_runs
from tests.integration.test_close_dag import Home
from tests.lakes import event

from pismo.runs.chunks import Chunk
from pismo_lake.cli.main import main
from pismo_sandbox.check.truth import Truth
from pismo_sandbox.s3.server import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration
DAY, NEXT = "2026-03-01", "2026-03-02"
IN_SUB_FOLDER = "main_stream/2026/3/1/10/late/b"
REFUSED = "main_stream/2026/3/1/11/refused"
WINDOW = {"window_start": f"{DAY}T09:00:00Z", "window_end": f"{DAY}T13:00:00Z"}


@pytest.fixture
def home(tmp_path: Path, airflow_database: Path) -> Iterator[Home]:
    with running_sandbox() as sandbox:
        truth = Truth(tmp_path / "truth.db")
        home = Home(tmp_path, sandbox, truth, airflow_database)
        deliveries = tmp_path / "deliveries.yaml"
        text = deliveries.read_text().replace("accounting_reports: true", "quarantine_after: 2\n    chunk_bytes: 800")
        deliveries.write_text(text)
        with dag_runs(home.environment, tmp_path) as home.runs:
            yield home
        truth.close()


def put(home: Home, key: str, *ids: str) -> None:
    body = b"".join(event(event_id, timestamp=f"{DAY}T10:00:00Z") for event_id in ids)
    home.s3.put_object(Bucket=home.policy.bucket, Key=key, Body=body)


def query(home: Home, text: str) -> list[Any]:
    with closing(sqlite3.connect(home.root / "airflow" / "airflow.db")) as database:
        return database.execute(text).fetchall()


def complete_days(home: Home) -> list[str]:
    """Return the days that an asset event of a closing run calls complete."""
    rows = query(
        home,
        "SELECT asset_event.extra FROM asset_event JOIN asset ON asset.id = asset_event.asset_id"
        " WHERE source_dag_id LIKE 'pismo_close%' AND asset.name LIKE 'pismo_lake_%' ORDER BY asset_event.id",
    )
    return [json.loads(extra)["publish_date"] for (extra,) in rows]


def events(home: Home) -> set[str]:
    paths = home.lake.glob("events/**/*.parquet")
    return {value for path in paths for value in pq.ParquetFile(path).read(["event_id"]).column(0).to_pylist()}


def failed(tasks: dict[str, str]) -> set[str]:
    return {name.partition("[")[0] for name, state in tasks.items() if state not in {"success", "skipped"}}


def test_a_bad_file_stops_no_other_file_and_is_quarantined(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """One story, since each run takes seconds."""
    (empty,) = home.run(("close", {"publish_day": DAY}))
    assert (empty.state, failed(empty.tasks)) == ("success", set())
    assert (home.report(DAY)["verdict"], home.report(DAY)["complete"]) == ("no files", False)
    (alert,) = home.alerts()
    assert "the delivery has never had one" in alert

    put(home, "main_stream/2026/3/1/10/a", "e-1", "e-2")
    put(home, "main_stream/2026/3/1/11/a", "e-3")
    put(home, "main_stream/2026/3/1/12/a", "e-3", "e-4")
    put(home, IN_SUB_FOLDER, "e-5")
    put(home, REFUSED, "e-6")
    put(home, "main_stream/2026/3/2/10/a", "e-7")
    home.policy.vanished.add(REFUSED)
    ingest, close, again = home.run(("ingest", WINDOW), ("close", {"publish_day": DAY}), ("ingest", WINDOW))
    assert (ingest.state, failed(ingest.tasks)) == ("failed", {"check_landing"}), ingest.log[-3000:]
    assert f"not landed: {IN_SUB_FOLDER}: {IN_SUB_FOLDER} is not directly in an hour folder" in ingest.log
    assert f"not landed: {REFUSED}: " in ingest.log
    assert {"e-1", "e-2", "e-3", "e-4"} <= events(home)
    _sums_are_what_was_written(home)

    assert (close.state, failed(close.tasks)) == ("failed", {"check_landing", "report_publish_day"})
    assert "it is quarantined now" in close.log
    report = home.report(DAY)
    assert (report["verdict"], report["closed"], report["balanced"]) == ("incomplete", True, True)
    assert {(file["key"], file["state"]) for file in report["open_files"]} == {
        (IN_SUB_FOLDER, "quarantined, not landed"), (REFUSED, "quarantined, not landed"),
    }  # fmt: skip
    assert f"incomplete: 2 file(s) are missing from the lake or wrong in it: {IN_SUB_FOLDER}" in close.log
    assert again.state == "success"

    assert main(["files", "--failed", "--lake", str(home.lake), "--ledger", home.ledger]) == 0
    assert capsys.readouterr().out.count("quarantined") == 2
    home.policy.vanished.clear()
    retried, closed, following = home.run(
        ("ingest", WINDOW | {"retry_failed": True}), ("close", {"publish_day": DAY}), ("close", {"publish_day": NEXT})
    )
    assert (retried.state, failed(retried.tasks)) == ("failed", {"check_landing"})
    assert f"not landed: {REFUSED}" not in retried.log
    assert events(home) == {f"e-{number}" for number in (1, 2, 3, 4, 6, 7)}
    # the check is quiet about a quarantined file, the report is not
    assert (closed.state, failed(closed.tasks)) == ("failed", {"report_publish_day"})
    assert [file["key"] for file in home.report(DAY)["open_files"]] == [IN_SUB_FOLDER]
    assert following.state == "success"
    assert complete_days(home) == [NEXT]


def _sums_are_what_was_written(home: Home) -> None:
    """Check that tasks share no file and no unit, and that their rows add up to the lake's."""
    where = "WHERE dag_id LIKE 'pismo_ingest%' AND task_id ="
    first = f"{where} 'find_new_files' AND key = 'return_value' ORDER BY timestamp LIMIT 1"
    chunks = [Chunk.from_json(chunk) for chunk in json.loads(query(home, f"SELECT value FROM xcom {first}")[0][0])]
    assert len(chunks) == 2
    keys = [f"main_stream/2026/3/1/{hour}/a" for hour in (10, 11, 12)]
    assert [[chunk.has_key(key) for chunk in chunks].count(True) for key in (*keys, IN_SUB_FOLDER, REFUSED)] == [1] * 5
    landed = query(home, f"SELECT value FROM xcom {where} 'land_event_files' AND key = 'built'")
    later = query(home, f"SELECT value FROM xcom {where} 'flatten_publish_hour' AND key = 'return_value'")
    built = [json.loads(value) for (value,) in (*landed, *later)]
    assert sum(counts["rows"] for counts in built) == 4
    assert sum(counts["duplicates"] for counts in built) == 1


def test_an_incomplete_day_may_be_a_warning_alone(home: Home) -> None:
    deliveries = home.root / "deliveries.yaml"
    deliveries.write_text(deliveries.read_text() + "    fail_incomplete: false\n")
    put(home, "main_stream/2026/3/1/10/a", "e-1")
    put(home, IN_SUB_FOLDER, "e-5")
    (run,) = home.run(("close", {"publish_day": DAY}))
    # the check shows the file's first failure, also if the report fails
    assert (run.state, failed(run.tasks)) == ("failed", {"check_landing"})
    assert f"{DAY} is incomplete: " in run.log
    (alert,) = home.alerts()
    assert IN_SUB_FOLDER in alert
    assert complete_days(home) == []
