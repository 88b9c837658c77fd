"""Ingest and close many days in real Airflow, with killed processes and late files.

PISMO_FEED_DAYS=30 makes the feed a month of 8,640 files (`make soak`).
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
import psutil
import pytest
from tests.airflow_runs import DATABASE, retry_soon
from tests.backfills import list_backfilled, make_backfill, pause, trigger
from tests.killer import NOTICED_SOON, signalled, task_processes
from tests.waiting import until

from pismo_demo.airflow_api import AirflowApi, ApiError
from pismo_demo.airflow_home import USER, Secrets, airflow_environment, make_home
from pismo_demo.channels import feed_of, server_of, sink_of
from pismo_demo.ports import unusual_ports
from pismo_demo.processes import Notes, Started, start, stop
from pismo_demo.servers import Places, start_sandbox, wait_for_airflow
from pismo_sandbox.check.truth import Truth
from pismo_sandbox.check.verify import verify
from pismo_sandbox.feed.publisher import Dials, Publisher, Sink
from pismo_sandbox.s3.server import ADMIN_KEY, ADMIN_SECRET, REGION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.slow]
DAYS = int(os.environ.get("PISMO_FEED_DAYS", "2"))
FIRST = datetime(2026, 3, 1, tzinfo=UTC)
LAST = FIRST + timedelta(days=DAYS - 1)
INGEST, CLOSE = "pismo_ingest_sandbox_s3", "pismo_close_sandbox_s3"
BYTES_A_DAY = 700_000
INGESTED_HOURS, INGESTED_UNTIL = (4, 26) if DAYS == 2 else (25, 31)
"""Hours that an ingesting run lands and builds while their days are closed, and their end, in hours of the feed.

Each hour takes two tasks, of a process each.
"""
OVER = {"success", "failed"}


class LateSink:
    """Stores its files, except some files and one whole hour, which `release` stores."""

    def __init__(self, sink: Sink, seed: int) -> None:
        self._sink, self._random, self.held = sink, random.Random(seed), dict[str, bytes]()

    def put(self, key: str, data: bytes) -> None:
        if key.startswith("main_stream/2026/3/2/7/") or self._random.random() < 0.03:
            self.held[key] = data
        else:
            self._sink.put(key, data)

    def release(self) -> None:
        for key, data in self.held.items():
            self._sink.put(key, data)


class Month:
    """The look-alike with its feed, and an Airflow that can be killed and started again."""

    def __init__(self, root: Path, database: Path) -> None:
        self.places = Places(root / "demo")
        self.places.logs.mkdir(parents=True)
        self.notes = Notes(self.places.home / "running.json")
        place = start_sandbox(server_of("s3", self.places.home), self.places, self.notes)
        told = feed_of("s3", self.places.home, place)
        deliveries = self._with_alerts(told.deliveries, place["endpoint"])
        self.truth = Truth(self.places.truth)
        self.sink = LateSink(sink_of("s3", self.places.home, place), seed=5)
        publisher = Publisher(self.sink, self.truth, seed=9, dials=Dials.everything())
        publisher.publish(FIRST, LAST + timedelta(days=1), BYTES_A_DAY * DAYS)
        secrets, self.ports, home = Secrets.new(), unusual_ports(), self.places.home / "airflow"
        make_home(home, secrets)
        retry_soon(home)
        shutil.copyfile(database, home / DATABASE)
        feed = {f"AIRFLOW_CONN_{name.upper()}": json.dumps(value) for name, value in told.connections.items()}
        feed |= {"AIRFLOW_CONN_ADMIN": json.dumps(self._admin(place["endpoint"]))}
        feed |= told.variables | {
            "PISMO_DELIVERIES": str(deliveries),
            "PISMO_LANDING": str(self.places.landing),
            "PISMO_LAKE": str(self.places.lake),
            "PISMO_LEDGER_URL": f"sqlite:///{self.places.home}/ledger.db",
        }
        self.environment = airflow_environment(os.environ, home, self.ports, secrets, feed) | NOTICED_SOON
        self.api = AirflowApi(self.ports.api, USER, secrets.password)
        self.airflow = self.start()

    def _with_alerts(self, path: Path, endpoint: str) -> Path:
        """Return deliveries with a topic for alerts, and a deadline that no killed run can keep."""
        own = {"endpoint_url": endpoint, "region_name": REGION}
        own |= {"aws_access_key_id": ADMIN_KEY, "aws_secret_access_key": ADMIN_SECRET}
        sns, self.sqs = boto3.client("sns", **own), boto3.client("sqs", **own)
        topic = sns.create_topic(Name="alerts-of-backfill")["TopicArn"]
        self.queue = self.sqs.create_queue(QueueName="alerts-of-backfill")["QueueUrl"]
        names = ["QueueArn"]
        arn = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=names)["Attributes"]["QueueArn"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        more = f"    alerts: {{topic_arn: '{topic}', conn_id: admin, region: {REGION}}}\n"
        more += "    close_after_hours: 0\n    close_deadline_hours: 0.003\n"
        fresh = self.places.home / "deliveries.yaml"
        fresh.write_text(path.read_text().rstrip() + "\n" + more)
        return fresh

    def _admin(self, endpoint: str) -> dict[str, Any]:
        keys = {"login": ADMIN_KEY, "password": ADMIN_SECRET}
        return {"conn_type": "aws", **keys, "extra": {"endpoint_url": endpoint}}

    def alerts(self) -> list[str]:
        """Take the alerts from the queue."""
        found = []
        while got := self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for message in got:
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
                found.append(json.loads(message["Body"])["Message"])
        return found

    def start(self) -> Started:
        command = [sys.executable, "-m", "airflow", "standalone"]
        self.airflow = start("airflow", command, self.environment, self.places.logs / "airflow.log", self.notes)
        wait_for_airflow(self.airflow, self.api)
        return self.airflow

    def kill_everything(self) -> None:
        """Scheduler, triggerer, workers, tasks: SIGKILL to each process of Airflow's session."""
        for process in psutil.process_iter():
            try:
                if os.getsid(process.pid) == self.airflow.pid:
                    process.send_signal(signal.SIGKILL)
            except (ProcessLookupError, psutil.Error):
                continue
        stop(self.airflow)
        self.notes.remove(self.airflow)

    def task_processes(self) -> list[psutil.Process]:
        return task_processes(self.airflow.pid)

    def backfill_close(self) -> None:
        """Backfill all days, or all of them again."""
        make_backfill(self.api, CLOSE, FIRST, LAST, min(DAYS, 30))

    def wait(self, dag_id: str = CLOSE, runs: int = DAYS) -> dict[str, str]:
        """Wait until every backfilled run is over, and return their states."""
        states: dict[str, str] = {}

        def over() -> bool:
            try:
                states.update(list_backfilled(self.api, dag_id))
            except ApiError:
                return False
            return len(states) == runs and set(states.values()) <= OVER

        until(over, lambda: states, pause=1, progress=lambda: (sorted(states.items()), self.tries()))
        return states

    def tries(self) -> int:
        """Return how many times a task was tried: on a slow machine a run of many tasks takes long."""
        return sum(1 for _ in (self.places.home / "airflow" / "logs").rglob("attempt=*.log"))

    def files(self) -> dict[str, bytes]:
        found = (path for folder in (self.places.lake, self.places.landing) for path in folder.rglob("*"))
        return {str(path): path.read_bytes() for path in found if path.is_file()}

    def reports(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in sorted(self.places.lake.rglob("reports/**/*.json"))]


class Chaos(threading.Thread):
    """Kills a task's process from time to time, and everything once, a given number of times."""

    def __init__(self, month: Month, seed: int, kills: int) -> None:
        super().__init__(name="chaos", daemon=True)
        self._month, self._random, self._left = month, random.Random(seed), kills
        self._over = threading.Event()
        self.tasks = self.airflows = 0

    def run(self) -> None:
        half = self._left // 2
        while self._left and not self._over.wait(self._random.uniform(0.5, 3)):
            running = self._month.task_processes()
            if running:
                if not signalled(self._random.choice(running), signal.SIGKILL):
                    continue
                self.tasks += 1
                self._left -= 1
                if self._left == half:
                    self._month.kill_everything()
                    self._month.start()
                    self.airflows += 1

    def end(self) -> None:
        self._over.set()
        self.join()


@pytest.fixture
def month(tmp_path: Path, airflow_database: Path) -> Iterator[Month]:
    month = Month(tmp_path, airflow_database)
    yield month
    month.truth.close()
    for started in month.notes.all():
        stop(started)


def test_days_are_backfilled_exactly_whatever_is_killed(month: Month) -> None:
    until(lambda: month.api.is_dag_known(CLOSE) and month.api.is_dag_known(INGEST), month.api.import_errors, pause=0.5)
    month.backfill_close()
    pause(month.api, INGEST, paused=False)
    end = FIRST + timedelta(hours=INGESTED_UNTIL)
    window = {"window_start": end - timedelta(hours=INGESTED_HOURS), "window_end": end}
    trigger(month.api, INGEST, {name: f"{moment:%Y-%m-%dT%H:%M:%SZ}" for name, moment in window.items()})
    chaos = Chaos(month, seed=DAYS, kills=DAYS + 2)
    chaos.start()
    try:
        month.wait()
    finally:
        chaos.end()
    assert chaos.tasks >= 2
    assert chaos.airflows == 1
    alerts: list[str] = []

    def told_of_delay() -> bool:
        alerts.extend(month.alerts())
        return any("closing a publish day is late" in text for text in alerts)

    until(told_of_delay, lambda: alerts, pause=0.5)

    month.sink.release()
    assert len(month.sink.held) > 12
    # the ingest of some quarters of an hour, each of which looks back three hours
    early = {key for key in month.sink.held if key.split("/")[1:4] == ["2026", "3", "1"] and key.split("/")[4] in "345"}
    make_backfill(month.api, INGEST, FIRST + timedelta(hours=6), FIRST + timedelta(hours=6, minutes=15), 2)
    assert set(month.wait(INGEST, runs=2).values()) == {"success"}
    missing = [key for key in early if not (month.places.landing / "sandbox_s3" / key).is_file()]
    assert (bool(early), missing) == (True, [])

    month.backfill_close()
    assert set(month.wait().values()) == {"success"}
    found = verify(month.places.lake, month.truth)
    assert found.problems == []
    assert not list(month.places.lake.glob("events/**/*T??-p*.parquet"))
    mine = [report for report in month.reports() if report["files"]]
    assert len(mine) == DAYS
    assert [report["publish_date"] for report in mine if not report["complete"]] == []
    assert sum(report["rows"] for report in mine) == found.events

    before = month.files()
    month.backfill_close()
    assert set(month.wait().values()) == {"success"}
    assert month.files() == before
