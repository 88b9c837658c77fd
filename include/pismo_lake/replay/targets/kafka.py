"""Send messages to a Kafka topic through a producer of librdkafka; the producer comes from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException

from pismo_lake.errors import ReplayError, TargetDenied, TargetRefused, TargetUnavailable
from pismo_lake.replay.target import TOPIC_LIMITS, Failure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from pismo_lake.replay.message import Message

DEFAULTS: Final[dict[str, Any]] = {
    # without it, a retry of librdkafka's own may change the order of messages
    "enable.idempotence": True,
    "message.timeout.ms": 60_000,
}
"""Settings of a producer that a connection may replace."""
_CALL_SECONDS = 90.0
_RECORD_BYTES = 70
_TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE, KafkaError.INVALID_RECORD})
"""Codes of a message that its topic can never take."""
_REFUSED = frozenset({
    KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED, KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC, KafkaError.TOPIC_EXCEPTION, KafkaError._AUTHENTICATION,  # noqa: SLF001 - public codes
    KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError.POLICY_VIOLATION, KafkaError._INVALID_ARG,  # noqa: SLF001
})  # fmt: skip
"""Codes after which no message can be sent, and a retry cannot help."""


class KafkaTarget:
    """A topic; the key of a message is its account, so that the events of an account are in one partition, in order.

    A batch with an error that may pass is sent again as a whole: to send only the rest would change the order.
    """

    def __init__(self, topic: str, producer: Any) -> None:
        self.name = f"kafka {topic}"
        self.limits = TOPIC_LIMITS
        self._topic, self._producer = topic, producer

    def weigh(self, message: Message) -> int:
        """Return the bytes of the body, the key and the headers, with those of a record."""
        beside = sum(len(name) + len(value) for name, value in _headers(message))
        return len(message.body) + len(_key(message)) + beside + _RECORD_BYTES

    def refuse(self, message: Message) -> str | None:  # noqa: ARG002 - the protocol's signature
        """Return None: only the producer and the topic know how large a message may be."""
        return None

    def send(self, batch: Sequence[Message]) -> Sequence[Failure]:
        """Produce a batch, and wait until each message is taken or refused."""
        errors: dict[int, KafkaError] = {}
        try:
            for number, message in enumerate(batch):
                self._produce(number, message, errors)
            left = self._producer.flush(_CALL_SECONDS)
        finally:
            # nothing may arrive later, after a message of the next batch
            self._forget_waiting()
        if left:
            msg = f"{self.name}: {left} messages were not taken in {_CALL_SECONDS:g} s"
            raise TargetUnavailable(msg)
        failures = []
        for number, error in sorted(errors.items()):
            if error.code() not in _TOO_LARGE:
                raise self._convert_error(error, "produce")
            failures.append(Failure(number, error.str(), passing=False))
        return failures

    def _produce(self, number: int, message: Message, errors: dict[int, KafkaError]) -> None:
        def note(error: KafkaError | None, _: Any) -> None:
            if error is not None:
                errors[number] = error

        try:
            self._producer.produce(
                self._topic, value=message.body, key=_key(message), headers=_headers(message), on_delivery=note
            )
        except KafkaException as error:
            errors[number] = error.args[0]
        except BufferError:
            msg = f"{self.name}: the queue of the producer is full"
            raise TargetUnavailable(msg) from None

    def check(self) -> str:
        """Look at the topic; this needs the right to describe it."""
        try:
            topic = self._producer.list_topics(self._topic, timeout=10).topics[self._topic]
        except KafkaException as error:
            raise self._convert_error(error.args[0], "list_topics") from error
        if topic.error is not None:
            raise self._convert_error(topic.error, "list_topics")
        return f"{self._topic} with {len(topic.partitions)} partition(s)"

    def close(self) -> None:
        """Forget messages that wait; the connections close with the producer."""
        self._forget_waiting()

    def _forget_waiting(self) -> None:
        self._producer.purge()
        self._producer.flush(1)

    def _convert_error(self, error: KafkaError, call: str) -> ReplayError:
        refused = error.code() in _REFUSED or error.fatal()
        kind = TargetRefused if refused else TargetUnavailable
        if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            kind = TargetDenied
        return kind(f"{self.name}: {call} failed: {error.name()}: {error.str()}")


def _key(message: Message) -> bytes:
    """Return the id of the account; the identity of an event without one."""
    return _bytes(message.key if message.account is None else message.account)


def _headers(message: Message) -> list[tuple[str, bytes]]:
    return [(name, _bytes(value)) for name, value in message.attributes.items()]


def _bytes(text: str) -> bytes:
    """Return the text in UTF-8; half a character becomes an escape."""
    return text.encode("utf-8", "backslashreplace")
