"""Run a customer's Google Cloud with Pismo's copies: a bucket, a topic and its subscription."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import requests

from pismo_sandbox.gcp.pubsub import running_pubsub
from pismo_sandbox.gcp.storage import running_gcs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pismo_sandbox.gcp.broker import Broker

BUCKET = "our-pismo-files"
ABOVE = "copied/"
"""The folder of the copies in the bucket; Pismo's documents do not name it, so an unusual one."""
TOPIC = "projects/our-project/topics/pismo-events"
SUBSCRIPTION = "projects/our-project/subscriptions/pismo-files"
DEAD_TOPIC, DEAD_LETTERS = "projects/our-project/topics/dead", "projects/our-project/subscriptions/pismo-files-dead"


@dataclass(frozen=True, slots=True)
class GoogleCloud:
    """The endpoints of storage and Pub/Sub, for a delivery's `endpoint_url`, and the broker."""

    storage: str
    pubsub: str
    broker: Broker


class GcsSink:
    """Objects of the bucket, written through the JSON API as an anonymous caller."""

    def __init__(self, endpoint: str, bucket: str = BUCKET, above: str = ABOVE) -> None:
        self._upload, self._above = f"{endpoint}/upload/storage/v1/b/{bucket}/o", above
        self._session = requests.Session()

    def put(self, key: str, data: bytes) -> None:
        """Store one object."""
        url = f"{self._upload}?uploadType=media&name={quote(self._above + key, safe='')}"
        self._session.post(url, data=data, timeout=60).raise_for_status()

    def close(self) -> None:
        """Close the connection."""
        self._session.close()


class PubSubTopic:
    """A topic that notices are sent to, over gRPC without TLS."""

    def __init__(self, endpoint: str, topic: str = TOPIC) -> None:
        import grpc
        from google.cloud.pubsub_v1 import PublisherClient
        from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

        self._channel = grpc.insecure_channel(endpoint.removeprefix("http://"))
        self._client, self._topic = PublisherClient(transport=PublisherGrpcTransport(channel=self._channel)), topic

    def send(self, event: dict[str, Any]) -> None:
        """Publish one event and wait until the service has it."""
        self._client.publish(self._topic, json.dumps(event).encode()).result(timeout=30)

    def close(self) -> None:
        """Stop the client's thread and close the channel."""
        self._client.stop()
        self._channel.close()


@contextmanager
def running_gcp(*, storage_port: int = 0, pubsub_port: int = 0, attempts: int = 20) -> Iterator[GoogleCloud]:
    """Run both on loopback; after `attempts` deliveries a message is a dead letter."""
    with running_gcs(storage_port) as gcs, running_pubsub(pubsub_port) as pubsub:
        made = requests.post(f"{gcs.endpoint}/storage/v1/b", json={"name": BUCKET}, timeout=30)
        made.raise_for_status()
        made.close()
        broker = pubsub.broker
        for topic in (TOPIC, DEAD_TOPIC):
            broker.create_topic(topic)
        broker.subscribe(SUBSCRIPTION, TOPIC, 60, (DEAD_TOPIC, attempts))
        broker.subscribe(DEAD_LETTERS, DEAD_TOPIC)
        yield GoogleCloud(gcs.endpoint, f"http://{pubsub.host}", broker)
