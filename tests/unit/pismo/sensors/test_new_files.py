"""The sensor that finds new files: when it waits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred

from pismo.sensors import NewFilesSensor
from pismo_lake.settings.channels import Channel, Environment, NoticeChannel, Notices, S3Source
from pismo_lake.settings.deliveries import Delivery

QUIET = Delivery(
    name="test", organisation="TN-1", environment=Environment.SANDBOX, channel=Channel.S3, conn_id="pismo",
    landing="landing", lake="lake", ledger_url="sqlite://", source=S3Source("123456789012"),
)  # fmt: skip
ANNOUNCED = replace(QUIET, notices=Notices(NoticeChannel.SQS, "queue", "pismo"))
PAST = {"window_start": "2026-03-01T09:00:00Z", "window_end": "2026-03-01T10:00:00Z"}


def execute(delivery: Delivery, params: dict[str, str]) -> None:
    """Run the sensor of a delivery that has no new file."""

    class Sensor(NewFilesSensor):
        def read_delivery(self) -> Delivery:
            return delivery

        def _look(self, context: Any) -> None:
            """Find nothing."""

    context: Any = {"params": params}
    Sensor(task_id="find", delivery_name="test", deliveries_file="unused").execute(context)


def test_it_waits_in_the_triggerer_with_its_own_pause() -> None:
    with pytest.raises(TaskDeferred) as deferred:
        execute(QUIET, {})
    assert deferred.value.trigger.serialize()[1]["poll_seconds"] == QUIET.poll_seconds


@pytest.mark.parametrize(
    ("delivery", "params"),
    [(ANNOUNCED, {}), (QUIET, PAST), (replace(QUIET, wait_minutes=0), {})],
    ids=["notices begin runs", "hours that are over", "no waiting"],
)
def test_it_does_not_wait_without_need(delivery: Delivery, params: dict[str, str]) -> None:
    with pytest.raises(AirflowSkipException, match="nothing new"):
        execute(delivery, params)
