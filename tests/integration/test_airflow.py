"""Run the DAG in real Airflow (`dag.test`, its own migrated home) and check the lake."""

from __future__ import annotations

import json
import random
import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from tests.airflow_runs import ROOT, DagRuns, airflow_home, dag_runs
from tests.lakes import event

from pismo_demo.ingestion import FOR_THE_REST
from pismo_lake.ledger import Ledger
from pismo_lake.ledger.raw_files import RawFile, RawLedger
from pismo_lake.ledger.tables import raw_files
from pismo_sandbox.check.truth import Truth
from pismo_sandbox.check.verify import verify
from pismo_sandbox.feed.payloads import CATALOGUE
from pismo_sandbox.feed.personal import Planter
from pismo_sandbox.feed.publisher import Dials, Publisher, S3Sink
from pismo_sandbox.s3.server import CONSUMER_KEY, CONSUMER_SECRET, Sandbox, running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration
DAG = "pismo_ingest_sandbox_s3"


class Home:
    """An Airflow home, a look-alike, and a lake."""

    runs: DagRuns
    log: str

    def __init__(self, root: Path, sandbox: Sandbox, truth: Truth, database: Path) -> None:
        self.root, self.policy, self.truth, endpoint = root, sandbox.policy, truth, sandbox.endpoint
        self._loaded = False
        self.admin = sandbox.admin("s3")
        consumer = {"conn_type": "aws", "login": CONSUMER_KEY, "password": CONSUMER_SECRET}
        # several chunks, and some of them share an hour
        known = (ROOT / "config" / "deliveries.yaml").read_text().rstrip()
        (root / "deliveries.yaml").write_text(f"{known}\n    chunk_bytes: 1200000\n")
        self.environment = airflow_home(root / "airflow", database) | {
            "AIRFLOW_CONN_PISMO_SANDBOX_S3": json.dumps(consumer),
            "PISMO_DELIVERIES": str(root / "deliveries.yaml"),
            "PISMO_ENDPOINT_URL": endpoint,
            "PISMO_LANDING": str(root / "landing"),
            "PISMO_LAKE": str(root / "lake"),
            "PISMO_LEDGER_URL": f"sqlite:///{root / 'ledger.db'}",
        }

    def run(self, **conf: object) -> tuple[str, dict[str, str]]:
        """Run the DAG; its log is kept."""
        run = self.runs.run(DAG, conf)
        self.log = run.log
        return run.state, run.tasks

    def load_all(self) -> None:
        """Land and build all files, once for all tests of a home.

        The run is forced: without new files it would wait for some, and an earlier test may have landed all.
        """
        if not self._loaded:
            assert self.run(window_start=four_hours_ago(), force=True)[0] == "success", self.log[-3000:]
            self._loaded = True


def four_hours_ago() -> str:
    return (datetime.now(UTC) - timedelta(hours=4)).isoformat()


def contents(home: Home) -> dict[Path, list[Any]]:
    """Return the rows of each Parquet file of the lake, without their nulls."""
    paths = (home.root / "lake").rglob("*.parquet")
    return {path: without_nulls(pq.ParquetFile(path).read().to_pylist()) for path in paths}


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, airflow_database: Path) -> Iterator[Home]:
    root = tmp_path_factory.mktemp("home")
    with running_sandbox() as sandbox:
        truth = Truth(root / "truth.db")
        sink = S3Sink(sandbox.admin("s3"), sandbox.policy.bucket)
        end = datetime.now(UTC)
        publisher = Publisher(sink, truth, seed=3, dials=Dials.everything())
        publisher.publish(end - timedelta(hours=2), end - timedelta(minutes=5), 6_000_000)
        found = Home(root, sandbox, truth, airflow_database)
        with dag_runs(found.environment, root) as found.runs:
            yield found
        truth.close()


def test_the_dag_lands_and_flattens_exactly_what_was_published(home: Home) -> None:
    home.load_all()
    assert verify(home.root / "lake", home.truth).problems == []
    assert CONSUMER_SECRET not in home.log

    before = contents(home)
    state, tasks = home.run(window_start=four_hours_ago(), force=True)
    assert state == "success"
    assert sum(name.startswith("land_event_files") for name in tasks) >= 2
    # nothing is left for them
    assert [tasks[f"{task}[-1]"] for task in FOR_THE_REST] == ["skipped"] * 3
    # another chunk of the first run may have found a column after this file was built
    assert contents(home) == before


def test_a_landed_file_that_is_lost_before_its_index_turns_its_own_hour_red(home: Home) -> None:
    with Ledger.open(home.environment["PISMO_LEDGER_URL"]) as ledger:
        _lose_a_landed_file(home, ledger)


def _lose_a_landed_file(home: Home, ledger: Ledger) -> None:
    key = "main_stream/2026/3/1/5/gone"
    raws = RawLedger(ledger, home.environment["PISMO_LAKE"], "sandbox_s3")
    raws.note([RawFile(key, key, 10, None, None, str(home.root / "landing" / "nowhere"))])
    try:
        # hours without files, so that this run leaves all to the other tests
        state, tasks = home.run(window_start="2026-03-01T05:00:00Z", window_end="2026-03-01T05:30:00Z")
        assert state == "failed"
        assert [name.split("[")[0] for name, state in tasks.items() if state == "failed"] == ["flatten_publish_hour"]
        assert f"{key} is gone from landing" in home.log
        assert "1 landed file(s) could not be indexed, so their events are missing" in home.log
    finally:
        with ledger.transaction() as connection:
            connection.execute(raw_files.delete().where(raw_files.c.key == key))


@pytest.mark.parametrize("how", ["lost", pytest.param("restored", marks=pytest.mark.slow)])
def test_a_ledger_that_is_not_the_lakes_own_stops_the_dag(home: Home, how: str, tmp_path: Path) -> None:
    ledger, kept = home.root / "ledger.db", tmp_path / "kept.db"
    home.load_all()
    with Ledger.open(f"sqlite:///{ledger}"):
        pass  # the last one to close takes the write-ahead log in
    shutil.copy(ledger, kept)
    try:
        if how == "lost":
            ledger.unlink()
        else:
            # a build that the copy does not know
            state, _ = home.run(window_start=four_hours_ago(), force=True)
            assert state == "success"
            newest = tmp_path / "newest.db"
            shutil.copy(ledger, newest)
            shutil.copy(kept, ledger)
            kept = newest
        before = {path: path.read_bytes() for path in (home.root / "lake").rglob("*.parquet")}
        assert before
        state, tasks = home.run()
        assert (state, tasks["find_new_files[-1]"]) == ("failed", "failed")
        assert "LedgerMismatchError" in home.log
        assert "python -m pismo_lake ledger rebuild" in home.log
        assert {path: path.read_bytes() for path in (home.root / "lake").rglob("*.parquet")} == before
    finally:
        shutil.copy(kept, ledger)


def test_listing_denied_fails_at_once_but_object_keys_work(home: Home) -> None:
    home.policy.list_allowed = False
    try:
        state, tasks = home.run()
        assert (state, tasks["find_new_files[-1]"]) == ("failed", "failed")
        assert "trigger a run with object_keys" in home.log
        state, tasks = home.run(object_keys=[home.truth.keys()[0]], force=True)
        assert state == "success", home.log[-3000:]
    finally:
        home.policy.list_allowed = True


def test_nothing_personal_leaves_the_raw_files_under_the_strict_policy(home: Home) -> None:
    """The key is in a connection; lake, index, ledger, task logs and XCom hold no planted value."""
    deliveries = home.root / "private" / "deliveries.yaml"
    deliveries.parent.mkdir()
    known = (ROOT / "config" / "deliveries.yaml").read_text().rstrip()
    deliveries.write_text(f"{known}\n    privacy: strict\n    privacy_key_conn_id: pismo_privacy\n")
    secret = "a secret nobody should read"
    environment = home.environment | {
        "PISMO_DELIVERIES": str(deliveries),
        "PISMO_LANDING": str(home.root / "private" / "landing"),
        "PISMO_LAKE": str(home.root / "private" / "lake"),
        "PISMO_LEDGER_URL": f"sqlite:///{home.root / 'private' / 'ledger.db'}",
        "AIRFLOW_CONN_PISMO_PRIVACY": json.dumps({"conn_type": "generic", "login": "k1", "password": secret}),
    }
    planter, r = Planter(), random.Random(8)
    events = [
        event(
            f"planted-{number}-{name}", planter.plant(make(r)), domain=domain, event_type=name, schema_version=version
        )
        for number in range(20)
        for domain, name, version, _, make in CATALOGUE
    ]
    at = datetime.now(UTC)
    prefix = f"main_stream/{at.year}/{at.month}/{at.day}/{at.hour}"
    home.admin.put_object(Bucket=home.policy.bucket, Key=f"{prefix}/planted", Body=b"".join(events))
    try:
        with dag_runs(environment, home.root) as runs:
            run = runs.run(DAG, {})
    finally:
        # the other tests compare the bucket with the published events
        home.admin.delete_object(Bucket=home.policy.bucket, Key=f"{prefix}/planted")
    assert run.state == "success", run.log[-3000:]
    searched = run.log.encode() + (home.root / "airflow" / "airflow.db").read_bytes()
    for path in (home.root / "private").rglob("*"):
        if path.is_file() and path != home.root / "private" / "landing" / "sandbox_s3" / prefix / "planted":
            searched += (
                repr(pq.read_table(path).to_pylist()).encode() if path.suffix == ".parquet" else path.read_bytes()
            )
    assert b"planted-0-succeeded" in searched
    assert len(planter.values) > 500
    assert [value for value in planter.values if value.encode() in searched] == []
    assert secret.encode() not in searched
