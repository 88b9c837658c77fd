"""Send messages to a Pub/Sub topic through a client of Google's; the client comes from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pismo_lake.errors import ReplayError, TargetDenied, TargetRefused, TargetUnavailable
from pismo_lake.faults import Fault, reason_of
from pismo_lake.replay.target import TOPIC_LIMITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pismo_lake.replay.message import Message
    from pismo_lake.replay.target import Failure

_MOST_BYTES = 9_900_000
_LONGEST = 1024
_CALL_SECONDS = 60.0


def make_publisher(endpoint_url: str | None, credentials: Any = None) -> Any:
    """Return a client of Google's that publishes; ``http://`` means no TLS, for an emulator."""
    from google.pubsub_v1 import PublisherClient

    if endpoint_url and endpoint_url.startswith("http://"):
        import grpc
        from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

        channel = grpc.insecure_channel(endpoint_url.removeprefix("http://"))
        return PublisherClient(transport=PublisherGrpcTransport(channel=channel))
    own = {"api_endpoint": endpoint_url.removeprefix("https://")} if endpoint_url else None
    return PublisherClient(credentials=credentials, client_options=own)


class PubSubTarget:
    """A topic; the ordering key of a message is its account.

    A request is taken as a whole or not at all, and keeps the order of its messages. A subscription delivers them in
    this order only if it was made with message ordering.
    """

    def __init__(self, topic: str, client: Any) -> None:
        self.name = f"pubsub {topic}"
        self.limits = TOPIC_LIMITS
        self._topic, self._client = topic, client

    def weigh(self, message: Message) -> int:
        """Return the bytes of the body and the attributes."""
        beside = sum(
            len(name) + len(value.encode("utf-8", "surrogatepass")) for name, value in message.attributes.items()
        )
        return len(message.body) + beside + len(message.group)

    def refuse(self, message: Message) -> str | None:
        """Refuse a message that is too large."""
        size = self.weigh(message)
        return f"its message has {size} bytes, and the most are {_MOST_BYTES}" if size > _MOST_BYTES else None

    def send(self, batch: Sequence[Message]) -> Sequence[Failure]:
        """Publish a batch in one request."""
        messages = [
            {"data": message.body, "attributes": _carried(message.attributes), "ordering_key": _ordering_key(message)}
            for message in batch
        ]
        self._call("publish", {"topic": self._topic, "messages": messages})
        return []

    def check(self) -> str:
        """Look at the topic; this needs pubsub.topics.get."""
        return str(self._call("get_topic", {"topic": self._topic}).name)

    def close(self) -> None:
        """Close the channel."""
        self._client.transport.close()

    def _call(self, method: str, request: dict[str, Any]) -> Any:
        from google.api_core.exceptions import GoogleAPIError
        from google.auth.exceptions import GoogleAuthError

        try:
            # no retry of the client's own: the replay waits and tries again
            return getattr(self._client, method)(request=request, timeout=_CALL_SECONDS, retry=None)
        except (GoogleAPIError, GoogleAuthError) as error:
            raise self._convert_error(error, method) from error

    def _convert_error(self, error: Exception, method: str) -> ReplayError:
        reason = reason_of(error)
        msg = f"{self.name}: {method} failed: {reason}"
        if reason.fault is Fault.DENIED:
            return TargetDenied(msg)
        return (TargetRefused if reason.fault.permanent else TargetUnavailable)(msg)


def _carried(attributes: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in attributes.items() if len(value.encode()) <= _LONGEST}


def _ordering_key(message: Message) -> str:
    """Return the account as the ordering key; nothing without an account, so that no order is kept."""
    group = "" if message.account is None else message.group
    return group if len(group.encode("utf-8", "surrogatepass")) <= _LONGEST else message.key
