"""Ingest and close with tables in real Airflow (`dag.test`), on each kind of catalog that runs on this machine."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from pyiceberg.catalog import load_catalog
from tests.airflow_runs import DATABASE, DagRuns, airflow_home, dag_runs
from tests.catalog_reader import verify_tables
from tests.postgres import make_database, running_postgres
from tests.rest_catalog import CLIENT, SECRET, RestCatalog, running_rest_catalog

from pismo_lake.ledger import Ledger
from pismo_sandbox.check.truth import Truth
from pismo_sandbox.feed.publisher import Dials, Publisher, S3Sink
from pismo_sandbox.s3.server import (
    ADMIN_KEY,
    ADMIN_SECRET,
    CONSUMER_KEY,
    CONSUMER_SECRET,
    OWN_BUCKET,
    REGION,
    running_sandbox,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyiceberg.catalog import Catalog

pytestmark = pytest.mark.integration
DAY = "2026-03-01"
DELIVERY = """\
  {name}:
    organisation: TN-00000000-1111-4222-8333-444444444444
    environment: sandbox
    channel: s3
    conn_id: pismo_sandbox_s3
    source: {{pismo_account_id: "123456789012", endpoint_url: {endpoint}, region: us-east-1}}
    landing: {root}/{name}/landing
    lake: {root}/{name}/lake
    storage_conn_id: {storage}
    {ledger}
    table_format: iceberg
    catalog: {catalog}
    # two of the days have their files written by several tasks
    close_tasks: {tasks}
    close_task_bytes: 1000
"""


class Home:
    """An Airflow home with four deliveries of one feed: each has a lake with tables in another catalog."""

    runs: DagRuns

    def __init__(self, root: Path, sandbox: Any, server: str, database: Path, rest: RestCatalog) -> None:
        port = int(server.rsplit(":", 1)[1].split("/")[0])
        # runs create no ledger on a server
        Ledger.open(make_database(server, "ledgers")).close()
        self._postgres = make_database(server, "catalogs")
        self._root, self._endpoint, self._rest = root, sandbox.endpoint, rest
        bucket = f"s3://{OWN_BUCKET}"
        glue = json.dumps({"type": "glue", "properties": {"glue.endpoint": sandbox.endpoint}})
        own = f"ledger_url: sqlite:///{root}/{{}}/pismo-ledger.db"
        text = "deliveries:\n" + "".join(
            DELIVERY.format(
                endpoint=sandbox.endpoint,
                name=name,
                root=place,
                storage=storage,
                ledger=ledger,
                catalog=of,
                tasks=tasks,
            )
            for name, place, storage, ledger, of, tasks in (
                ("on_disk", str(root), "null", own.format("on_disk"), "null", 3),
                ("on_server", bucket, "store", "ledger_conn_id: ledger", "{type: sql, conn_id: catalog}", 3),
                ("in_glue", bucket, "store", own.format("in_glue"), glue, 1),
                ("in_rest", bucket, "store", own.format("in_rest"), "{type: rest, conn_id: rest}", 1),
            )
        )
        (root / "deliveries.yaml").write_text(text)
        postgres = {"conn_type": "postgres", "host": "127.0.0.1", "port": port, "login": "ledger"}
        store = {"conn_type": "aws", "login": ADMIN_KEY, "password": ADMIN_SECRET}
        store["extra"] = {"endpoint_url": sandbox.endpoint, "region_name": REGION}  # type: ignore[assignment]
        connections: dict[str, dict[str, Any]] = {
            "PISMO_SANDBOX_S3": {"conn_type": "aws", "login": CONSUMER_KEY, "password": CONSUMER_SECRET},
            "REST": {
                "conn_type": "http", "host": "127.0.0.1", "schema": "http", "port": rest.port, "login": CLIENT,
                "password": SECRET,
            },
            "STORE": store, "LEDGER": postgres | {"schema": "ledgers"}, "CATALOG": postgres | {"schema": "catalogs"},
        }  # fmt: skip
        self.airflow = root / "airflow"
        self.environment = airflow_home(self.airflow, database) | {
            "PISMO_DELIVERIES": str(root / "deliveries.yaml"),
            **{f"AIRFLOW_CONN_{name}": json.dumps(connection) for name, connection in connections.items()},
        }

    @contextmanager
    def reader(self, name: str) -> Iterator[Catalog]:
        """Open the catalog of a delivery as a reader does that knows nothing of the lake."""
        store, rest = store_of(self._endpoint), f"http://127.0.0.1:{self._rest.port}"
        properties: dict[str, Any] = {
            "on_disk": {"type": "sql", "uri": f"sqlite:///{self._root}/on_disk/pismo-catalog.db"},
            "on_server": {"type": "sql", "uri": self._postgres, **store},
            "in_glue": {
                "type": "glue", "glue.endpoint": self._endpoint, "glue.region": REGION, **store,
                "glue.access-key-id": ADMIN_KEY, "glue.secret-access-key": ADMIN_SECRET,
            },
            "in_rest": {
                "type": "rest", "uri": rest, "oauth2-server-uri": f"{rest}/v1/oauth/tokens", **store,
                "credential": f"{CLIENT}:{SECRET}",
            },
        }[name]  # fmt: skip
        catalog = load_catalog("pismo", **properties)
        try:
            yield catalog
        finally:
            catalog.close()


def store_of(endpoint: str) -> dict[str, str]:
    """Return the properties with which pyiceberg reads and writes in the sandbox's S3."""
    return {"s3.endpoint": endpoint, "s3.access-key-id": ADMIN_KEY, "s3.secret-access-key": ADMIN_SECRET}


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Truth]:
    with Truth(tmp_path_factory.mktemp("truth") / "truth.db") as truth:
        yield truth


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, airflow_database: Path, truth: Truth) -> Iterator[Home]:
    root = tmp_path_factory.mktemp("tables")
    with running_sandbox() as sandbox, running_postgres() as server:
        publisher = Publisher(S3Sink(sandbox.admin("s3"), sandbox.policy.bucket), truth, seed=3, dials=Dials())
        publisher.publish(datetime(2026, 3, 1, 11, tzinfo=UTC), datetime(2026, 3, 1, 13, tzinfo=UTC), 20_000)
        with running_rest_catalog(root, **store_of(sandbox.endpoint)) as rest:
            home = Home(root, sandbox, server, airflow_database, rest)
            with dag_runs(home.environment, root) as home.runs:
                yield home


def ingest(home: Home, name: str) -> None:
    window = {"window_start": f"{DAY}T10:00:00Z", "window_end": f"{DAY}T13:00:00Z"}
    run = home.runs.run(f"pismo_ingest_{name}", window, days_ago=900)
    assert run.state == "success", run.log[-6000:]
    assert not any(secret in run.log for secret in (ADMIN_SECRET, SECRET))


def close(home: Home, name: str) -> None:
    run = home.runs.run(f"pismo_close_{name}", {"publish_day": DAY}, days_ago=900)
    # the day has hours without files, so its report fails the run
    assert run.tasks["close_publish_day[-1]"] == "success", run.log[-6000:]
    writers = [state for task, state in run.tasks.items() if task.startswith("write_day_files")]
    assert writers == ([] if name in {"in_glue", "in_rest"} else ["success"] * 3)
    assert "is written again" not in run.log
    assert not any(secret in run.log for secret in (ADMIN_SECRET, SECRET))


def check_snapshots(home: Home, catalog: Catalog) -> None:
    """Check that the asset's event has the snapshot of each table that the run has changed."""
    # the deliveries of the other tests have events, too
    query = "SELECT asset_event.extra FROM asset_event JOIN asset ON asset.id = asset_id WHERE name = ?"
    with closing(sqlite3.connect(home.airflow / DATABASE)) as connection:
        ((extra,),) = connection.execute(query, ["pismo_lake_on_server"])
    snapshots = json.loads(extra)["snapshots"]
    assert len(snapshots) == len(json.loads(extra)["tables"])
    for name, snapshot_id in snapshots.items():
        snapshot = catalog.load_table(name).current_snapshot()
        assert snapshot is not None
        assert snapshot.snapshot_id == snapshot_id


@pytest.mark.parametrize(
    "name",
    [
        "on_disk",
        pytest.param("on_server", marks=pytest.mark.slow),
        "in_glue",
        pytest.param("in_rest", marks=pytest.mark.slow),
    ],
)
def test_a_day_is_ingested_and_closed_with_tables(home: Home, truth: Truth, name: str) -> None:
    # the other days are closed at once: each run costs ten seconds
    if name == "on_server":
        ingest(home, name)
        with home.reader(name) as catalog:
            assert verify_tables(catalog, truth) == []
            check_snapshots(home, catalog)
    close(home, name)
    with home.reader(name) as catalog:
        assert verify_tables(catalog, truth) == []
        reports = catalog.load_table("lake.reports").scan().to_arrow().to_pylist()
        assert {report["publish_date"].isoformat() for report in reports} == {DAY}
        table = catalog.load_table(next(iter(catalog.list_tables(catalog.list_namespaces()[0]))))
        assert len(list(table.scan().plan_files())) == 1
