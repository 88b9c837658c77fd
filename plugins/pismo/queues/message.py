"""What draining asks of a queue of notices, whichever service it is."""

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
    """A message held under a lease: its id, its body, what deletes it, and how often it was delivered, if told."""

    id: str
    body: str | bytes
    receipt: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    deliveries: int = 0


class NoticeQueue(Protocol):
    """A queue whose messages are leased, and come back unless they are deleted in time."""

    name: str
    lease_seconds: int

    def receive(self, most: int) -> list[Message]:
        """Up to `most` messages under a lease of `lease_seconds`; none where the queue has none now."""

    def extend(self, messages: Sequence[Message], seconds: int | None = None) -> None:
        """Hold messages for another `seconds` from now, `lease_seconds` by default."""

    def delete(self, messages: Sequence[Message]) -> None:
        """Take messages from the queue for good."""

    def backlog(self) -> int | None:
        """About how many messages wait, without touching them; None where the service cannot tell."""

    def has_dead_letters(self) -> bool:
        """Whether messages that nobody can use end somewhere."""

    def close(self) -> None:
        """Give connections back."""


def in_batches(messages: Sequence[Message], size: int) -> Iterator[Sequence[Message]]:
    """Slices of at most `size`."""
    for start in range(0, len(messages), size):
        yield messages[start : start + size]


def renew_leases(queue: NoticeQueue, messages: Sequence[Message], log: logging.Logger) -> AbstractContextManager[None]:
    """Renew the messages' leases at a third of their length, for as long as the block runs."""

    def renew() -> None:
        try:
            queue.extend(messages)
        except PismoError as error:
            # the messages come back and their files are known then: more work, no wrong result
            log.warning("leases were not renewed: %s", error)

    return renew_every(queue.lease_seconds / 3, renew, f"lease-{queue.name[-40:]}")
