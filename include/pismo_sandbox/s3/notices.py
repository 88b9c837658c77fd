"""Send notices of new files like Pismo: to a topic of the customer, and on to its queue."""

from __future__ import annotations

import json
import random
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pismo_sandbox.feed.publisher import Sink
    from pismo_sandbox.s3.server import Sandbox

TOPIC, QUEUE, DEAD_LETTERS = "pismo-events", "pismo-files", "pismo-files-dead"


def notice_event(bucket: str, organisation: str, key: str, size: int) -> dict[str, Any]:
    """Return the event of a new object in the bucket.

    Source: New file available in bucket, dataplatform, version 1.
    """
    return {
        "event_id": str(uuid.uuid4()),
        "schema_version": 1,
        "domain": "dataplatform",
        "event_type": "new_bucket_object",
        "org_id": organisation,
        "cid": str(uuid.uuid4()),
        "timestamp": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z",
        "data": {"bucket_name": bucket, "object_name": key, "object_size": size},
    }


class Channel(Protocol):
    """A place to send notices."""

    def send(self, event: dict[str, Any]) -> None:
        """Send one event."""


@dataclass(slots=True)
class AnnouncingSink:
    """Stores files and announces each; some notices are sent twice or never, all in any order."""

    files: Sink
    channel: Channel
    bucket: str
    organisation: str
    twice: float = 0.0
    never: float = 0.0
    seed: int = 5
    held: list[dict[str, Any]] = field(default_factory=list)
    unannounced: list[str] = field(default_factory=list)
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def put(self, key: str, data: bytes) -> None:
        """Store one object; `announce` sends its notice."""
        self.files.put(key, data)
        if self._random.random() < self.never:
            self.unannounced.append(key)
            return
        event = notice_event(self.bucket, self.organisation, key, len(data))
        self.held += [event] * (2 if self._random.random() < self.twice else 1)

    def announce(self) -> int:
        """Send the held notices in any order; return the number of messages."""
        self._random.shuffle(self.held)
        for event in self.held:
            self.channel.send(event)
        count = len(self.held)
        self.held.clear()
        return count

    def close(self) -> None:
        """Close the parts that have connections."""
        for part in (self.files, self.channel):
            close = getattr(part, "close", None)
            if close is not None:
                close()


class SnsTopic:
    """An SNS topic."""

    def __init__(self, client: Any, arn: str) -> None:
        self._client, self._arn = client, arn

    def send(self, event: dict[str, Any]) -> None:
        """Publish one event."""
        self._client.publish(TopicArn=self._arn, Message=json.dumps(event))


@dataclass(frozen=True, slots=True)
class NoticeQueues:
    """A topic, the queue subscribed to it, and that queue's dead letters."""

    topic: SnsTopic
    topic_arn: str
    queue_url: str
    dead_letters_url: str


def furnish_notices(
    sandbox: Sandbox, *, raw: bool = False, receives: int = 5, visibility_seconds: int = 30, name: str = ""
) -> NoticeQueues:
    """Make the topic and the queues, and subscribe them; `raw` leaves out SNS's wrapper."""
    sqs, sns = sandbox.admin("sqs"), sandbox.admin("sns")
    dead = sqs.create_queue(QueueName=f"{DEAD_LETTERS}{name}")["QueueUrl"]
    dead_arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": str(receives)})
    attributes = {"RedrivePolicy": redrive, "VisibilityTimeout": str(visibility_seconds)}
    queue = sqs.create_queue(QueueName=f"{QUEUE}{name}", Attributes=attributes)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = sns.create_topic(Name=f"{TOPIC}{name}")["TopicArn"]
    options = {"RawMessageDelivery": "true"} if raw else {}
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=options)
    return NoticeQueues(SnsTopic(sns, topic), topic, queue, dead)
