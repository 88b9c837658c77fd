"""Define the queue of notices that draining needs, for any service."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from pismo_lake.errors import PismoError
from pismo_lake.renewal import renew_every

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager


@dataclass(frozen=True, slots=True)
class Message:
    """A leased message: its id and body, the receipt to delete it, and its deliveries so far."""

    id: str
    body: str | bytes
    receipt: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    deliveries: int = 0


class NoticeQueue(Protocol):
    """A queue whose messages are leased; a message returns unless it is deleted in time."""

    name: str
    lease_seconds: int

    def receive(self, most: int) -> list[Message]:
        """Return up to `most` messages, leased for `lease_seconds`; none if the queue is empty."""

    def extend(self, messages: Sequence[Message], seconds: int | None = None) -> None:
        """Lease messages for another `seconds` from now; the default is `lease_seconds`."""

    def delete(self, messages: Sequence[Message]) -> None:
        """Delete messages for good."""

    def backlog(self) -> int | None:
        """Return about how many messages wait, without taking any; None if the service cannot tell."""

    def has_dead_letters(self) -> bool:
        """Return whether the service moves messages that fail too often to another queue."""

    def dead_letters(self) -> int | None:
        """Return about how many messages its dead-letter queue has; None if the service cannot tell."""

    def sources(self) -> list[str]:
        """Return the topics whose messages the queue takes, as far as its settings say."""

    def close(self) -> None:
        """Close connections."""


def split_in_batches(messages: Sequence[Message], size: int) -> Iterator[Sequence[Message]]:
    """Yield slices of at most `size` messages."""
    for start in range(0, len(messages), size):
        yield messages[start : start + size]


def renew_leases(queue: NoticeQueue, messages: Sequence[Message], log: logging.Logger) -> AbstractContextManager[None]:
    """Renew the messages' leases each third of their length, while the block runs."""

    def renew() -> None:
        try:
            queue.extend(messages)
        except PismoError as error:
            # the messages return and their files are known then: more work, but no wrong result
            log.warning("leases were not renewed: %s", error)

    return renew_every(queue.lease_seconds / 3, renew, f"lease-{queue.name[-40:]}")
