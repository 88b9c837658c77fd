"""Replays to Kafka: the brokers are those of librdkafka itself, which speak Kafka's protocol on this machine."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Consumer, KafkaError, Producer
from tests.integration.test_replay_targets import fill, replay
from tests.lakes import event, key
from tests.postgres import free_port

from pismo.connect.target import AirflowClients
from pismo_lake.cli.clients import KAFKA, MachineClients
from pismo_lake.errors import ConfigError, TargetDenied, TargetRefused, TargetUnavailable
from pismo_lake.replay.refused import list_refused
from pismo_lake.replay.targets.connect import open_target
from pismo_lake.replay.targets.kafka import KafkaTarget
from pismo_lake.settings.replay import Replay, TargetKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.lakes import LakeUnderTest

pytestmark = pytest.mark.integration
TO = Replay(TargetKind.KAFKA, "events", "kafka")
WAIT = 60.0


@pytest.fixture(scope="module")
def brokers() -> Iterator[str]:
    """Run three brokers, and yield their addresses."""
    owner = Producer({"bootstrap.servers": "unused:1", "test.mock.num.brokers": 3, "log_level": 0})
    found = owner.list_topics(timeout=WAIT).brokers.values()
    yield ",".join(f"{broker.host}:{broker.port}" for broker in found)
    owner.flush(1)


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def make(servers: str, **settings: Any) -> None:
        extra = {"bootstrap.servers": servers, "log_level": 0} | settings
        monkeypatch.setenv("AIRFLOW_CONN_KAFKA", json.dumps({"conn_type": "kafka", "extra": extra}))

    return make


def read(brokers: str, topic: str, count: int) -> list[Any]:
    """Return the messages of a topic, each partition in its order."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": topic, "auto.offset.reset": "earliest"})
    try:
        consumer.subscribe([topic])
        found = []
        while len(found) < count:
            message = consumer.poll(WAIT)
            assert message is not None
            assert message.error() is None
            found.append(message)
        return found
    finally:
        consumer.close()


def test_a_topic_gets_each_event_in_the_order_of_its_account(
    lake: LakeUnderTest, brokers: str, connect: Callable[..., None]
) -> None:
    connect(brokers)
    made = fill(lake)
    record = replay(lake, TO)
    assert (record.sent, record.refused) == (25, 0)
    got = read(brokers, "events", 25)
    accounts: dict[bytes, list[bytes]] = defaultdict(list)
    for message in got:
        accounts[message.key()].append(message.value())
    assert dict(accounts) == {str(number).encode(): made[number::3] for number in range(3)}
    headers = dict(got[0].headers())
    assert headers["replayed"] == b"true"
    assert headers["replay_id"] == record.replay_id.encode()
    target = open_target(lake.settings, TO, "r", AirflowClients())
    assert target.check().startswith("events with ")
    target.close()


def test_a_message_that_is_too_large_is_listed_and_the_others_arrive(
    lake: LakeUnderTest, brokers: str, connect: Callable[..., None]
) -> None:
    connect(brokers, **{"message.max.bytes": 20_000})
    made = fill(lake, 5)
    lake.land({key(14): event("large", {"text": "x" * 40_000}) + event("no account", {"n": "é"}, org_id="tn-2")})
    record = replay(lake, Replay(TargetKind.KAFKA, "large", "kafka"))
    assert (record.sent, record.refused) == (6, 1)
    (refused,) = list_refused(lake.settings, lake.ledger, record.replay_id)
    assert refused.event_id == "large"
    assert "too large" in refused.reason.lower()
    got = read(brokers, "large", 6)
    assert sorted(message.value() for message in got if message.key() in {b"0", b"1", b"2"}) == sorted(made)


def test_brokers_that_do_not_answer_are_a_passing_error(lake: LakeUnderTest, connect: Callable[..., None]) -> None:
    connect(f"127.0.0.1:{free_port()}", **{"message.timeout.ms": 300, "socket.timeout.ms": 1000})
    fill(lake, 3)
    with pytest.raises(TargetUnavailable, match="kafka events: produce failed: _MSG_TIMED_OUT"):
        replay(lake, TO)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, TargetDenied),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, TargetRefused),
        (KafkaError.NOT_LEADER_FOR_PARTITION, TargetUnavailable),
        (KafkaError._TRANSPORT, TargetUnavailable),
    ],
)
def test_only_errors_that_stay_stop_a_replay_at_once(code: int, kind: type[Exception]) -> None:
    error = KafkaTarget("events", None)._convert_error(KafkaError(code), "produce")
    assert type(error) is kind
    assert "kafka events: produce failed" in str(error)


def test_the_command_line_reads_the_settings_of_kafkas_own_tools(
    lake: LakeUnderTest, brokers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = Replay(TargetKind.KAFKA, "from_file")
    with pytest.raises(ConfigError, match=KAFKA):
        open_target(lake.settings, to, "r", MachineClients())
    file = tmp_path / "client.properties"
    monkeypatch.setenv(KAFKA, str(file))
    with pytest.raises(ConfigError, match="FileNotFoundError"):
        open_target(lake.settings, to, "r", MachineClients())
    file.write_text("bootstrap.servers=x:1\nsasl.pasword=hush\n")
    with pytest.raises(ConfigError, match="does not take") as caught:
        open_target(lake.settings, to, "r", MachineClients())
    assert "hush" not in str(caught.value)
    file.write_text(f"# ours\nbootstrap.servers = {brokers}\n\nlog_level=0\n")
    target = open_target(lake.settings, to, "r", MachineClients())
    assert target.check().startswith("from_file with ")
    target.close()


def test_a_connection_is_needed_in_airflow(lake: LakeUnderTest) -> None:
    with pytest.raises(ConfigError, match=r"replay\.conn_id is missing"):
        open_target(lake.settings, Replay(TargetKind.KAFKA, "events"), "r", AirflowClients())
