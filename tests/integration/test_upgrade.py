"""Run the DAGs on lake, landing and ledger of an earlier version: before, during and after the upgrade."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from tests.airflow_runs import DagRun, DagRuns, airflow_home, dag_runs
from tests.earlier_lake import CLOSED, NEXT, NEXT_IDS, OPEN, PACKED_IDS, WAITING_IDS, event, key, place, run

from pismo_sandbox.s3.server import CONSUMER_KEY, CONSUMER_SECRET, Sandbox, running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.integration, pytest.mark.slow]
ARCHIVES = sorted((Path(__file__).parents[1] / "fixtures").glob("earlier_lake_*.tar.gz"))
WINDOW = {"window_start": f"{CLOSED}T00:00:00Z", "window_end": "2024-03-03T00:00:00Z"}
CHANNEL = """\
    channel: s3
    conn_id: pismo_upgrade
    source:
      pismo_account_id: "123456789012"
      region: us-east-1
      bucket: {bucket}
      role_arn: {role}
      endpoint_url: {endpoint}
"""


class Upgrade:
    """An earlier lake whose feed goes on at a simulated Pismo."""

    runs: DagRuns

    def __init__(self, root: Path, sandbox: Sandbox) -> None:
        self.root, self._s3, self._bucket = root, sandbox.admin("s3"), sandbox.policy.bucket
        file = root / "deliveries.yaml"
        before, after = file.read_text().split("    channel: gcs\n    conn_id: none\n    source: {bucket: none}\n")
        source = CHANNEL.format(bucket=self._bucket, role=sandbox.policy.role_arn, endpoint=sandbox.endpoint)
        file.write_text(before + source + after)

    def publish(self, path: Path, data: bytes) -> None:
        self._s3.put_object(Bucket=self._bucket, Key=str(path), Body=data)

    def ingest(self) -> DagRun:
        return self.runs.run("pismo_ingest_earlier", WINDOW, days_ago=800)

    def close(self, day: str) -> DagRun:
        return self.runs.run("pismo_close_earlier", {"publish_day": day}, days_ago=800)

    def command(self, *arguments: str) -> str:
        done = run(self.root, *arguments)
        assert done.returncode == 0, f"{arguments}\n{done.stdout}{done.stderr}"
        return done.stdout

    def ids(self) -> Counter[str]:
        files = (self.root / "lake" / "events").rglob("*.parquet")
        return Counter(each for path in files for each in pq.ParquetFile(path).read()["event_id"].to_pylist())


@pytest.fixture(params=ARCHIVES, ids=lambda path: path.name)
def upgrade(tmp_path: Path, request: pytest.FixtureRequest, airflow_database: Path) -> Iterator[Upgrade]:
    place(request.param, tmp_path)
    with running_sandbox() as sandbox:
        found = Upgrade(tmp_path, sandbox)
        consumer = {"conn_type": "aws", "login": CONSUMER_KEY, "password": CONSUMER_SECRET}
        environment = airflow_home(tmp_path / "airflow", airflow_database) | {
            "AIRFLOW_CONN_PISMO_UPGRADE": json.dumps(consumer),
            "PISMO_DELIVERIES": str(tmp_path / "deliveries.yaml"),
        }
        with dag_runs(environment, tmp_path) as found.runs:
            yield found


def test_dags_go_on_with_an_earlier_lake(upgrade: Upgrade) -> None:
    """Run one story, since each run takes seconds."""
    for path, data in NEXT.items():
        upgrade.publish(path, data)
    refused = upgrade.ingest()
    assert refused.state == "failed"
    assert "ledger migrate" in refused.log
    assert upgrade.ids() == Counter(PACKED_IDS)

    assert "migrated from version 0000" in upgrade.command("ledger", "migrate")
    ingested = upgrade.ingest()
    assert ingested.state == "success", ingested.log[-3000:]
    expected = Counter([*PACKED_IDS, *WAITING_IDS, *NEXT_IDS])
    assert upgrade.ids() == expected
    for day in (CLOSED, OPEN):
        assert upgrade.close(day).tasks["close_publish_day[-1]"] == "success"
        assert upgrade.ids() == expected

    # a late file of a closed day, with a copy of an event of the other day that wins over the copies in the lake
    upgrade.publish(key(f"{CLOSED}T07", "late"), event("late-2", f"{CLOSED}T07") + event("next-2", f"{OPEN}T12"))
    assert upgrade.ingest().state == "success"
    expected = expected + Counter(["late-2"])
    assert upgrade.ids() == expected
    upgrade.command("erase", "--event-id", "closed-2", "--event-id", "next-1", "--reference", "ticket 2", "--raw")
    expected -= Counter(["closed-2", "next-1"])
    assert upgrade.ids() == expected
    for day in (CLOSED, OPEN):
        assert upgrade.close(day).tasks["close_publish_day[-1]"] == "success"
        assert upgrade.ids() == expected
    assert upgrade.ingest().state == "success"
    assert upgrade.ids() == expected
