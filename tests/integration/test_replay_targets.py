"""Replays to the services: SQS and SNS of moto, an HTTP endpoint, and Pub/Sub of the sandbox."""

from __future__ import annotations

import json
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from tests.lakes import event, key
from tests.narrow_queue import NarrowQueue
from tests.serving import serving

from pismo.checks.check import State
from pismo.checks.doctor import examine
from pismo.connect.target import AirflowClients
from pismo_lake.errors import ConfigError, TargetRefused, TargetUnavailable
from pismo_lake.replay import Pace, Selection, TimeRange, plan_replay, send_replay
from pismo_lake.replay.refused import list_refused
from pismo_lake.replay.start import refuse_wrong_target
from pismo_lake.replay.targets.connect import open_target, target_name
from pismo_lake.settings.channels import Channel, Environment, S3Source
from pismo_lake.settings.deliveries import Delivery
from pismo_lake.settings.replay import Replay, TargetKind
from pismo_sandbox.gcp.pubsub import running_pubsub
from pismo_sandbox.s3.server import (
    ACCOUNT,
    ADMIN_KEY,
    ADMIN_SECRET,
    CONSUMER_KEY,
    CONSUMER_SECRET,
    Sandbox,
    running_sandbox,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.lakes import LakeUnderTest

    from pismo_lake.ledger.replays import ReplayRecord

pytestmark = pytest.mark.integration
DAY = Selection(times=TimeRange.parse("2026-03-01", "2026-03-02"))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox() as running:
        yield running


@pytest.fixture(autouse=True)
def connections(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, login, password in (("consumer", ADMIN_KEY, ADMIN_SECRET), ("stranger", CONSUMER_KEY, CONSUMER_SECRET)):
        connection = {"conn_type": "aws", "login": login, "password": password, "extra": {"region_name": "us-east-1"}}
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(connection))
    monkeypatch.setenv("AIRFLOW_CONN_ENDPOINT", json.dumps({"conn_type": "http", "password": "s3cret"}))
    other = {"conn_type": "http", "password": "s3cret", "extra": {"header": "X-Api-Key"}}
    monkeypatch.setenv("AIRFLOW_CONN_API_KEY", json.dumps(other))


@pytest.fixture
def make_queue(sandbox: Sandbox) -> Callable[..., str]:
    def make(name: str = "events", **attributes: str) -> str:
        name, dot, fifo = name.partition(".")
        own = {"FifoQueue": "true"} if fifo else {}
        sqs = sandbox.admin("sqs")
        return str(
            sqs.create_queue(QueueName=f"{name}-{uuid.uuid4().hex[:8]}{dot}{fifo}", Attributes=own | attributes)[
                "QueueUrl"
            ]
        )

    return make


def fill(lake: LakeUnderTest, count: int = 25, **data: Any) -> list[bytes]:
    """Land events of three accounts, and return their bytes in the order of their times."""
    made = [
        event(
            f"e-{number:03}", {"account_id": number % 3, "n": number} | data, timestamp=f"2026-03-01T12:00:{number:02}Z"
        )
        for number in range(count)
    ]
    lake.land({key(12): b"".join(reversed(made[::2])), key(13): b"\n ".join(made[1::2])})
    return made


def replay(lake: LakeUnderTest, to: Replay, selection: Selection = DAY, **pace: Any) -> ReplayRecord:
    record, _ = plan_replay(lake.settings, lake.ledger, selection, target_name(to))
    return resume(lake, to, record.replay_id, **pace)


def resume(lake: LakeUnderTest, to: Replay, replay_id: str, **pace: Any) -> ReplayRecord:
    target = open_target(lake.settings, to, replay_id, AirflowClients())
    try:
        return send_replay(lake.settings, lake.ledger, replay_id, target, Pace(pause=lambda _: None, **pace))
    finally:
        target.close()


def to_queue(sandbox: Sandbox, queue: str, **settings: Any) -> Replay:
    return Replay(
        TargetKind.SQS,
        queue,
        **({"conn_id": "consumer", "region": "us-east-1", "endpoint_url": sandbox.endpoint} | settings),
    )


def receive(sandbox: Sandbox, queue: str) -> list[dict[str, Any]]:
    """Take every message from a queue, as its consumer does."""
    sqs, found = sandbox.admin("sqs"), []
    while got := sqs.receive_message(
        QueueUrl=queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"]
    ).get("Messages"):
        for message in got:
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            found.append(message)
    return found


def bodies(messages: list[dict[str, Any]]) -> list[bytes]:
    return [message["Body"].encode() for message in messages]


def test_a_queue_gets_each_event_byte_for_byte(
    lake: LakeUnderTest, sandbox: Sandbox, make_queue: Callable[..., str]
) -> None:
    made = fill(lake, text='"Ana" & <b>}{ ä 💶 \\ \t')
    queue = make_queue()
    record = replay(lake, to_queue(sandbox, queue))
    got = receive(sandbox, queue)
    assert sorted(bodies(got)) == sorted(made)
    assert (record.sent, record.refused, record.left) == (25, 0, 0)
    attributes = {name: value["StringValue"] for name, value in got[0]["MessageAttributes"].items()}
    assert attributes == {
        "event_id": json.loads(got[0]["Body"])["event_id"], "domain": "pix", "event_type": "pix_in", "replayed": "true",
        "replay_id": record.replay_id,
    }  # fmt: skip


def test_a_fifo_queue_keeps_the_order_of_each_account(
    lake: LakeUnderTest, sandbox: Sandbox, make_queue: Callable[..., str]
) -> None:
    made = fill(lake)
    lake.land({key(14): event("no account", {"x": 1}) + event("odd", {"account_id": "ä " * 200})})
    queue = make_queue("events.fifo")
    replay(lake, to_queue(sandbox, queue))
    got = receive(sandbox, queue)
    of_group: dict[str, list[bytes]] = {}
    for message in got:
        of_group.setdefault(message["Attributes"]["MessageGroupId"], []).append(message["Body"].encode())
    for account in range(3):
        assert of_group.pop(f"account-{account}") == made[account::3]
    # an event without an account is a group of its own, and an odd account has the name of a hash
    assert sorted(len(group) for group in of_group) == [32, 64]


def test_a_queue_that_throttles_and_loses_answers_gets_everything(
    lake: LakeUnderTest, sandbox: Sandbox, make_queue: Callable[..., str]
) -> None:
    made = fill(lake)
    queue = make_queue("events.fifo")
    plan = ["half", "throttle", "throttle", "throttle", "throttle", "half", "take", "lose"]
    with serving(NarrowQueue(sandbox.endpoint, plan), 0.05) as narrow:
        record = replay(lake, to_queue(sandbox, queue, endpoint_url=narrow.url))
        assert narrow.plan == []
    assert (record.sent, record.refused) == (25, 0)
    got = receive(sandbox, queue)
    # a fifo queue drops the messages of the lost answer that are sent again
    assert sorted(bodies(got)) == sorted(made)
    for account in range(3):
        mine = [
            message["Body"].encode() for message in got if json.loads(message["Body"])["data"]["account_id"] == account
        ]
        assert mine == made[account::3]


def test_a_kill_sends_to_a_fifo_queue_nothing_twice(
    lake: LakeUnderTest, sandbox: Sandbox, make_queue: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Progress that was not recorded is sent again with the same ids of messages."""
    from pismo_lake.ledger.replays import ReplayLedger

    made = fill(lake)
    queue = make_queue("events.fifo")
    to = to_queue(sandbox, queue)
    record, _ = plan_replay(lake.settings, lake.ledger, DAY, target_name(to))

    def lose_power(*_: Any) -> None:
        raise SystemError

    with monkeypatch.context() as patch:
        patch.setattr(ReplayLedger, "advance", lose_power)
        with pytest.raises(SystemError):
            resume(lake, to, record.replay_id)
    assert resume(lake, to, record.replay_id).sent == 25
    assert sorted(bodies(receive(sandbox, queue))) == sorted(made)


def test_oversized_and_odd_events_are_listed_and_all_others_arrive(
    lake: LakeUnderTest, sandbox: Sandbox, make_queue: Callable[..., str]
) -> None:
    made = fill(lake, 3)
    lake.land(
        {
            key(14): event("large", {"text": "x" * 40_000})
            + event("half", {"text": "y" * 20_000})
            + event("nonchar", {"t": "\uffff"})
        }
    )
    queue = make_queue(MaximumMessageSize="32768")
    record = replay(lake, to_queue(sandbox, queue))
    assert (record.sent, record.refused) == (4, 2)
    assert {len(body) > 20_000 for body in bodies(receive(sandbox, queue))} == {True, False}
    reasons = {event.event_id: event.reason for event in list_refused(lake.settings, lake.ledger, record.replay_id)}
    assert "and the most are 32768" in reasons["large"]
    assert reasons["nonchar"] == "it has bytes that AWS does not carry in a message"
    assert made


def test_ids_that_no_attribute_can_hold_are_left_out_of_the_attributes(
    lake: LakeUnderTest, sandbox: Sandbox, make_queue: Callable[..., str]
) -> None:
    odd = b'{"event_id":"a\\u0001b","domain":"pix","event_type":"x","timestamp":"2026-03-01T12:00:00Z","data":{}}'
    lake.land({key(12): odd + event("ä/ö 💶")})
    queue = make_queue()
    assert replay(lake, to_queue(sandbox, queue)).sent == 2
    ids = {message["MessageAttributes"].get("event_id", {}).get("StringValue") for message in receive(sandbox, queue)}
    assert ids == {None, "ä/ö 💶"}


def test_large_batches_are_split_by_bytes(
    lake: LakeUnderTest, sandbox: Sandbox, make_queue: Callable[..., str]
) -> None:
    made = fill(lake, 12, text="x" * 60_000)
    queue = make_queue()
    assert replay(lake, to_queue(sandbox, queue)).sent == 12
    assert sorted(bodies(receive(sandbox, queue))) == sorted(made)


def test_missing_queues_and_rights_fail_at_once(
    lake: LakeUnderTest, sandbox: Sandbox, make_queue: Callable[..., str]
) -> None:
    fill(lake, 2)
    queue = make_queue()
    with pytest.raises(TargetRefused, match="no-such-queue"):
        replay(lake, to_queue(sandbox, f"{queue}-no-such-queue"))
    sandbox.policy.queue_allowed = False
    try:
        to = to_queue(sandbox, queue, conn_id="stranger")
        with pytest.raises(TargetRefused, match="AccessDenied"):
            replay(lake, to)
        with pytest.raises(TargetRefused):
            open_target(lake.settings, to, "r", AirflowClients()).check()
        # the right to send may be there without the right to look
        refuse_wrong_target(open_target(lake.settings, to, "r", AirflowClients()))
    finally:
        sandbox.policy.queue_allowed = True
    assert "events" in open_target(lake.settings, to_queue(sandbox, queue), "r", AirflowClients()).check()
    with pytest.raises(TargetUnavailable, match="not taken after 1 tries"):
        replay(lake, to_queue(sandbox, queue, endpoint_url="http://127.0.0.1:1"), tries=1)


def test_the_doctor_looks_at_the_target_with_its_own_connection(
    sandbox: Sandbox, make_queue: Callable[..., str], tmp_path: Path
) -> None:
    queue = make_queue()

    def examined(to: Replay) -> tuple[State, str]:
        delivery = Delivery(
            name="test", organisation=sandbox.policy.organisation, environment=Environment.SANDBOX, channel=Channel.S3,
            conn_id="stranger", landing=str(tmp_path / "landing"), lake=str(tmp_path / "lake"),
            ledger_url=f"sqlite:///{tmp_path}/ledger.db", replay=to,
            source=S3Source(ACCOUNT, endpoint_url=sandbox.endpoint, region="us-east-1"),
        )  # fmt: skip
        (check,) = [check for check in examine(delivery) if check.name == "replay target"]
        return check.state, check.seen

    state, seen = examined(to_queue(sandbox, queue))
    assert (state, seen.endswith("about 0 message(s) wait")) == (State.PASS, True)
    assert receive(sandbox, queue) == []
    state, seen = examined(to_queue(sandbox, f"{queue}-none"))
    assert state is State.FAIL
    assert f"sqs {queue}-none: get_queue_attributes failed" in seen
    assert examined(Replay(TargetKind.NDJSON, str(tmp_path / "out")))[0] is State.PASS
    assert list((tmp_path / "out").iterdir()) == []
    assert examined(Replay(TargetKind.NDJSON, str(tmp_path / "lake" / "out")))[0] is State.FAIL
    state, seen = examined(Replay(TargetKind.HTTP, "http://127.0.0.1:1/?token=t0ken", "endpoint"))
    assert (state, "t0ken" in seen) == (State.FAIL, False)


@pytest.mark.parametrize("fifo", ["", ".fifo"])
def test_a_topic_passes_each_event_to_its_queue(
    lake: LakeUnderTest, sandbox: Sandbox, make_queue: Callable[..., str], fifo: str
) -> None:
    made = fill(lake)
    queue, sns = make_queue(f"events{fifo}"), sandbox.admin("sns")
    own = {"FifoTopic": "true"} if fifo else {}
    topic = sns.create_topic(Name=f"events-{uuid.uuid4().hex[:8]}{fifo}", Attributes=own)["TopicArn"]
    names = ["QueueArn"]
    arn = sandbox.admin("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    to = Replay(TargetKind.SNS, topic, "consumer", endpoint_url=sandbox.endpoint)
    assert replay(lake, to).sent == 25
    assert sorted(bodies(receive(sandbox, queue))) == sorted(made)
    assert open_target(lake.settings, to, "r", AirflowClients()).check().startswith(f"{topic}: ")
    gone = Replay(TargetKind.SNS, f"{topic[:-5]}-gone{fifo}", "consumer", endpoint_url=sandbox.endpoint)
    with pytest.raises(TargetRefused, match="NotFound"):
        replay(lake, gone)


class _Endpoint(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Endpoint

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            self.server.connections.add(self.client_address)
            status = self.server.answers.pop(0) if self.server.answers else 200
            self.server.requests.append((dict(self.headers.items()), self.path))
            if status == 200:
                self.server.got.append(body)
        if status == 0:
            self.close_connection = True
            return
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", "9")
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass


class Endpoint(ThreadingHTTPServer):
    """A consumer over HTTP that answers by a plan: statuses, 0 for a lost connection."""

    daemon_threads = True

    def __init__(self, answers: list[int]) -> None:
        super().__init__(("127.0.0.1", 0), _Endpoint)
        self.answers, self.lock = list(answers), threading.Lock()
        self.got: list[bytes] = []
        self.requests: list[tuple[dict[str, str], str]] = []
        self.connections: set[Any] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/in?token=t0ken"


def test_an_endpoint_gets_each_event_in_order_with_its_secret(lake: LakeUnderTest) -> None:
    made = fill(lake)
    lake.land({key(14): event("ä 💶", timestamp="2026-03-01T12:01:00Z")})
    waits: list[float] = []
    with serving(Endpoint([200, 500, 429, 0, 503, 422]), 0.05) as server:
        to = Replay(TargetKind.HTTP, server.url, "endpoint")
        record, _ = plan_replay(lake.settings, lake.ledger, DAY, target_name(to))
        target = open_target(lake.settings, to, record.replay_id, AirflowClients())
        assert "accepts connections" in target.check()
        record = send_replay(lake.settings, lake.ledger, record.replay_id, target, Pace(pause=waits.append))
        target.close()
        assert server.got == [made[0], *made[2:], event("ä 💶", timestamp="2026-03-01T12:01:00Z")]
        # one connection for all, and others only after the lost one and the check
        assert len(server.connections) == 2
    assert waits == [0.5, 9.0, 2.0, 4.0]
    assert (record.sent, record.refused) == (25, 1)
    (refused,) = list_refused(lake.settings, lake.ledger, record.replay_id)
    assert (refused.event_id, refused.reason.split()[0]) == ("e-001", "422")
    headers, path = server.requests[-1]
    assert path == "/in?token=t0ken"
    assert headers["Authorization"] == "Bearer s3cret"
    assert headers["Pismo-Event-Id"] == "%C3%A4%20%F0%9F%92%B6"
    assert headers["Pismo-Event-Type"] == "pix_in"
    assert (headers["Pismo-Replayed"], headers["Pismo-Replay-Id"]) == ("true", record.replay_id)
    # no secret is recorded
    assert record.target == f"http http://127.0.0.1:{server.server_address[1]}/in"


@pytest.mark.parametrize("status", [401, 403, 404, 302])
def test_an_endpoint_that_refuses_all_stops_a_replay_and_gets_no_secret_elsewhere(
    lake: LakeUnderTest, status: int
) -> None:
    fill(lake, 3)
    with serving(Endpoint([200, status]), 0.05) as server:
        to = Replay(TargetKind.HTTP, server.url, "api_key")
        with pytest.raises(TargetRefused, match=f"it answers {status}") as caught:
            replay(lake, to)
        assert "t0ken" not in str(caught.value)
        assert len(server.requests) == 2
        assert [(headers["X-Api-Key"], path) for headers, path in server.requests] == [
            ("s3cret", "/in?token=t0ken")
        ] * 2


def test_a_secret_that_no_header_can_hold_is_refused_without_its_value(
    lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_ENDPOINT", json.dumps({"conn_type": "http", "password": "s3cret\nX-Evil: 1"}))
    with pytest.raises(ConfigError, match="signs that no HTTP header has") as caught:
        open_target(lake.settings, Replay(TargetKind.HTTP, "http://127.0.0.1:1/", "endpoint"), "r", AirflowClients())
    assert "s3cret" not in str(caught.value)


def test_pubsub_gets_each_event_with_its_account_as_the_ordering_key(lake: LakeUnderTest) -> None:
    import grpc
    from google.pubsub_v1 import SubscriberClient
    from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

    made = fill(lake)
    topic, subscription = "projects/p/topics/events", "projects/p/subscriptions/events"
    with running_pubsub() as server:
        server.broker.create_topic(topic)
        server.broker.subscribe(subscription, topic)
        to = Replay(TargetKind.PUBSUB, topic, "google", endpoint_url=f"http://{server.host}")
        record = replay(lake, to)
        assert (record.sent, record.refused) == (25, 0)
        assert open_target(lake.settings, to, "r", AirflowClients()).check() == topic
        channel = grpc.insecure_channel(server.host)
        with SubscriberClient(transport=SubscriberGrpcTransport(channel=channel)) as client:
            answer = client.pull(request={"subscription": subscription, "max_messages": 100})
        got = [item.message for item in answer.received_messages]
        assert sorted(bytes(message.data) for message in got) == sorted(made)
        keys = {message.ordering_key for message in got}
        assert keys == {"account-0", "account-1", "account-2"}
        assert dict(got[0].attributes)["replay_id"] == record.replay_id
        with pytest.raises(TargetRefused, match="projects/p/topics/none"):
            replay(
                lake,
                Replay(TargetKind.PUBSUB, "projects/p/topics/none", "google", endpoint_url=f"http://{server.host}"),
            )
