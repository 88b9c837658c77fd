"""Run each channel's DAG (`dag.test`), killed once while it lands: the lake has all events.

PISMO_FEED_MEGABYTES=60 makes the feed larger (`make soak`).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
import requests
from tests.airflow_runs import RUNNER, DagRuns, airflow_home, dag_runs
from tests.waiting import until

from pismo_demo.airflow_home import plain_environment
from pismo_demo.channels import Feed, feed_of, server_of, sink_of
from pismo_demo.feed import publish
from pismo_demo.options import Options
from pismo_demo.processes import Notes, stop
from pismo_demo.servers import Places, start_sandbox
from pismo_sandbox.check.truth import Truth
from pismo_sandbox.check.verify import verify
from pismo_sandbox.gcp.cloud import BUCKET
from pismo_sandbox.s3.notices import AnnouncingSink
from pismo_sandbox.sftp.openssh import find_sshd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration
MEGABYTES = int(os.environ.get("PISMO_FEED_MEGABYTES", "12"))


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Places]:
    places = Places(tmp_path / "demo")
    places.logs.mkdir(parents=True)
    yield places
    for started in Notes(places.home / "running.json").all():
        stop(started)


def environment(places: Places, told: Feed, database: Path) -> dict[str, str]:
    connections = {f"AIRFLOW_CONN_{name.upper()}": json.dumps(value) for name, value in told.connections.items()}
    own = {
        "PISMO_DELIVERIES": str(told.deliveries),
        "PISMO_LANDING": str(places.landing),
        "PISMO_LAKE": str(places.lake),
        "PISMO_LEDGER_URL": f"sqlite:///{places.home}/ledger.db",
        "PISMO_LOOKBACK_HOURS": "2",
        # messages of the killed run return before the next run is up
        "PISMO_LEASE_SECONDS": "3",
    }
    home = airflow_home(places.home / "airflow", database)
    return home | plain_environment(os.environ) | connections | told.variables | own


def landed(places: Places) -> int:
    path = places.home / "ledger.db"
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path)) as connection:
        try:
            return int(connection.execute("SELECT count(*) FROM pismo_files").fetchone()[0])
        except sqlite3.OperationalError:
            return 0


def landed_half(process: subprocess.Popen[bytes], places: Places, files: int) -> bool:
    """Look while the process is stopped, so that it cannot land the other half."""
    process.send_signal(signal.SIGSTOP)
    assert process.poll() is None, (places.logs / "run.log").read_text()[-3000:]
    if landed(places) >= files // 2:
        return True
    process.send_signal(signal.SIGCONT)
    return False


def lake_in_google(told: Feed, storage: str) -> dict[str, str]:
    """Keep landing and lake in the customer's bucket, by the connection `google_cloud_default`."""
    extra = {"project": "our-project", "is_anonymous": "true", "api_endpoint": storage}
    told.connections["google_cloud_default"] = {"conn_type": "google_cloud_platform", "extra": extra}
    return {"PISMO_LANDING": f"gs://{BUCKET}/landing", "PISMO_LAKE": f"gs://{BUCKET}/lake"}


def fetch_lake(storage: str, folder: Path) -> None:
    """Copy the lake out of the bucket, past the code under test."""
    bucket = f"{storage}/storage/v1/b/{BUCKET}/o"
    found = requests.get(bucket, params={"prefix": "lake/", "maxResults": 5000}, timeout=60).json()
    for name in (item["name"] for item in found["items"]):
        path = folder / name.removeprefix("lake/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(requests.get(f"{bucket}/{quote(name, safe='')}", params={"alt": "media"}, timeout=60).content)


def close_the_days(runs: DagRuns, told: Feed, storage: str, lake: Path) -> None:
    """Close each day of a lake in a bucket, and copy the lake out of it."""
    assert not lake.exists()
    fetch_lake(storage, lake)
    hours = {path.name for path in lake.glob("events/**/*.parquet")}
    assert hours
    days = sorted({match[0] for name in hours if (match := re.search(r"\d{4}-\d\d-\d\d", name))})
    for day in days:
        # at times of which no other run has anything
        closed = runs.run(told.dag_id.replace("ingest", "close"), {"publish_day": day}, days_ago=900)
        assert closed.tasks["close_publish_day[-1]"] == "success", closed.log[-3000:]
    shutil.rmtree(lake)
    fetch_lake(storage, lake)
    assert {path.name for path in lake.glob("events/**/*.parquet")}.isdisjoint(hours)
    assert len(list(lake.glob("reports/publish_date=*/*.json"))) == len(days)


@pytest.mark.parametrize(
    ("channel", "in_google"),
    # a bucket of Google is in test_gcs.py, too
    [
        ("s3-notices", False),
        ("sftp", False),
        pytest.param("gcs", False, marks=pytest.mark.slow),
        pytest.param("gcs", True, marks=pytest.mark.slow),
    ],
)
def test_the_lake_is_what_was_published(places: Places, airflow_database: Path, channel: str, in_google: bool) -> None:
    if channel == "sftp" and find_sshd() is None:
        pytest.skip("no sshd on this machine: scripts/openssh installs it as root")
    place = start_sandbox(server_of(channel, places.home), places, Notes(places.home / "running.json"))
    told = feed_of(channel, places.home, place)
    options = Options(hours=1, megabytes=MEGABYTES, seed=23, home=places.home)
    sink = sink_of(channel, places.home, place)
    if channel == "gcs":
        # some notices are never sent: listing finds their files
        assert isinstance(sink, AnnouncingSink)
        sink.never = 0.3
    published = publish(options, sink, places.truth)
    assert not isinstance(sink, AnnouncingSink) or bool(sink.unannounced) == (channel == "gcs")
    lake = lake_in_google(told, place["storage"]) if in_google else {}
    settings = environment(places, told, airflow_database) | lake
    log = places.logs / "run.log"
    with log.open("wb") as output:
        killed = subprocess.Popen(RUNNER, env=settings, stdin=subprocess.PIPE, stdout=output, stderr=output)
        assert killed.stdin is not None
        killed.stdin.write(json.dumps([told.dag_id, {}, 0]).encode())
        killed.stdin.close()
        until(lambda: landed_half(killed, places, published.files), log.read_text)
        killed.kill()
        killed.wait()
    assert 0 < landed(places) < published.files
    with dag_runs(settings, places.home) as runs:
        run = runs.run(told.dag_id, {})
        (places.logs / "again.log").write_text(run.log)
        assert run.failed_tasks() == {}, run.log[-3000:]
        if in_google:
            close_the_days(runs, told, place["storage"], places.lake)
    truth = Truth(places.truth)
    try:
        found = verify(places.lake, truth)
    finally:
        truth.close()
    assert found.problems == []
    assert found.rows == published.events
