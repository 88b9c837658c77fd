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

        from pismo_lake.replay.targets.aws import CLIENT, region_of

        region = replay.region or region_of(replay.address)
        return boto3.client(service, region_name=region, endpoint_url=replay.endpoint_url, config=Config(**CLIENT))

    def publisher(self, replay: Replay) -> Any:
        """Return a client of Google's."""
        from pismo_lake.replay.targets.pubsub import make_publisher

        return make_publisher(replay.endpoint_url)

    def secret(self, replay: Replay) -> Secret | None:  # noqa: ARG002 - the protocol's signature
        """Return the secret of the environment."""
        from pismo_lake.replay.targets.http import Secret

        value = os.environ.get(SECRET)
        return Secret(value) if value else None
