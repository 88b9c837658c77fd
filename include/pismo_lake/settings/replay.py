"""Define the target to which a delivery's events are sent again."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from pydantic import Field
from pydantic.dataclasses import dataclass

from pismo_lake.settings.fields import NO_TRUTH, STRICT_MODEL

if TYPE_CHECKING:
    from collections.abc import Callable

_KAFKA_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_TOPIC = re.compile(r"projects/[^/]+/topics/[^/]+")


class TargetKind(StrEnum):
    """The kind of a target."""

    SQS = "sqs"
    SNS = "sns"
    PUBSUB = "pubsub"
    KAFKA = "kafka"
    HTTP = "http"
    NDJSON = "ndjson"
    UNDELIMITED = "undelimited"


FILES = frozenset({TargetKind.NDJSON, TargetKind.UNDELIMITED})
"""The targets that are folders for files."""


@dataclass(frozen=True, slots=True, config=STRICT_MODEL)
class Replay:
    """The consumer that events are sent to again."""

    target: TargetKind
    """sqs, sns, pubsub, kafka, http; or files: ndjson (an event a line) or undelimited (as Pismo writes them)."""
    address: str
    """The queue's URL, the topic's ARN, projects/<project>/topics/<name>, Kafka's topic, the URL, or the folder."""
    conn_id: str | None = None
    """The Airflow connection that may send there. For http it is optional: its password is the secret."""
    region: str | None = None
    """The AWS region of the queue or topic."""
    endpoint_url: str | None = None
    """Another endpoint of the service, for example of an emulator."""
    per_second: Annotated[float, Field(gt=0), NO_TRUTH] | None = None
    """The most messages that are sent in a second. A run may ask for another number."""

    def __post_init__(self) -> None:
        is_right, example = _FORMS[self.target]
        if not is_right(self.address):
            msg = f"replay.address is {self.address!r}, and {self.target} needs {example}"
            raise ValueError(msg)
        if self.target is TargetKind.HTTP and urlsplit(self.address).username is not None:
            msg = "replay.address has a user: give the secret as the password of the Airflow connection conn_id"
            raise ValueError(msg)
        if self.target in FILES and self.conn_id is not None:
            msg = f"replay.conn_id is not for {self.target}: files are written through storage_conn_id"
            raise ValueError(msg)


def _is_url(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


_FORMS: dict[TargetKind, tuple[Callable[[str], bool], str]] = {
    TargetKind.SQS: (_is_url, "a URL such as https://sqs.eu-west-1.amazonaws.com/123456789012/events"),
    TargetKind.SNS: (lambda address: address.startswith("arn:"), "an ARN such as arn:aws:sns:eu-west-1:123456789012:x"),
    TargetKind.PUBSUB: (lambda address: bool(_TOPIC.fullmatch(address)), "projects/<project>/topics/<name>"),
    TargetKind.KAFKA: (lambda address: bool(_KAFKA_TOPIC.fullmatch(address)), "the name of a topic"),
    TargetKind.HTTP: (_is_url, "a URL such as https://consumer.example.com/events"),
    TargetKind.NDJSON: (lambda address: bool(address.strip()), "a folder"),
    TargetKind.UNDELIMITED: (lambda address: bool(address.strip()), "a folder"),
}
"""For each kind, whether an address has its form, and the form in words."""
