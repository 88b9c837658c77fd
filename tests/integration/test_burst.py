"""Land hundreds of notices at once in real Airflow, paused at first, with a killed task.

PISMO_NOTICES=2000 makes them two thousand (`make soak`).
"""

from __future__ import annotations

import json
import logging
import os
from typing import TYPE_CHECKING

import boto3
import pytest
from tests.killer import Killer
from tests.lakes import LakeUnderTest, event
from tests.waiting import until

from pismo.connect.queue import open_queue
from pismo.connect.source import source_of
from pismo.runs.drain import drain
from pismo_demo.channels import feed_of, server_of, sink_of
from pismo_demo.options import Options
from pismo_demo.ports import unusual_ports
from pismo_demo.processes import Notes, stop
from pismo_demo.servers import Places, start_airflow, start_sandbox, wait_for_airflow
from pismo_lake.landing.land import land_files
from pismo_lake.ledger import FileLedger, LakeFiles, Ledger
from pismo_lake.settings.deliveries import find_delivery
from pismo_sandbox.s3.notices import AnnouncingSink
from pismo_sandbox.s3.server import ADMIN_KEY, ADMIN_SECRET, REGION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from pismo_demo.airflow_api import AirflowApi
    from pismo_demo.channels import Feed

pytestmark = [pytest.mark.integration, pytest.mark.slow]

COUNT = int(os.environ.get("PISMO_NOTICES", "500"))
BAD = ("garbage }{", json.dumps({"domain": "dataplatform", "data": {"object_name": "x"}}))
PACE = {"PISMO_LEASE_SECONDS": "10", "PISMO_POLL_SECONDS": "3"}


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Places]:
    places = Places(tmp_path / "demo")
    places.logs.mkdir(parents=True)
    yield places
    notes = Notes(places.home / "running.json")
    for started in reversed(notes.all()):
        stop(started)


def counts(client: Any, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = client.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(count) for count in answer.values())


@pytest.mark.usefixtures("ready_home")
def test_a_burst_is_landed_once_though_paused_and_killed(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    home, notes = places.home, Notes(places.home / "running.json")
    place = start_sandbox(server_of("s3-notices", home), places, notes)
    told = feed_of("s3-notices", home, place)
    told.variables.update(PACE)
    airflow = start_airflow(Options(hours=1, home=home), places, unusual_ports(), notes, told)
    sink = sink_of("s3-notices", home, place)
    assert isinstance(sink, AnnouncingSink)
    for number in range(COUNT):
        sink.put(f"main_stream/2026/3/1/{number % 4}/f{number:04d}", event(f"e-{number}", {"n": number}))
    sqs = boto3.client(
        "sqs", endpoint_url=place["endpoint"], region_name=REGION, aws_access_key_id=ADMIN_KEY,
        aws_secret_access_key=ADMIN_SECRET,
    )  # fmt: skip
    for body in BAD:
        sqs.send_message(QueueUrl=place["queue"], MessageBody=body)
    assert sink.announce() > COUNT
    wait_for_airflow(airflow.process, airflow.api)
    # the bell rings for a DAG that is still paused
    until(lambda: airflow.api.is_dag_known(told.dag_id), airflow.api.import_errors, pause=0.5)
    killer = Killer(home, 5, ("landing",))
    killer.start()
    airflow.api.unpause(told.dag_id)
    ledger = Ledger.open(f"sqlite:///{home}/ledger.db")
    lake = str(places.lake)

    def count() -> int:
        return len(LakeFiles(ledger, lake).every())

    try:
        until(lambda: count() == COUNT, count, pause=0.5, progress=count)
        files = FileLedger(ledger, lake, "sandbox_s3_notices")
        until(lambda: not files.unbuilt_units(), lambda: _runs(airflow.api, told), pause=0.5)
    finally:
        killer.end()
        ledger.close()
    assert killer.killed == ["landing"]
    stop(airflow.process)
    found = LakeUnderTest(home)
    assert sorted(row["data__n"] for row in found.rows()) == list(range(COUNT))
    _only_bad_ones_are_left(found, told, place, sqs, monkeypatch)


def _runs(api: AirflowApi, told: Feed) -> object:
    return api.runs(told.dag_id)


def _only_bad_ones_are_left(
    lake: LakeUnderTest, told: Feed, place: dict[str, str], sqs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages of the killed task return as known; bad messages become dead letters."""
    for name, value in (told.variables | {"PISMO_LEASE_SECONDS": "4"}).items():
        monkeypatch.setenv(name, value)
    for name, connection in told.connections.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(connection))
    delivery = find_delivery(told.deliveries, "sandbox_s3_notices")
    notices = delivery.notices
    assert notices is not None
    with source_of(delivery) as source:

        def land(files: Any) -> Any:
            return land_files(lake.settings, lake.ledger, files, source.fetch)

        def empty() -> bool:
            drained = drain(delivery, notices, open_queue(delivery), source, lake.ledger, land, logging.getLogger())
            assert drained.announced == drained.known
            return counts(sqs, place["queue"]) == 0

        until(empty)
    dead = place["queue"].replace("pismo-files", "pismo-files-dead")
    assert counts(sqs, dead) == len(BAD)
