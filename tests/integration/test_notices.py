"""Notices from their queue to the lake: SNS to SQS in moto, Pub/Sub in the sandbox's server."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.lakes import LakeUnderTest, event
from tests.waiting import PATIENCE, until

from pismo.connect.queue import open_queue
from pismo.hooks.s3 import PismoS3Hook
from pismo.queues.message import renew_leases
from pismo.runs.drain import Drained, drain
from pismo.runs.find import find_files
from pismo.runs.window import Window
from pismo.triggers.notices_waiting import NoticesWaitingTrigger
from pismo.ui.notices import Notices as Counted
from pismo.ui.notices import count_notices
from pismo_lake.errors import AccessDenied, ConfigError, PismoError
from pismo_lake.landing.land import land_files
from pismo_lake.settings.channels import Channel, Environment, NoticeChannel, Notices, S3Source
from pismo_lake.settings.deliveries import Delivery
from pismo_sandbox.feed.events import ORGANISATION
from pismo_sandbox.feed.publisher import S3Sink
from pismo_sandbox.s3.notices import AnnouncingSink, NoticeQueues, furnish_notices, notice_event
from pismo_sandbox.s3.server import ACCOUNT, CONSUMER_KEY, CONSUMER_SECRET, Sandbox, running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pismo.queues.message import Message

pytestmark = pytest.mark.integration

FOLDER = "main_stream/2026/3/1/9"
LONG_LEASE, SHORT_LEASE = 300, 2
"""Seconds after which a message is there again: not during a test, or soon."""
LOG = logging.getLogger("test")


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    connection = {"conn_type": "aws", "login": CONSUMER_KEY, "password": CONSUMER_SECRET}
    monkeypatch.setenv("AIRFLOW_CONN_PISMO", json.dumps(connection | {"extra": {"region_name": "us-east-1"}}))
    with running_sandbox() as running:
        # as at Pismo by its documents: objects can be read, the bucket cannot be listed
        running.policy.list_allowed = False
        yield running


@pytest.fixture
def queues(sandbox: Sandbox, request: pytest.FixtureRequest) -> NoticeQueues:
    # moto keeps its queues for as long as the process lives
    name = f"-{uuid.uuid4().hex[:8]}"
    # on a slow machine a lease may run out while its message is at work: it is delivered once more
    options = {"receives": 20} | getattr(request, "param", {})
    return furnish_notices(sandbox, visibility_seconds=1, name=name, **options)


def delivery(sandbox: Sandbox, queue: str, **notices: Any) -> Delivery:
    told = {"lease_seconds": LONG_LEASE, "batch": 50} | notices
    return Delivery(
        name="test", organisation=ORGANISATION, environment=Environment.SANDBOX, channel=Channel.S3, conn_id="pismo",
        landing="no-landing", lake="no-lake", ledger_url="sqlite://",
        source=S3Source(ACCOUNT, endpoint_url=sandbox.endpoint, region="us-east-1"),
        notices=Notices(NoticeChannel.SQS, queue, "pismo", "us-east-1", sandbox.endpoint, **told),
    )  # fmt: skip


def drained(feed: Delivery, lake: LakeUnderTest) -> Drained:
    assert feed.notices is not None
    feed = replace(feed, landing=lake.settings.landing, lake=lake.settings.lake)
    source, queue = PismoS3Hook(feed), open_queue(feed)

    def land(files: Any) -> Any:
        return land_files(lake.settings, lake.ledger, files, source.fetch)

    return drain(feed, feed.notices, queue, source, lake.ledger, land, LOG)


def sink(sandbox: Sandbox, queues: NoticeQueues, **dials: float) -> AnnouncingSink:
    bucket = sandbox.policy.bucket
    return AnnouncingSink(S3Sink(sandbox.admin("s3"), bucket), queues.topic, bucket, ORGANISATION, **dials)  # type: ignore[arg-type]


def messages_in(sandbox: Sandbox, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = sandbox.admin("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)
    return sum(int(count) for count in answer["Attributes"].values())


def drain_until_empty(feed: Delivery, lake: LakeUnderTest, sandbox: Sandbox, queues: NoticeQueues) -> list[Drained]:
    found: list[Drained] = []

    def empty() -> bool:
        if messages_in(sandbox, queues.queue_url):
            found.append(drained(feed, lake))
            return False
        return True

    until(empty)
    return found


@pytest.mark.parametrize("queues", [{"raw": False}, {"raw": True}], ids=["wrapped", "raw"], indirect=True)
def test_files_are_landed_without_listing_and_their_notices_go(
    sandbox: Sandbox, queues: NoticeQueues, tmp_path: Path
) -> None:
    files = sink(sandbox, queues, twice=0.3)
    for number in range(120):
        files.put(f"{FOLDER}/f{number:03d}", event(f"e-{number}"))
    sent = files.announce()
    feed, lake = delivery(sandbox, queues.queue_url), LakeUnderTest(tmp_path)
    found = drained(feed, lake)
    assert (found.messages, found.bad, found.failures) == (sent, 0, {})
    assert sum(summary.files for summary in found.summaries) == 120
    assert messages_in(sandbox, queues.queue_url) == 0
    lake.build()
    assert len(lake.rows()) == 120
    # announced again: known, not fetched again
    reads = len(sandbox.policy.log)
    size = (lake.root / "landing/test" / f"{FOLDER}/f000").stat().st_size
    for _ in range(3):
        queues.topic.send(notice_event(sandbox.policy.bucket, ORGANISATION, f"{FOLDER}/f000", size))
    again = drained(feed, lake)
    assert (again.messages, again.known) == (3, 1)
    assert len(sandbox.policy.log) == reads


@pytest.mark.parametrize("queues", [{"receives": 3}], ids=["three deliveries"], indirect=True)
def test_others_messages_are_ignored_and_bad_ones_end_as_dead_letters(
    sandbox: Sandbox, queues: NoticeQueues, tmp_path: Path
) -> None:
    bucket = sandbox.policy.bucket
    files = sink(sandbox, queues)
    files.put(f"{FOLDER}/good", event("good"))
    files.put("reports/accounting/type=daily/year=2026/month=3/day=1/x.parquet", b"PAR1")
    files.announce()
    queues.topic.send({**notice_event(bucket, ORGANISATION, "x", 1), "event_type": "health_check", "data": {}})
    sqs = sandbox.admin("sqs")
    bad = [
        "garbage }{",
        json.dumps(notice_event("somebody-elses-bucket", ORGANISATION, f"{FOLDER}/good", 1)),
        json.dumps(notice_event(bucket, "TN-another", f"{FOLDER}/good", 1)),
        json.dumps(notice_event(bucket, ORGANISATION, "main_stream/../../etc/passwd", 1)),
    ]
    for body in bad:
        sqs.send_message(QueueUrl=queues.queue_url, MessageBody=body)
    feed, lake = delivery(sandbox, queues.queue_url, lease_seconds=SHORT_LEASE), LakeUnderTest(tmp_path)
    first, *_ = drain_until_empty(feed, lake, sandbox, queues)
    assert (first.announced, first.ignored, first.bad) == (1, 2, 4)
    assert messages_in(sandbox, queues.dead_letters_url) == len(bad)
    assert count_notices(feed) == Counted(0, len(bad))
    lake.build()
    assert [row["event_id"] for row in lake.rows()] == ["good"]


def test_a_queue_without_dead_letters_is_counted_with_the_reason(sandbox: Sandbox) -> None:
    url = sandbox.admin("sqs").create_queue(QueueName="plain")["QueueUrl"]
    found = count_notices(delivery(sandbox, url))
    assert (found.waiting, found.dead, found.problem) == (0, None, "")
    assert found.dead_problem == f"{url}: it has no dead-letter queue"


@pytest.mark.parametrize("queues", [{"receives": 1}], ids=["one delivery"], indirect=True)
def test_no_message_harms_another_and_none_that_is_not_understood_is_deleted(
    sandbox: Sandbox, queues: NoticeQueues, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bucket, sqs, storage = (
        sandbox.policy.bucket,
        sandbox.admin("sqs"),
        S3Sink(sandbox.admin("s3"), sandbox.policy.bucket),
    )
    names = ["a", "size", "trail", "minio", "beside"]
    for name in names:
        storage.put(f"{FOLDER}/{name}", event(name))
    storage.put(f"{FOLDER}/", b"")
    record = {"eventName": "s3:ObjectCreated:Put", "s3": {"bucket": {"name": bucket}}}
    moved = record | {"eventName": "ObjectMoved:Rename"}
    poison = notice_event(bucket, ORGANISATION, f"{FOLDER}/size", 0)
    poison["data"]["object_size"] = "9" * 5000
    asked = {"bucketName": bucket, "key": f"{FOLDER}/trail"}
    sound = [
        notice_event(bucket, ORGANISATION, f"{FOLDER}/a", len(event("a"))),
        poison,
        notice_event(bucket, ORGANISATION, f"{FOLDER}/", 0),
        {"detail": {"eventSource": "s3.amazonaws.com", "eventName": "PutObject", "requestParameters": asked}},
        {"EventName": "x", "Records": [record | {"s3": {**record["s3"], "object": {"key": f"{FOLDER}/minio"}}}]},  # type: ignore[dict-item]
    ]
    beside = record | {"s3": {**record["s3"], "object": {"key": f"{FOLDER}/beside"}}}  # type: ignore[dict-item]
    unclear = [
        {"Records": [beside, moved | {"s3": {**record["s3"], "object": {"key": f"{FOLDER}/a"}}}]},  # type: ignore[dict-item]
        {"text": f"see s3://{bucket}/{FOLDER}/a"},
        {"file": f"{FOLDER}/a"},
    ]
    for body in [*unclear, *sound]:
        sqs.send_message(QueueUrl=queues.queue_url, MessageBody=json.dumps(body))
    # each message is taken once: when this lease has run out, it is a dead letter
    feed, lake = delivery(sandbox, queues.queue_url, lease_seconds=15), LakeUnderTest(tmp_path)
    with caplog.at_level(logging.WARNING):
        first, *_ = drain_until_empty(feed, lake, sandbox, queues)
    assert (first.messages, first.bad, first.ignored, first.failures) == (8, 3, 1, {})
    assert messages_in(sandbox, queues.dead_letters_url) == len(unclear)
    left = sqs.receive_message(QueueUrl=queues.dead_letters_url, MaxNumberOfMessages=10)["Messages"]
    assert all(f"message {message['MessageId']} stays in the queue" in caplog.text for message in left)
    lake.build()
    assert sorted(row["event_id"] for row in lake.rows()) == sorted(names)


def test_an_object_that_two_spellings_name_is_one_object(
    sandbox: Sandbox, queues: NoticeQueues, tmp_path: Path
) -> None:
    bucket, storage = sandbox.policy.bucket, S3Sink(sandbox.admin("s3"), sandbox.policy.bucket)
    for name in ("a=b c", "50%25", "plus+plus"):
        storage.put(f"{FOLDER}/{name}", event(name))
    spellings = ["a=b c", "a%3Db%20c", "50%25", "plus+plus"]
    whole = f"{FOLDER}/a=b c".replace("/", "%2F").replace(" ", "+")
    for key in [*(f"{FOLDER}/{name}" for name in spellings), whole]:
        queues.topic.send(
            notice_event(bucket, ORGANISATION, key, 0) | {"data": {"bucket_name": bucket, "object_name": key}}
        )
    # a look-alike that does not encode the keys of its notices
    item = {"bucket": {"name": bucket}, "object": {"key": f"{FOLDER}/plus+plus"}}
    queues.topic.send({"Records": [{"eventName": "ObjectCreated:Put", "s3": item}]})
    feed, lake = delivery(sandbox, queues.queue_url), LakeUnderTest(tmp_path)
    found = drained(feed, lake)
    assert (found.messages, found.announced, found.failures) == (6, 3, {})
    lake.index()
    keys = {record.key for record in lake.lake_files.every()}
    assert keys == {f"{FOLDER}/{name}" for name in ("a=b c", "50%25", "plus+plus")}
    # nor is it another one if a person names it as a URL does
    sandbox.policy.list_allowed = True
    feed = replace(feed, lake=lake.settings.lake)
    hook = PismoS3Hook(feed)
    for key in (f"{FOLDER}/a%3Db%20c", f"{FOLDER}/"):
        window = Window((), (key,))
        assert find_files(hook, lake.ledger, feed, window).files == ()


def test_an_object_that_is_not_there_yet_comes_back(
    sandbox: Sandbox, queues: NoticeQueues, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pismo.runs.drain._FIRST_PAUSE", 1)
    sandbox.policy.list_allowed = True
    key = f"{FOLDER}/late-{uuid.uuid4().hex}"
    queues.topic.send(notice_event(sandbox.policy.bucket, ORGANISATION, key, len(event("late"))))
    feed, lake = delivery(sandbox, queues.queue_url, lease_seconds=SHORT_LEASE), LakeUnderTest(tmp_path)
    found = drained(feed, lake)
    assert (found.not_there, found.failures) == (1, {})
    assert messages_in(sandbox, queues.queue_url) == 1
    S3Sink(sandbox.admin("s3"), sandbox.policy.bucket).put(key, event("late"))
    drain_until_empty(feed, lake, sandbox, queues)
    lake.build()
    assert [row["event_id"] for row in lake.rows()] == ["late"]


def test_failures_keep_their_notices_and_the_others_land(
    sandbox: Sandbox, queues: NoticeQueues, tmp_path: Path
) -> None:
    files = sink(sandbox, queues)
    for name in "abc":
        files.put(f"{FOLDER}/{name}", event(name))
    files.announce()
    sandbox.policy.vanished.add(f"{FOLDER}/b")
    feed, lake = delivery(sandbox, queues.queue_url, lease_seconds=SHORT_LEASE), LakeUnderTest(tmp_path)
    found = drained(feed, lake)
    # without s3:ListBucket, a missing object and a forbidden one get the same answer
    assert {key: type(error) for key, error in found.failures.items()} == {f"{FOLDER}/b": AccessDenied}
    assert messages_in(sandbox, queues.queue_url) == 1
    sandbox.policy.vanished.clear()
    drain_until_empty(feed, lake, sandbox, queues)
    lake.build()
    assert sorted(row["event_id"] for row in lake.rows()) == ["a", "b", "c"]


def test_leases_are_renewed_while_the_work_takes_longer(sandbox: Sandbox, queues: NoticeQueues) -> None:
    queues.topic.send(notice_event(sandbox.policy.bucket, ORGANISATION, f"{FOLDER}/a", 1))
    queue = open_queue(delivery(sandbox, queues.queue_url, lease_seconds=3))
    other = open_queue(delivery(sandbox, queues.queue_url, lease_seconds=SHORT_LEASE))
    began = time.monotonic()
    renewed = [began]
    extend = queue.extend

    def note(messages: Sequence[Message], seconds: int | None = None) -> None:
        asked = time.monotonic()
        extend(messages, seconds)
        renewed.append(asked)

    queue.extend = note  # type: ignore[method-assign]
    messages = queue.receive(10)
    assert len(messages) == 1
    with renew_leases(queue, messages, LOG):
        missed = 0
        # twice as long as the lease, with several renewals
        while len(renewed) <= 4 or time.monotonic() < began + 2 * queue.lease_seconds:
            last = renewed[-1]
            if other.receive(1):
                # on a busy machine the renewing thread may have had no turn for a whole lease
                assert time.monotonic() >= last + queue.lease_seconds
                missed += 1
            assert missed < 10
    until(lambda: other.receive(1))


@pytest.mark.parametrize(
    ("wrong", "error"),
    [({"queue": "missing"}, ConfigError), ({"denied": True}, AccessDenied)],
)
def test_faults_of_the_queue_have_names(
    sandbox: Sandbox, queues: NoticeQueues, wrong: dict[str, Any], error: type[PismoError]
) -> None:
    url = queues.queue_url.replace("pismo-files", "no-such-queue") if "queue" in wrong else queues.queue_url
    sandbox.policy.queue_allowed = "denied" not in wrong
    with pytest.raises(error) as raised:
        open_queue(delivery(sandbox, url)).receive(1)
    assert CONSUMER_SECRET not in str(raised.value)


async def test_the_doorbell_rings_while_messages_wait_and_takes_none(
    sandbox: Sandbox, queues: NoticeQueues, tmp_path: Path
) -> None:
    listed = tmp_path / "deliveries.yaml"
    listed.write_text(
        f"""
deliveries:
  bell:
    organisation: {ORGANISATION}
    environment: sandbox
    channel: s3
    conn_id: pismo
    source: {{pismo_account_id: "{ACCOUNT}", endpoint_url: "{sandbox.endpoint}", region: us-east-1}}
    notices: {{channel: sqs, queue: "{queues.queue_url}", conn_id: pismo, endpoint_url: "{sandbox.endpoint}"}}
    landing: {tmp_path}/landing
    lake: {tmp_path}/lake
    ledger_url: sqlite:///{tmp_path}/ledger.db
"""
    )
    bell = NoticesWaitingTrigger(str(listed), "bell", poll_seconds=0.1)
    path, arguments = bell.serialize()
    assert path == f"{NoticesWaitingTrigger.__module__}.NoticesWaitingTrigger"
    rings = NoticesWaitingTrigger(**arguments).run()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(rings), 1)
    queues.topic.send(notice_event(sandbox.policy.bucket, ORGANISATION, f"{FOLDER}/a", 1))
    rings = NoticesWaitingTrigger(**arguments).run()
    for _ in range(3):
        ring = await asyncio.wait_for(anext(rings), PATIENCE)
        assert ring.payload == {"waiting": 1}
    # a queue that cannot be looked at does not end the bell
    sandbox.policy.queue_allowed = False
    waiting = asyncio.ensure_future(anext(rings))
    await asyncio.wait({waiting}, timeout=2)
    sandbox.policy.queue_allowed = True
    assert (await asyncio.wait_for(waiting, PATIENCE)).payload == {"waiting": 1}
    await rings.aclose()


KILLED = """
import json, logging, os, sys
sys.path[:0] = json.loads(sys.argv[1])
from pathlib import Path
import tests.integration.test_notices as here
from pismo_sandbox.s3.server import Policy, Sandbox
from pismo_lake.landing import lander as landing
from tests.lakes import LakeUnderTest
sandbox = Sandbox(sys.argv[2], Policy())
feed = here.delivery(sandbox, sys.argv[3], batch=20, lease_seconds=here.SHORT_LEASE)
left, original = [int(sys.argv[5])], landing.Lander.land
def land(self, file):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), 9)
    return original(self, file)
landing.Lander.land = land
here.drained(feed, LakeUnderTest(Path(sys.argv[4])))
"""


SLOW = pytest.mark.slow


@pytest.mark.parametrize("after", [pytest.param(0, marks=SLOW), 25, pytest.param(59, marks=SLOW)])
def test_a_worker_killed_in_the_middle_loses_no_notice(
    sandbox: Sandbox, queues: NoticeQueues, tmp_path: Path, after: int
) -> None:
    files = sink(sandbox, queues, twice=0.2)
    for number in range(60):
        files.put(f"{FOLDER}/f{number:02d}", event(f"e-{number}"))
    files.announce()
    root = Path(__file__).resolve().parents[2]
    paths = json.dumps([str(root), str(root / "include"), str(root / "plugins")])
    arguments = [paths, sandbox.endpoint, queues.queue_url, str(tmp_path), str(after)]
    done = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False, env=os.environ, cwd=root)
    assert done.returncode == -9
    lake = LakeUnderTest(tmp_path)
    drain_until_empty(delivery(sandbox, queues.queue_url), lake, sandbox, queues)
    lake.build()
    assert sorted(row["event_id"] for row in lake.rows()) == sorted(f"e-{number}" for number in range(60))
    assert messages_in(sandbox, queues.dead_letters_url) == 0
