"""Close days in real Airflow (`dag.test`): dry run, second close, event ids, alerts."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from tests.airflow_runs import ROOT, DagRun, DagRuns, airflow_home, dag_runs

from pismo_sandbox.check.truth import Truth
from pismo_sandbox.check.verify import verify
from pismo_sandbox.feed.accounting import publish_accounting_report
from pismo_sandbox.feed.publisher import Dials, Publisher, S3Sink
from pismo_sandbox.s3.server import ADMIN_KEY, ADMIN_SECRET, CONSUMER_KEY, CONSUMER_SECRET, running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration
DAY, NEXT = "2026-03-01", "2026-03-02"


class Home:
    """An Airflow home, a look-alike with a topic for alerts, and a lake."""

    runs: DagRuns

    def __init__(self, root: Path, sandbox: Any, truth: Truth, database: Path) -> None:
        self.root, self.policy, self.truth, self.lake = root, sandbox.policy, truth, root / "lake"
        self.ledger = f"sqlite:///{root / 'ledger.db'}"
        self.s3 = sandbox.admin("s3")
        topic = sandbox.admin("sns").create_topic(Name="alerts-of-closing")["TopicArn"]
        self.sqs = sandbox.admin("sqs")
        self.queue = self.sqs.create_queue(QueueName="alerts-of-closing")["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sandbox.admin("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        text = (ROOT / "config" / "deliveries.yaml").read_text()
        more = (
            f"    accounting_reports: true\n    alerts: {{topic_arn: '{topic}', conn_id: admin, region: us-east-1}}\n"
        )
        (root / "deliveries.yaml").write_text(text.rstrip() + "\n" + more)
        consumer = {"conn_type": "aws", "login": CONSUMER_KEY, "password": CONSUMER_SECRET}
        admin = {"conn_type": "aws", "login": ADMIN_KEY, "password": ADMIN_SECRET}
        admin["extra"] = {"endpoint_url": sandbox.endpoint}  # type: ignore[assignment]
        self.environment = airflow_home(root / "airflow", database) | {
            "AIRFLOW_CONN_PISMO_SANDBOX_S3": json.dumps(consumer),
            "AIRFLOW_CONN_ADMIN": json.dumps(admin),
            "PISMO_DELIVERIES": str(root / "deliveries.yaml"),
            "PISMO_ENDPOINT_URL": sandbox.endpoint,
            "PISMO_LANDING": str(root / "landing"),
            "PISMO_LAKE": str(self.lake),
            "PISMO_LEDGER_URL": f"sqlite:///{root / 'ledger.db'}",
        }

    def run(self, *steps: tuple[str, dict[str, Any]]) -> list[DagRun]:
        """Run DAGs one after another."""
        # times of which no schedule and no other run has anything
        return [self.runs.run(f"pismo_{kind}_sandbox_s3", conf, days_ago=900) for kind, conf in steps]

    @contextmanager
    def without(self, prefix: str) -> Iterator[None]:
        """Hide the files below a prefix from the source for a while."""
        bucket = self.policy.bucket
        taken = {}
        for item in self.s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]:
            taken[item["Key"]] = self.s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
            self.s3.delete_object(Bucket=bucket, Key=item["Key"])
        yield
        for key, body in taken.items():
            self.s3.put_object(Bucket=bucket, Key=key, Body=body)

    def files(self) -> dict[str, bytes]:
        found = (path for path in self.root.glob("l*/**/*") if path.is_file())
        return {str(path.relative_to(self.root)): path.read_bytes() for path in found}

    def report(self, day: str) -> dict[str, Any]:
        path = self.lake / "reports" / f"publish_date={day}" / "sandbox_s3.json"
        return dict(json.loads(path.read_text()))

    def alerts(self) -> list[str]:
        """Take the alerts from the queue and delete them, else they return after half a minute."""
        found = []
        while got := self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for message in got:
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
                found.append(json.loads(message["Body"])["Message"])
        return found


@pytest.fixture
def home(tmp_path: Path, airflow_database: Path) -> Iterator[Home]:
    root = tmp_path
    with running_sandbox() as sandbox:
        truth = Truth(root / "truth.db")
        sink = S3Sink(sandbox.admin("s3"), sandbox.policy.bucket)
        publisher = Publisher(sink, truth, seed=3, dials=Dials.everything())
        publisher.publish(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, 1, tzinfo=UTC), 3_000_000)
        publish_accounting_report(sink, truth, date(2026, 3, 1))
        found = Home(root, sandbox, truth, airflow_database)
        with dag_runs(found.environment, root) as found.runs:
            yield found
        truth.close()


def test_days_are_closed_in_airflow(home: Home) -> None:
    """Run one story, since each run takes seconds: no files, ingest, closes, a lost row."""
    window = {"window_start": f"{DAY}T10:00:00Z", "window_end": f"{DAY}T14:00:00Z"}
    dry, dry_ingest, ingest = home.run(
        ("close", {"publish_day": DAY, "dry_run": True}), ("ingest", window | {"dry_run": True}), ("ingest", window)
    )
    assert set(dry.tasks.values()) == {"skipped"}
    assert f"build: {DAY}T23: new, with the files above" in dry.log
    assert f"build: {DAY}: new, with the files above" in dry.log
    assert "land: 84 file(s)" in dry_ingest.log
    assert ingest.state == "success", ingest.log[-3000:]

    with home.without("main_stream/2026/3/1/20/"):
        (closed,) = home.run(("close", {"publish_day": DAY}))
    assert closed.state == "failed", closed.log[-3000:]
    # the link to the report is made after a failure too
    assert "Failed to push an xcom" not in closed.log
    (alert,) = home.alerts()
    assert {name for name, state in closed.tasks.items() if state == "failed"} == {"report_publish_day[-1]"}
    assert "is incomplete: " in closed.log
    assert "differ from Pismo's accounting report" in alert
    assert f"publish_date={DAY}/sandbox_s3.html" in alert
    assert [hour["verdict"] for hour in home.report(DAY)["silent_hours"]] == ["suspect"]

    states = [run.state for run in home.run(("close", {"publish_day": DAY}), ("close", {"publish_day": NEXT}))]
    assert states == ["success", "success"]
    assert verify(home.lake, home.truth).problems == []
    assert not list(home.lake.rglob("events/**/*T??-p*.parquet"))
    report = home.report(DAY)
    assert report["complete"] is True, report
    assert report["verdict"] == "complete"
    assert report["files"] == 288
    assert report["accounting_agrees"] is True
    assert sum(line["lake_entries"] for line in report["accounting"]) > 10
    assert home.alerts() == []
    _closed_again_without_listing(home)
    _a_lost_row_is_found(home)
    _a_file_that_nothing_owns_is_found(home)


def _closed_again_without_listing(home: Home) -> None:
    before = home.files()
    some = next(home.lake.glob("events/domain=pix/**/*.parquet"))
    event_id = pq.ParquetFile(some).read(["event_id"]).column("event_id")[0].as_py()
    home.policy.list_allowed = False
    try:
        runs = home.run(
            ("close", {"publish_day": DAY}),
            ("close", {"publish_day": DAY, "relist": False, "force": True}),
            ("ingest", {"event_ids": [event_id]}),
            ("ingest", {"event_ids": ["no-such-event"]}),
        )
    finally:
        home.policy.list_allowed = True
    assert [run.state for run in runs] == ["success", "success", "success", "failed"], runs
    assert "no landed file of sandbox_s3 has no-such-event" in runs[3].log
    after = home.files()
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    # the report says how the source was looked at, the ledger who built last, and each write leaves its mark
    written = ("ledger", "lake/_lake/")
    assert {name for name in changed if "/reports/" not in name and not name.startswith(written)} == set()


def _a_lost_row_is_found(home: Home) -> None:
    victim = next(home.lake.glob(f"events/domain=pix/**/sandbox_s3-{DAY}-p*.parquet"))
    kept = victim.read_bytes()
    table = pq.ParquetFile(victim).read()
    pq.write_table(table.slice(1), victim)
    try:
        (run,) = home.run(("close", {"publish_day": DAY}))
    finally:
        victim.write_bytes(kept)
    states = (run.state, run.tasks["close_publish_day[-1]"], run.tasks["report_publish_day[-1]"])
    assert states == ("failed", "success", "failed")
    assert "does not balance: rows built = rows in the lake's files" in run.log
    assert home.report(DAY)["balanced"] is False


def _a_file_that_nothing_owns_is_found(home: Home) -> None:
    output = next(home.lake.glob(f"events/domain=pix/**/sandbox_s3-{DAY}-p*.parquet"))
    stray = output.with_name(f"sandbox_s3-{DAY}T12-p0000-0123456789.parquet")
    shutil.copy(output, stray)
    try:
        (run,) = home.run(("close", {"publish_day": DAY}))
    finally:
        stray.unlink()
    states = (run.state, run.tasks["close_publish_day[-1]"], run.tasks["report_publish_day[-1]"])
    assert states == ("failed", "success", "failed")
    name = f"{stray.relative_to(home.lake)} (unknown file)"
    assert name in run.log
    report = home.report(DAY)
    assert (report["balanced"], report["verdict"]) == (True, "incomplete")
    assert name in report["reasons"][0]
