"""Land a window with files that cannot be landed: tries, quarantine, and tries on demand."""

from __future__ import annotations

import json
import logging
import uuid
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from tests.lakes import LakeUnderTest, event

from pismo.operators import LandEventFilesOperator
from pismo.runs.failures import FailedFile, count_failures
from pismo.runs.find import find_files
from pismo.runs.land import land_window
from pismo.runs.window import Window
from pismo_lake.errors import LandingIncompleteError
from pismo_lake.hours import PublishHour
from pismo_lake.ledger import Sightings
from pismo_lake.settings.channels import Channel, Environment, NoticeChannel, Notices, S3Source
from pismo_lake.settings.deliveries import Delivery
from pismo_sandbox.feed.events import ORGANISATION
from pismo_sandbox.feed.publisher import S3Sink
from pismo_sandbox.s3.notices import AnnouncingSink, furnish_notices
from pismo_sandbox.s3.server import ACCOUNT, CONSUMER_KEY, CONSUMER_SECRET, Sandbox, running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

FOLDER = "main_stream/2026/3/1/9"
BAD = f"{FOLDER}/bad"
HOUR = PublishHour.parse("2026-03-01T09")
WINDOW, DAY = Window((HOUR,)), Window((HOUR,), of_landed_day=True)
LOG = logging.getLogger("test")


class Feed:
    """A delivery with its source and its lake."""

    def __init__(self, sandbox: Sandbox, root: Path) -> None:
        self.sandbox, self.lake = sandbox, LakeUnderTest(root)
        self.delivery = Delivery(
            name="test", organisation=ORGANISATION, environment=Environment.SANDBOX, channel=Channel.S3,
            conn_id="pismo", landing=self.lake.settings.landing, lake=self.lake.settings.lake, ledger_url="sqlite://",
            source=S3Source(ACCOUNT, endpoint_url=sandbox.endpoint, region="us-east-1"), quarantine_after=2,
        )  # fmt: skip

    def put(self, name: str) -> None:
        self.sandbox.admin("s3").put_object(Bucket=self.sandbox.policy.bucket, Key=f"{FOLDER}/{name}", Body=event(name))

    def run(self, window: Window = WINDOW) -> tuple[int, list[FailedFile]]:
        """Return how many files a run landed, and the failures that it shows."""
        landed = land_window(self.delivery, self.lake.ledger, window, LOG)
        return landed.summary.files, count_failures(self.delivery, self.lake.ledger, window, landed)

    def quarantined(self) -> list[str]:
        return list(Sightings(self.lake.ledger, self.delivery.lake, "test").list_quarantined())


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Feed]:
    connection = {"conn_type": "aws", "login": CONSUMER_KEY, "password": CONSUMER_SECRET}
    monkeypatch.setenv("AIRFLOW_CONN_PISMO", json.dumps(connection | {"extra": {"region_name": "us-east-1"}}))
    with running_sandbox() as sandbox:
        yield Feed(sandbox, tmp_path)


def test_a_file_that_was_given_up_is_tried_by_its_day_and_on_demand(feed: Feed) -> None:
    for name in ("a", "b", "bad"):
        feed.put(name)
    feed.sandbox.policy.vanished.add(BAD)
    landed, (first,) = feed.run()
    assert (landed, first.key, first.tries, first.quarantined) == (2, BAD, 1, False)
    landed, (second,) = feed.run()
    assert (landed, second.tries, second.quarantined) == (0, 2, True)
    assert feed.run() == (0, [])
    assert feed.run(DAY) == (0, [])
    landed, (asked,) = feed.run(replace(WINDOW, retry_failed=True))
    assert (landed, asked.key) == (0, BAD)
    feed.sandbox.policy.vanished.clear()
    assert feed.run() == (0, [])
    assert feed.run(DAY) == (1, [])
    assert feed.quarantined() == []
    assert feed.run(DAY) == (0, [])


@pytest.mark.parametrize("asked", [Window((), (BAD,)), replace(WINDOW, retry_failed=True)], ids=["key", "param"])
def test_a_quarantined_file_lands_on_demand_though_nothing_can_be_listed(feed: Feed, asked: Window) -> None:
    feed.put("a")
    feed.put("bad")
    feed.sandbox.policy.vanished.add(BAD)
    feed.run()
    feed.run()
    assert feed.quarantined() == [BAD]
    feed.sandbox.policy.vanished.clear()
    feed.delivery = replace(feed.delivery, listing=False, notices=Notices(NoticeChannel.SQS, "unused", "pismo"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("pismo.runs.land.open_queue", lambda _: _Empty())
        assert feed.run(asked) == (1, [])
    assert feed.quarantined() == []


class _Empty:
    """A queue without messages, for runs that are not about notices."""

    name, lease_seconds = "unused", 30

    def receive(self, most: int) -> list[object]:
        return []

    def close(self) -> None:
        pass


def test_an_outage_quarantines_nothing(feed: Feed) -> None:
    """If every file can be listed and none can be read, this is no fault of one file."""
    feed.put("a")
    assert feed.run() == (1, [])
    feed.put("bad")
    feed.put("b")
    feed.sandbox.policy.kms_allowed = False
    for _ in range(4):
        landed, failed = feed.run()
        assert (landed, [file.tries for file in failed]) == (0, [0, 0])
    assert feed.quarantined() == []
    feed.sandbox.policy.kms_allowed = True
    assert feed.run() == (2, [])


def test_a_dry_look_does_not_find_a_quarantined_file(feed: Feed) -> None:
    from pismo.connect.source import source_of

    feed.put("a")
    feed.put("bad")
    feed.sandbox.policy.vanished.add(BAD)
    feed.run()
    feed.run()
    with source_of(feed.delivery) as source:
        for window, files in ((WINDOW, []), (DAY, [BAD]), (replace(WINDOW, retry_failed=True), [BAD])):
            found = find_files(source, feed.lake.ledger, feed.delivery, window)
            assert [file.key for file in found.files] == files


def test_the_notice_of_a_quarantined_file_is_left_to_the_dead_letters(feed: Feed) -> None:
    queues = furnish_notices(
        feed.sandbox, raw=False, receives=4, visibility_seconds=1, name=f"-{uuid.uuid4().hex[:8]}"
    )  # fmt: skip
    feed.delivery = replace(
        feed.delivery,
        notices=Notices(
            NoticeChannel.SQS, queues.queue_url, "pismo", "us-east-1", feed.sandbox.endpoint, lease_seconds=2
        ),
    )
    feed.put("a")
    feed.put("bad")
    feed.sandbox.policy.vanished.add(BAD)
    feed.run()
    feed.run()
    assert feed.quarantined() == [BAD]
    bucket = feed.sandbox.policy.bucket
    sink = AnnouncingSink(S3Sink(feed.sandbox.admin("s3"), bucket), queues.topic, bucket, ORGANISATION)
    sink.put(BAD, event("bad"))
    sink.put(f"{FOLDER}/c", event("c"))
    sink.announce()
    assert feed.run() == (1, [])
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = feed.sandbox.admin("sqs").get_queue_attributes(QueueUrl=queues.queue_url, AttributeNames=names)
    assert sum(int(count) for count in answer["Attributes"].values()) == 1


class _Run:
    """The parts of a task instance that the landing task uses."""

    def __init__(self, try_number: int) -> None:
        self.try_number, self.max_tries = try_number, 3
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


def _land(feed: Feed, try_number: int) -> tuple[Any, dict[str, Any]]:
    run = _Run(try_number)
    window = {"window_start": "2026-03-01T09:00:00Z", "window_end": "2026-03-01T09:30:00Z"}
    context: Any = {"ti": run, "params": window, "dag_run": SimpleNamespace(dag_id="d", run_id="r")}

    class Land(LandEventFilesOperator):
        def read_delivery(self) -> Delivery:
            return feed.delivery

    units = Land(task_id="land", delivery_name="test", deliveries_file="unused").execute(context)
    return units, run.pushed


def test_the_landing_task_is_tried_again_only_if_nothing_else_waits(feed: Feed, tmp_path: Path) -> None:
    feed.delivery = replace(feed.delivery, ledger_url=f"sqlite:///{tmp_path / 'tasks.db'}")
    feed.put("bad")
    feed.sandbox.policy.vanished.add(BAD)
    for try_number in (1, 2, 3):
        with pytest.raises(LandingIncompleteError, match=BAD):
            _land(feed, try_number)
    # the last try leaves the red to the check, and one run is one try of the file
    left, pushed = _land(feed, 4)
    assert left is None
    assert [(file["key"], file["tries"]) for file in pushed["failures"]] == [(BAD, 1)]
    feed.put("a")
    left, pushed = _land(feed, 1)
    assert (left, pushed["counts"]["publish_hours"], pushed["built"]["rows"]) == (None, 1, 1)
    assert [(file["key"], file["tries"]) for file in pushed["failures"]] == [(BAD, 2)]
    assert (pushed["counts"]["files"], pushed["counts"]["failed"]) == (1, 1)
