"""Send messages to an SQS queue or an SNS topic, standard or FIFO, through a client of boto3's.

The client comes from outside: from an Airflow connection, or with the machine's own credentials.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from pismo_lake.errors import ReplayError, TargetDenied, TargetRefused, TargetUnavailable
from pismo_lake.faults import Fault, reason_of, remove_secrets
from pismo_lake.replay.target import Failure, Limits
from pismo_lake.replay.targets.texts import is_xml_text, xml_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pismo_lake.replay.message import Message

CLIENT: dict[str, Any] = {
    "retries": {"mode": "standard", "max_attempts": 3}, "connect_timeout": 10, "read_timeout": 60,
}  # fmt: skip
"""The settings of a client: a few retries of its own, then the replay waits and tries again."""
_BATCH = 10
_MOST_BYTES = 256 << 10
_GROUP = re.compile(r"[!-~]{1,128}", re.ASCII)
_STOPS = re.compile(
    "NonExistent|DoesNotExist|NotFound|Authorization|Denied|InvalidAddress|InvalidSecurity|Unsupported"
    "|Kms(?:Disabled|Invalid|OptIn)|KMS(?:Disabled|Invalid|OptIn)|InvalidParameter|MissingParameter"
)
_THROTTLED = re.compile("Throttl|SlowDown|TooManyRequests|LimitExceeded|OverLimit", re.IGNORECASE)


def region_of(address: str) -> str | None:
    """Return the region in an ARN, or in the URL of a queue at AWS.

    >>> region_of("arn:aws:sns:eu-west-1:123456789012:x"), region_of("https://sqs.eu-west-1.amazonaws.com/1/x")
    ('eu-west-1', 'eu-west-1')
    """
    if address.startswith("arn:"):
        return address.split(":")[3] or None
    host = address.partition("://")[2].split("/")[0]
    return host.split(".")[1] if host.startswith("sqs.") and ".amazonaws.com" in host else None


def limits_of_address(address: str) -> Limits:
    """Return the limits of a queue or a topic by its address: a name that ends in ``.fifo`` keeps an order."""
    fifo = address.endswith(".fifo")
    return Limits(_BATCH, _MOST_BYTES, ordered=fifo, usual_rate=300.0 if fifo else 500.0)


class _AwsTarget:
    """The parts that a queue and a topic share."""

    def __init__(self, kind: str, address: str, client: Any) -> None:
        self.name = f"{kind} {address}"
        self._address, self._client = address, client
        self.limits = limits_of_address(address)
        self._most_bytes = _MOST_BYTES

    def weigh(self, message: Message) -> int:
        """Return the bytes of the body, and of each attribute's name, type and value."""
        beside = _carried(message).items()
        return len(message.body) + sum(len(name) + len("String") + len(value.encode()) for name, value in beside)

    def refuse(self, message: Message) -> str | None:
        """Refuse a message that is too large, or no text that AWS carries."""
        if xml_text(message.body) is None:
            return "it has bytes that AWS does not carry in a message"
        size = self.weigh(message)
        if size > self._most_bytes:
            return f"its message has {size} bytes, and the most are {self._most_bytes}"
        return None

    def close(self) -> None:
        """Close the client's connections."""
        self._client.close()

    def _entry(self, number: int, message: Message, body: str) -> dict[str, Any]:
        values = {name: {"DataType": "String", "StringValue": value} for name, value in _carried(message).items()}
        entry: dict[str, Any] = {"Id": str(number), body: xml_text(message.body), "MessageAttributes": values}
        if self.limits.ordered:
            # for five minutes, the service drops a message with an id that it has seen
            twice = f"{message.attributes['replay_id']}-{message.key}"
            entry |= {"MessageGroupId": _group_id(message), "MessageDeduplicationId": twice}
        return entry

    def _send(self, operation: str, **arguments: Any) -> list[Failure]:
        answer = self._call(operation, **arguments)
        return [self._failure(entry) for entry in answer.get("Failed", [])]

    def _failure(self, entry: dict[str, Any]) -> Failure:
        code, text = str(entry.get("Code", "")), remove_secrets(str(entry.get("Message", "")))
        reason = ": ".join(part for part in (code, text) if part) or "no reason was given"
        throttled = bool(_THROTTLED.search(code))
        if not throttled and "InvalidParameter" not in code and _STOPS.search(code):
            msg = f"{self.name}: {reason}"
            raise TargetRefused(msg)
        return Failure(int(entry["Id"]), reason, passing=throttled or not entry.get("SenderFault", False))

    def _call(self, operation: str, **arguments: Any) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return getattr(self._client, operation)(**arguments)
        except (ClientError, BotoCoreError) as error:
            raise self._convert_error(error, operation) from error

    def _convert_error(self, error: Exception, operation: str) -> ReplayError:
        reason = reason_of(error)
        msg = f"{self.name}: {operation} failed: {reason}"
        if _THROTTLED.search(reason.code):
            return TargetUnavailable(msg)
        if reason.fault is Fault.DENIED:
            return TargetDenied(msg)
        return (TargetRefused if reason.fault.permanent or _STOPS.search(reason.code) else TargetUnavailable)(msg)


class SqsTarget(_AwsTarget):
    """An SQS queue; a name that ends in ``.fifo`` keeps the order of each account."""

    def __init__(self, url: str, client: Any) -> None:
        super().__init__("sqs", url, client)
        self._most_bytes = self._queue_limit()

    def send(self, batch: Sequence[Message]) -> Sequence[Failure]:
        """Send up to ten messages in one request."""
        entries = [self._entry(number, message, "MessageBody") for number, message in enumerate(batch)]
        return self._send("send_message_batch", QueueUrl=self._address, Entries=entries)

    def check(self) -> str:
        """Look at the queue; this needs sqs:GetQueueAttributes."""
        names = ["QueueArn", "ApproximateNumberOfMessages"]
        found = self._call("get_queue_attributes", QueueUrl=self._address, AttributeNames=names)["Attributes"]
        return f"{found['QueueArn']}: about {found['ApproximateNumberOfMessages']} message(s) wait"

    def _queue_limit(self) -> int:
        """Return the most bytes of a message by the queue's settings; the usual number if it does not tell."""
        name = "MaximumMessageSize"
        try:
            answer = self._call("get_queue_attributes", QueueUrl=self._address, AttributeNames=[name])
        except ReplayError:
            # the right to send does not include this one; if the queue is wrong, sending says so
            return _MOST_BYTES
        return int(answer.get("Attributes", {}).get(name, _MOST_BYTES))


class SnsTarget(_AwsTarget):
    """An SNS topic; a name that ends in ``.fifo`` keeps the order of each account."""

    def __init__(self, arn: str, client: Any) -> None:
        super().__init__("sns", arn, client)

    def send(self, batch: Sequence[Message]) -> Sequence[Failure]:
        """Publish up to ten messages in one request."""
        entries = [self._entry(number, message, "Message") for number, message in enumerate(batch)]
        return self._send("publish_batch", TopicArn=self._address, PublishBatchRequestEntries=entries)

    def check(self) -> str:
        """Look at the topic; this needs sns:GetTopicAttributes."""
        found = self._call("get_topic_attributes", TopicArn=self._address)["Attributes"]
        return f"{found['TopicArn']}: {found.get('SubscriptionsConfirmed', '?')} subscription(s)"


def _carried(message: Message) -> dict[str, str]:
    """Return the attributes that AWS carries; it accepts no empty text and no control characters."""
    return {name: value for name, value in message.attributes.items() if value and is_xml_text(value)}


def _group_id(message: Message) -> str:
    """Return the name of a message's group with the signs and the length that AWS accepts."""
    group = message.group
    return group if _GROUP.fullmatch(group) else hashlib.sha256(group.encode("utf-8", "surrogatepass")).hexdigest()
