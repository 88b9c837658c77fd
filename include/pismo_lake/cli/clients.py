"""Make the clients of a replay's target with the credentials of this machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pismo_lake.replay.targets.http import Secret
    from pismo_lake.settings.replay import Replay

SECRET = "PISMO_REPLAY_SECRET"  # noqa: S105 - the name of a variable
"""The environment variable of an HTTP endpoint's secret, as others can see the call."""


class MachineClients:
    """Clients that find their credentials as the tools of each cloud do."""

    def aws(self, service: str, replay: Replay) -> Any:
        """Return a client of boto3's; an ARN names the region of its topic."""
        import boto3
        from botocore.config import Config

        region = replay.region or region_of(replay.address)
        config = Config(retries={"mode": "standard", "max_attempts": 3}, connect_timeout=10, read_timeout=60)
        return boto3.client(service, region_name=region, endpoint_url=replay.endpoint_url, config=config)

    def publisher(self, replay: Replay) -> Any:
        """Return a client of Google's; ``http://`` means no TLS, for an emulator."""
        from google.pubsub_v1 import PublisherClient

        if replay.endpoint_url and replay.endpoint_url.startswith("http://"):
            import grpc
            from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

            channel = grpc.insecure_channel(replay.endpoint_url.removeprefix("http://"))
            return PublisherClient(transport=PublisherGrpcTransport(channel=channel))
        own = {"api_endpoint": replay.endpoint_url.removeprefix("https://")} if replay.endpoint_url else None
        return PublisherClient(client_options=own)

    def secret(self, replay: Replay) -> Secret | None:  # noqa: ARG002 - the protocol's signature
        """Return the secret of the environment."""
        from pismo_lake.replay.targets.http import Secret

        value = os.environ.get(SECRET)
        return Secret(value) if value else None


def region_of(address: str) -> str | None:
    """Return the region in an ARN, or in the URL of a queue at AWS.

    >>> region_of("arn:aws:sns:eu-west-1:123456789012:x"), region_of("https://sqs.eu-west-1.amazonaws.com/1/x")
    ('eu-west-1', 'eu-west-1')
    """
    if address.startswith("arn:"):
        return address.split(":")[3] or None
    host = address.partition("://")[2].split("/")[0]
    return host.split(".")[1] if host.startswith("sqs.") and ".amazonaws.com" in host else None
