"""Pull notices from Pub/Sub through the provider's hook."""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING, Any

import grpc
from airflow.providers.google.cloud.hooks.pubsub import PubSubHook
from google.api_core.exceptions import (
    Aborted,
    DeadlineExceeded,
    GoogleAPIError,
    InternalServerError,
    NotFound,
    PermissionDenied,
    ServiceUnavailable,
    Unauthenticated,
    Unknown,
)
from google.api_core.retry import Retry, if_exception_type
from google.auth.exceptions import GoogleAuthError
from google.cloud.pubsub_v1 import SubscriberClient
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from pismo.queues.message import Message, split_in_batches
from pismo_lake.errors import AccessDenied, ConfigError, PismoError, SourceUnavailable
from pismo_lake.faults import remove_secrets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.api_core.client_options import ClientOptions

    from pismo_lake.settings.channels import Notices

_BATCH = 500
_WAIT_SECONDS = 3.0
_CALL_SECONDS = 60.0
_TRANSIENT = Retry(
    predicate=if_exception_type(Aborted, InternalServerError, ServiceUnavailable, Unknown),
    initial=0.1,
    timeout=_CALL_SECONDS,
)


class PismoPubSubHook(PubSubHook):
    """The provider's hook, with an endpoint if set; ``http://`` means no TLS, for an emulator."""

    def __init__(self, conn_id: str, endpoint_url: str | None) -> None:
        super().__init__(gcp_conn_id=conn_id)
        self._endpoint = endpoint_url

    def get_client_options(self, api_endpoint_override: str | None = None) -> ClientOptions:
        """Return the client's options, with the endpoint."""
        own = self._endpoint.removeprefix("https://") if self._endpoint else None
        return super().get_client_options(api_endpoint_override or own)

    @cached_property
    def subscriber_client(self) -> SubscriberClient:
        """The client: without TLS for an emulator, else with the connection's credentials."""
        if not self._endpoint or not self._endpoint.startswith("http://"):
            return super().subscriber_client
        options = [("grpc.max_receive_message_length", -1)]
        channel = grpc.insecure_channel(self._endpoint.removeprefix("http://"), options=options)
        return SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))


class PubSubQueue:
    """A subscription; only `delete` acknowledges messages."""

    def __init__(self, notices: Notices) -> None:
        self.name, self.lease_seconds = notices.queue, notices.lease_seconds
        self._hook = PismoPubSubHook(notices.conn_id, notices.endpoint_url)

    def receive(self, most: int) -> list[Message]:
        """Pull until it has `most`, a pull is empty, or a third of the lease is over."""
        messages: dict[str, Message] = {}
        until = time.monotonic() + self.lease_seconds / 3
        while len(messages) < most and (left := until - time.monotonic()) > 0:
            request = {"subscription": self.name, "max_messages": min(_BATCH, most - len(messages))}
            try:
                # an empty pull must not outlast the lease of the messages taken before
                answer = self._call("pull", request, min(_WAIT_SECONDS, left))
            except DeadlineExceeded:
                break
            if not answer.received_messages:
                break
            fresh = [
                Message(
                    item.message.message_id, bytes(item.message.data), item.ack_id, dict(item.message.attributes),
                    item.delivery_attempt,
                )
                for item in answer.received_messages
            ]  # fmt: skip
            self.extend(fresh)
            messages |= {message.id: message for message in fresh}
        return list(messages.values())

    def extend(self, messages: Sequence[Message], seconds: int | None = None) -> None:
        """Lease messages again from now."""
        lease = self.lease_seconds if seconds is None else seconds
        for some in split_in_batches(messages, _BATCH):
            ids = [item.receipt for item in some]
            request = {"subscription": self.name, "ack_ids": ids, "ack_deadline_seconds": lease}
            self._call("modify_ack_deadline", request, _CALL_SECONDS)

    def delete(self, messages: Sequence[Message]) -> None:
        """Acknowledge messages; if an acknowledgement is late, the message is delivered again."""
        for some in split_in_batches(messages, _BATCH):
            request = {"subscription": self.name, "ack_ids": [item.receipt for item in some]}
            self._call("acknowledge", request, _CALL_SECONDS)

    def backlog(self) -> None:
        """Return None: only a pull could count, and it counts as a delivery.

        Deliveries decide when a message moves to the dead-letter topic.
        """
        return

    def has_dead_letters(self) -> bool:
        """Return whether there is a dead-letter policy; needs pubsub.subscriptions.get."""
        found = self._call("get_subscription", {"subscription": self.name}, _CALL_SECONDS)
        return bool(found.dead_letter_policy.dead_letter_topic)

    def dead_letters(self) -> None:
        """Return None: they are in a subscription of another topic, which has no count either."""
        return

    def sources(self) -> list[str]:
        """Return the subscription's topic; this needs pubsub.subscriptions.get."""
        return [str(self._call("get_subscription", {"subscription": self.name}, _CALL_SECONDS).topic)]

    def close(self) -> None:
        """Close the channel."""
        if "subscriber_client" in self._hook.__dict__:
            self._hook.subscriber_client.close()

    def _call(self, method: str, request: dict[str, Any], seconds: float) -> Any:
        try:
            client = self._hook.subscriber_client
            return getattr(client, method)(request=request, timeout=seconds, retry=_TRANSIENT)
        except DeadlineExceeded as error:
            if method == "pull":
                raise
            raise self._convert_error(error) from error
        except (GoogleAPIError, GoogleAuthError) as error:
            raise self._convert_error(error) from error

    def _convert_error(self, error: Exception) -> PismoError:
        answer = remove_secrets(f"{type(error).__name__}: {getattr(error, 'message', '') or error}")
        if isinstance(error, NotFound):
            return ConfigError(f"{self.name}: no such subscription ({answer})")
        if isinstance(error, PermissionDenied | Unauthenticated | GoogleAuthError):
            needs = "it needs roles/pubsub.subscriber"
            return AccessDenied(f"{self.name}: the connection's identity is refused; {needs} ({answer})")
        return SourceUnavailable(f"{self.name}: {answer}, try again")
