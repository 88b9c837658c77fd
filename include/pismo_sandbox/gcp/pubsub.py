"""Serve Pub/Sub on loopback over gRPC: the calls of a pulling consumer and its publisher.

Clients find it by `PUBSUB_EMULATOR_HOST`, or over an insecure channel to `PubSubServer.host`. It refuses features that
it lacks and that a consumer may rely on (push, filters, ordering, exactly-once, retry policies).
"""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import empty_pb2
from google.pubsub_v1 import types

from pismo_sandbox.gcp.broker import Broker
from pismo_sandbox.gcp.model import AlreadyThereError, BadRequestError, NoSuchResourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pismo_sandbox.gcp.model import Delivery, Subscription

REQUEST_BYTES, REQUEST_MESSAGES = 10_000_000, 1000
_GRPC_BYTES = 4 * REQUEST_BYTES
_MARGIN = 0.05  # in these seconds before its deadline, a caller gets no message
_REFUSALS: tuple[tuple[type[Exception], grpc.StatusCode], ...] = (
    (NoSuchResourceError, grpc.StatusCode.NOT_FOUND),
    (AlreadyThereError, grpc.StatusCode.ALREADY_EXISTS),
    (BadRequestError, grpc.StatusCode.INVALID_ARGUMENT),
    (NotImplementedError, grpc.StatusCode.UNIMPLEMENTED),
)
_UNSUPPORTED = (
    "push_config", "bigquery_config", "cloud_storage_config", "filter", "enable_message_ordering",
    "enable_exactly_once_delivery", "retry_policy",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PubSubServer:
    """A running server: its address, and the broker behind it."""

    host: str
    broker: Broker


@contextmanager
def running_pubsub(port: int = 0, broker: Broker | None = None, wait: float = 5.0) -> Iterator[PubSubServer]:
    """Serve Pub/Sub on loopback until the block ends; an empty pull waits up to `wait` seconds."""
    broker = broker or Broker()
    options = [("grpc.max_receive_message_length", _GRPC_BYTES), ("grpc.so_reuseport", 0)]
    server = grpc.server(ThreadPoolExecutor(16, thread_name_prefix="pubsub"), options=options)
    publisher, subscriber = _Publisher(broker), _Subscriber(broker, wait)
    server.add_generic_rpc_handlers((publisher.handlers(), subscriber.handlers()))
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield PubSubServer(f"127.0.0.1:{bound}", broker)
    finally:
        server.stop(grace=0).wait()


class _Publisher:
    """The calls of `google.pubsub.v1.Publisher`."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def handlers(self) -> grpc.GenericRpcHandler:
        """Return the calls by name."""
        calls = {
            "CreateTopic": _unary(types.Topic, types.Topic, self.create),
            "GetTopic": _unary(types.GetTopicRequest, types.Topic, self.get),
            "Publish": _unary(types.PublishRequest, types.PublishResponse, self.publish),
        }
        return grpc.method_handlers_generic_handler("google.pubsub.v1.Publisher", calls)

    def create(self, request: Any, _context: grpc.ServicerContext) -> Any:
        """Add a topic."""
        self._broker.create_topic(request.name)
        return types.Topic(name=request.name, labels=request.labels)

    def get(self, request: Any, _context: grpc.ServicerContext) -> Any:
        """Return a topic."""
        return types.Topic(name=self._broker.get_topic(request.topic))

    def publish(self, request: Any, _context: grpc.ServicerContext) -> Any:
        """Add messages, within the service's limits of number and size."""
        raw = types.PublishRequest.pb(request)
        if not 0 < len(raw.messages) <= REQUEST_MESSAGES:
            raise BadRequestError(f"A request has 1 to {REQUEST_MESSAGES} messages, not {len(raw.messages)}.")
        if raw.ByteSize() > REQUEST_BYTES:
            raise BadRequestError(f"Request payload size exceeds the limit: {REQUEST_BYTES} bytes.")
        if any(not message.data and not message.attributes for message in raw.messages):
            raise BadRequestError("Every message needs data or attributes.")
        messages = [(item.data, dict(item.attributes), item.ordering_key) for item in raw.messages]
        return types.PublishResponse(message_ids=self._broker.publish(raw.topic, messages))


class _Subscriber:
    """The calls of `google.pubsub.v1.Subscriber`."""

    def __init__(self, broker: Broker, wait: float) -> None:
        self._broker = broker
        self._wait = wait

    def handlers(self) -> grpc.GenericRpcHandler:
        """Return the calls by name."""
        empty = empty_pb2.Empty
        calls = {
            "CreateSubscription": _unary(types.Subscription, types.Subscription, self.create),
            "GetSubscription": _unary(types.GetSubscriptionRequest, types.Subscription, self.get),
            "DeleteSubscription": _unary(types.DeleteSubscriptionRequest, empty, self.delete),
            "Pull": _unary(types.PullRequest, types.PullResponse, self.pull),
            "Acknowledge": _unary(types.AcknowledgeRequest, empty, self.acknowledge),
            "ModifyAckDeadline": _unary(types.ModifyAckDeadlineRequest, empty, self.modify),
        }
        return grpc.method_handlers_generic_handler("google.pubsub.v1.Subscriber", calls)

    def create(self, request: Any, _context: grpc.ServicerContext) -> Any:
        """Add a subscription."""
        asked = [name for name in _UNSUPPORTED if getattr(request, name)]
        if asked:
            raise NotImplementedError(f"not served here: {', '.join(asked)}")
        policy = request.dead_letter_policy
        dead_letter = (policy.dead_letter_topic, policy.max_delivery_attempts)
        made = self._broker.subscribe(request.name, request.topic, request.ack_deadline_seconds, dead_letter)
        return _subscription(made)

    def get(self, request: Any, _context: grpc.ServicerContext) -> Any:
        """Return a subscription."""
        return _subscription(self._broker.get_subscription(request.subscription))

    def delete(self, request: Any, _context: grpc.ServicerContext) -> Any:
        """Remove a subscription."""
        self._broker.delete_subscription(request.subscription)
        return empty_pb2.Empty()

    def pull(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Lease messages; wait for the first until the caller's deadline, at most `wait` seconds."""
        wait = 0.0 if types.PullRequest.pb(request).return_immediately else self._wait
        left = context.time_remaining()
        hold = wait if left is None else min(wait, max(0.0, left - _MARGIN))
        leased = self._broker.pull(request.subscription, request.max_messages, hold, context.is_active)
        if not leased and hold < wait:
            time.sleep(
                2 * _MARGIN
            )  # the caller's deadline comes first, so that no message is leased to a caller that has left
        return types.PullResponse(received_messages=[_convert_delivery(delivery) for delivery in leased])

    def acknowledge(self, request: Any, _context: grpc.ServicerContext) -> Any:
        """Forget messages."""
        self._broker.acknowledge(request.subscription, request.ack_ids)
        return empty_pb2.Empty()

    def modify(self, request: Any, _context: grpc.ServicerContext) -> Any:
        """Move the ends of leases."""
        self._broker.modify_deadline(request.subscription, request.ack_ids, request.ack_deadline_seconds)
        return empty_pb2.Empty()


def _unary(request: Any, response: Any, call: Callable[[Any, grpc.ServicerContext], Any]) -> grpc.RpcMethodHandler:
    """Return a handler that converts the broker's refusals into status codes of the service."""

    def serve(message: Any, context: grpc.ServicerContext) -> Any:
        try:
            return call(message, context)
        except tuple(kind for kind, _ in _REFUSALS) as refusal:
            code = next(code for kind, code in _REFUSALS if isinstance(refusal, kind))
            context.abort(code, str(refusal))

    serialize = response.SerializeToString if response is empty_pb2.Empty else response.serialize
    return grpc.unary_unary_rpc_method_handler(serve, request.deserialize, serialize)


def _subscription(made: Subscription) -> Any:
    answer = types.Subscription(name=made.name, topic=made.topic, ack_deadline_seconds=made.deadline)
    if made.dead_letter_topic:
        answer.dead_letter_policy = types.DeadLetterPolicy(
            dead_letter_topic=made.dead_letter_topic, max_delivery_attempts=made.max_attempts
        )
    return answer


def _convert_delivery(delivery: Delivery) -> Any:
    message = types.PubsubMessage(
        data=delivery.message.data,
        attributes=delivery.message.attributes,
        message_id=delivery.message.message_id,
        publish_time=delivery.message.published,
        ordering_key=delivery.message.ordering_key,
    )
    return types.ReceivedMessage(ack_id=delivery.ack_id, message=message, delivery_attempt=delivery.attempt)


def main() -> None:
    """Serve until interrupted."""
    with running_pubsub(8085, Broker(rng=random.Random())) as server:
        print(f"PUBSUB_EMULATOR_HOST={server.host}", flush=True)
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main()
