"""Define the target of a replay: it takes batches of messages, and returns those that it did not take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pismo_lake.replay.message import Message


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a target.

    Attributes:
        messages: the most messages of a batch.
        batch_bytes: the most bytes of a batch; a larger message is a batch of its own.
        ordered: if true, messages of one group arrive in their order, so a batch has one message of each.
        usual_rate: about how many messages it takes in a second, to estimate a duration.
        recorded_each: if true, progress is recorded after each batch.
    """

    messages: int
    batch_bytes: int
    ordered: bool = False
    usual_rate: float = 500.0
    recorded_each: bool = False


TOPIC_LIMITS = Limits(messages=500, batch_bytes=8_000_000, usual_rate=2_000.0)
"""The limits of topics whose clients take large batches: Pub/Sub and Kafka."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A message of a batch that was not taken: its number in the batch, and why.

    If it is `passing`, the message is sent again later; `seconds` is how long the target asks to wait.
    """

    number: int
    reason: str
    passing: bool
    seconds: float = 0.0


class Target(Protocol):
    """A place to send events to."""

    name: str
    """Its kind and address, without secrets."""
    limits: Limits

    def weigh(self, message: Message) -> int:
        """Return the bytes of a message as the target counts them."""

    def refuse(self, message: Message) -> str | None:
        """Return why the target can never take a message; None if it can."""

    def send(self, batch: Sequence[Message]) -> Sequence[Failure]:
        """Send a batch, and return the messages that were not taken.

        Raises:
            TargetRefused: no message can be sent, and a retry cannot help.
            TargetUnavailable: the whole batch was not taken, or its answer is lost; send it again.
        """

    def check(self) -> str:
        """Look at the target, and send nothing; return a finding; errors as `send`."""

    def close(self) -> None:
        """Close connections."""


def split_in_batches(messages: Sequence[Message], target: Target) -> Iterator[list[Message]]:
    """Yield messages in batches that the target's limits allow, in order."""
    limits = target.limits
    batch: list[Message] = []
    size, groups = 0, set[str]()
    for message in messages:
        weight = target.weigh(message)
        full = len(batch) >= limits.messages or size + weight > limits.batch_bytes
        if batch and (full or (limits.ordered and message.group in groups)):
            yield batch
            batch, size, groups = [], 0, set()
        batch.append(message)
        size += weight
        groups.add(message.group)
    if batch:
        yield batch
