"""The broker and the server behave as a Pub/Sub consumer sees the service."""

from __future__ import annotations

import random
from typing import Any

import pytest

from pismo_sandbox.gcp.broker import Broker
from pismo_sandbox.gcp.model import BadRequestError, NoSuchResourceError

TOPIC, DEAD = "projects/p-one/topics/events", "projects/p-one/topics/dead"
SUB, DEADSUB = "projects/p-one/subscriptions/lake", "projects/p-one/subscriptions/dead"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def made(dead_letter: tuple[str, int] = ("", 0), **options: Any) -> tuple[Broker, Clock]:
    clock = Clock()
    broker = Broker(clock, **options)
    broker.create_topic(TOPIC)
    broker.create_topic(DEAD)
    broker.subscribe(SUB, TOPIC, 10, dead_letter)
    broker.subscribe(DEADSUB, DEAD)
    return broker, clock


def test_redelivery_at_the_deadline_and_not_before() -> None:
    broker, clock = made()
    broker.publish(TOPIC, [(b"a", {}, "")])
    first = broker.pull(SUB, 5)
    clock.now = 9.9
    assert broker.pull(SUB, 5) == []
    clock.now = 10.0
    second = broker.pull(SUB, 5)
    assert second[0].message == first[0].message
    assert second[0].ack_id != first[0].ack_id
    assert broker.acknowledge(SUB, [first[0].ack_id]) == 0
    assert broker.acknowledge(SUB, [second[0].ack_id]) == 1
    clock.now = 100.0
    assert broker.pull(SUB, 5) == []


def test_extension_and_nack() -> None:
    broker, clock = made()
    broker.publish(TOPIC, [(b"a", {}, "")])
    (lease,) = broker.pull(SUB, 5)
    clock.now = 9.0
    broker.modify_deadline(SUB, [lease.ack_id], 60)
    clock.now = 68.0
    assert broker.pull(SUB, 5) == []
    broker.modify_deadline(SUB, [lease.ack_id], 0)
    assert len(broker.pull(SUB, 5)) == 1


def test_dead_letters_after_the_attempts() -> None:
    broker, _ = made((DEAD, 5))
    broker.publish(TOPIC, [(b"a", {"k": "v"}, "")])
    for attempt in range(1, 6):
        (lease,) = broker.pull(SUB, 5)
        assert lease.attempt == attempt
        broker.expire_leases(SUB)
    assert broker.pull(SUB, 5) == []
    (dead,) = broker.pull(DEADSUB, 5)
    assert dead.message.attributes["k"] == "v"
    assert dead.message.attributes["CloudPubSubDeadLetterSourceDeliveryCount"] == "5"


def test_refusals() -> None:
    broker, _ = made()
    with pytest.raises(BadRequestError):
        broker.pull(SUB, 0)
    with pytest.raises(BadRequestError):
        broker.acknowledge(SUB, ["x"])
    with pytest.raises(BadRequestError):
        broker.subscribe("projects/p/subscriptions/short", TOPIC, 9)
    with pytest.raises(NoSuchResourceError):
        broker.pull("projects/p/subscriptions/none", 1)
    with pytest.raises(BadRequestError):
        broker.create_topic("topic")


def test_arbitrary_order_loses_nothing() -> None:
    broker, _ = made(rng=random.Random(1))
    broker.publish(TOPIC, [(str(i).encode(), {}, "") for i in range(50)])
    got = [int(d.message.data) for _ in range(10) for d in broker.pull(SUB, 5)]
    assert got != sorted(got)
    assert sorted(got) == list(range(50))
