"""What draining asks of a queue of notices, whichever service it is."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from pismo_lake.errors import PismoError

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator, Mapping, Sequence


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


@contextmanager
def held(queue: NoticeQueue, messages: Sequence[Message], log: logging.Logger) -> Iterator[None]:
    """Renew the messages' leases at a third of their length, for as long as the work on them takes."""
    over = threading.Event()

    def renew() -> None:
        while not over.wait(queue.lease_seconds / 3):
            try:
                queue.extend(messages)
            except PismoError as error:
                # they come back and are known then: dearer, not wrong
                log.warning("leases were not renewed: %s", error)

    thread = threading.Thread(target=renew, name=f"lease-{queue.name[-40:]}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
