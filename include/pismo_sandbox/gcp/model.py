"""Define Pub/Sub's messages, deliveries, subscriptions, and the refusals of the service."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

_NAME = re.compile(r"projects/([^/]+)/(topics|subscriptions)/([A-Za-z][A-Za-z0-9._~+%-]{2,254})")


class NoSuchResourceError(LookupError):
    """The topic or subscription does not exist."""


class AlreadyThereError(ValueError):
    """There is a topic or subscription with that name already."""


class BadRequestError(ValueError):
    """The service would refuse the request."""


@dataclass(frozen=True, slots=True)
class Message:
    """One published message."""

    message_id: str
    data: bytes
    attributes: dict[str, str]
    ordering_key: str
    published: datetime

    @property
    def size(self) -> int:
        """The approximate number of bytes of the message in an answer."""
        return len(self.data) + sum(len(key) + len(value) for key, value in self.attributes.items()) + 200


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery of a message; `attempt` is 0 if the subscription has no dead-letter policy."""

    ack_id: str
    message: Message
    attempt: int


@dataclass(slots=True)
class Held:
    """A message in one subscription; `until` is the end of its lease."""

    message: Message
    attempts: int = 0
    ack_id: str = ""
    until: float = 0.0


@dataclass(slots=True)
class Subscription:
    """A subscription and its messages that are not yet acknowledged."""

    name: str
    topic: str
    deadline: int
    dead_letter_topic: str = ""
    max_attempts: int = 0
    number: int = 0
    ready: list[Held] = field(default_factory=list)
    leased: dict[str, Held] = field(default_factory=dict)

    @property
    def unacked(self) -> int:
        """The number of messages that wait or are leased."""
        return len(self.ready) + len(self.leased)


def check_name(name: str, kind: str) -> str:
    """Return a resource name if it is well formed.

    Raises:
        BadRequestError: it is not.
    """
    match = _NAME.fullmatch(name)
    if match is None or match[2] != kind:
        raise BadRequestError(f"Invalid resource name given (name={name}).")
    return name
