"""Keep the state of a Pub/Sub service: topics, subscriptions, and leased messages.

Delivery is at least once: if a message is neither acknowledged nor extended before its deadline, it is delivered
again; a late acknowledgement does nothing.
"""

from __future__ import annotations

import itertools
import re
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pismo_sandbox.gcp.model import (
    AlreadyThereError,
    BadRequestError,
    Delivery,
    Held,
    Message,
    NoSuchResourceError,
    Subscription,
    check_name,
)

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable

DEFAULT_DEADLINE, LONGEST_DEADLINE = 10, 600
PULL_LIMIT, PULL_BYTES = 1000, 3_500_000  # a client of an emulator accepts no answer over 4 MiB
_ACK_ID = re.compile(r"\d+-\d+-\d+")
_SOURCE = "CloudPubSubDeadLetterSource"


class Broker:
    """All topics and subscriptions; many threads may use them.

    `clock` gives the time in seconds, so that tests need not wait. Messages come in the order of their publishing;
    with `rng` they come in random order, as the service allows.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, rng: random.Random | None = None) -> None:
        self._clock = clock
        self._rng = rng
        self._changed = threading.Condition()
        self._topics: set[str] = set()
        self._subscriptions: dict[str, Subscription] = {}
        self._numbers = itertools.count(1)

    def create_topic(self, name: str) -> None:
        """Add a topic."""
        with self._changed:
            if check_name(name, "topics") in self._topics:
                raise AlreadyThereError(f"Resource already exists in the project (resource={name}).")
            self._topics.add(name)

    def get_topic(self, name: str) -> str:
        """Return the topic's name.

        Raises:
            NoSuchResourceError: there is no such topic.
        """
        if check_name(name, "topics") not in self._topics:
            raise NoSuchResourceError(f"Resource not found (resource={name}).")
        return name

    def subscribe(
        self, name: str, topic: str, deadline: int = 0, dead_letter: tuple[str, int] = ("", 0)
    ) -> Subscription:
        """Add a subscription, which gets all later messages; zeros mean the service's defaults."""
        deadline, (target, attempts) = deadline or DEFAULT_DEADLINE, dead_letter
        if not DEFAULT_DEADLINE <= deadline <= LONGEST_DEADLINE:
            raise BadRequestError(
                f"ack_deadline_seconds must be {DEFAULT_DEADLINE} to {LONGEST_DEADLINE}, not {deadline}"
            )
        if target and not 5 <= (attempts := attempts or 5) <= 100:
            raise BadRequestError(f"max_delivery_attempts must be 5 to 100, not {attempts}")
        with self._changed:
            if check_name(name, "subscriptions") in self._subscriptions:
                raise AlreadyThereError(f"Resource already exists in the project (resource={name}).")
            self.get_topic(topic)
            if target:
                self.get_topic(target)
            made = Subscription(name, topic, deadline, target, attempts if target else 0, next(self._numbers))
            self._subscriptions[name] = made
            return made

    def get_subscription(self, name: str) -> Subscription:
        """Return the subscription with this name."""
        try:
            return self._subscriptions[check_name(name, "subscriptions")]
        except KeyError:
            raise NoSuchResourceError(f"Resource not found (resource={name}).") from None

    def delete_subscription(self, name: str) -> None:
        """Remove a subscription with all its waiting messages."""
        with self._changed:
            self.get_subscription(name)
            del self._subscriptions[name]
            self._changed.notify_all()

    def publish(self, topic: str, messages: Iterable[tuple[bytes, dict[str, str], str]]) -> list[str]:
        """Add each message (data, attributes, ordering key) to all subscriptions; return their ids."""
        with self._changed:
            self.get_topic(topic)
            now = datetime.now(UTC)
            new = [Message(str(next(self._numbers)), *message, now) for message in messages]
            self._place(topic, new)
            return [message.message_id for message in new]

    def pull(
        self, name: str, most: int, wait: float = 0.0, wanted: Callable[[], bool] = lambda: True
    ) -> list[Delivery]:
        """Lease up to `most` messages; if there are none, wait up to `wait` seconds.

        The wait ends early if `wanted` returns False.
        """
        if most <= 0:
            raise BadRequestError("max_messages must be at least 1")
        end = time.monotonic() + wait
        with self._changed:
            while True:
                subscription = self.get_subscription(name)
                self._expire()
                left = end - time.monotonic()
                if subscription.ready or left <= 0 or not wanted():
                    return self._lease(subscription, min(most, PULL_LIMIT)) if wanted() else []
                self._changed.wait(min(left, 0.1))

    def acknowledge(self, name: str, ack_ids: Iterable[str]) -> int:
        """Forget the messages whose leases still run; return their number."""
        with self._changed:
            leased, ids = self._check_ids(name, ack_ids)
            return sum(leased.pop(ack_id, None) is not None for ack_id in ids)

    def modify_deadline(self, name: str, ack_ids: Iterable[str], seconds: int) -> None:
        """Let running leases end in `seconds` from now; 0 returns the messages at once."""
        if not 0 <= seconds <= LONGEST_DEADLINE:
            raise BadRequestError(f"ack_deadline_seconds must be 0 to {LONGEST_DEADLINE}, not {seconds}")
        with self._changed:
            leased, ids = self._check_ids(name, ack_ids)
            for ack_id in ids:
                if ack_id in leased:
                    leased[ack_id].until = self._clock() + seconds
            self._expire()

    def expire_leases(self, name: str) -> None:
        """Let all leases of a subscription end now, as if their holders were silent."""
        with self._changed:
            for held in self.get_subscription(name).leased.values():
                held.until = self._clock()
            self._expire()

    def _check_ids(self, name: str, ack_ids: Iterable[str]) -> tuple[dict[str, Held], list[str]]:
        """Return the running leases and the requested ids.

        Raises:
            BadRequestError: an id is malformed.
        """
        subscription, ids = self.get_subscription(name), list(ack_ids)
        if not ids or any(not _ACK_ID.fullmatch(ack_id) for ack_id in ids):
            raise BadRequestError("You have passed an invalid ack ID to the service.")
        self._expire()
        return subscription.leased, ids

    def _place(self, topic: str, messages: list[Message]) -> None:
        for subscription in self._subscriptions.values():
            if subscription.topic == topic:
                subscription.ready.extend(Held(message) for message in messages)
        self._changed.notify_all()

    def _lease(self, subscription: Subscription, most: int) -> list[Delivery]:
        if self._rng is not None:
            self._rng.shuffle(subscription.ready)
        sizes = itertools.accumulate(held.message.size for held in subscription.ready[:most])
        fitting = max(1, sum(1 for _ in itertools.takewhile(lambda total: total <= PULL_BYTES, sizes)))
        taken, subscription.ready = subscription.ready[:fitting], subscription.ready[fitting:]
        until, dead_letters = self._clock() + subscription.deadline, bool(subscription.dead_letter_topic)
        for held in taken:
            held.attempts += 1
            held.until = until
            held.ack_id = f"{subscription.number}-{held.message.message_id}-{held.attempts}"
            subscription.leased[held.ack_id] = held
        return [Delivery(held.ack_id, held.message, held.attempts if dead_letters else 0) for held in taken]

    def _expire(self) -> None:
        now = self._clock()
        for subscription in list(self._subscriptions.values()):
            back = [held for held in subscription.leased.values() if held.until <= now]
            for held in back:
                del subscription.leased[held.ack_id]
                if subscription.dead_letter_topic and held.attempts >= subscription.max_attempts:
                    self._place(subscription.dead_letter_topic, [self._dead(subscription, held)])
                else:
                    subscription.ready.append(held)
            if back:
                self._changed.notify_all()

    def _dead(self, subscription: Subscription, held: Held) -> Message:
        _, project, _, short = subscription.name.split("/")
        source = {
            f"{_SOURCE}DeliveryCount": str(held.attempts),
            f"{_SOURCE}Subscription": short,
            f"{_SOURCE}SubscriptionProject": project,
            f"{_SOURCE}TopicPublishTime": held.message.published.isoformat(),
        }
        old = held.message
        return Message(str(next(self._numbers)), old.data, old.attributes | source, old.ordering_key, datetime.now(UTC))
