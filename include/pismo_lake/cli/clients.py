"""Make the clients of a replay's target with the credentials of this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pismo_lake.errors import ConfigError

if TYPE_CHECKING:
    from pismo_lake.replay.targets.http import Secret
    from pismo_lake.settings.replay import Replay

SECRET = "PISMO_REPLAY_SECRET"  # noqa: S105 - the name of a variable
"""The environment variable of an HTTP endpoint's secret, as others can see the call."""
KAFKA = "PISMO_REPLAY_KAFKA"
"""The environment variable of the file with the settings of a Kafka client."""


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

    def producer(self, replay: Replay) -> Any:  # noqa: ARG002 - the protocol's signature
        """Return a producer with the settings of a file, as Kafka's own tools read them.

        Raises:
            ConfigError: there is no such file, or it is no list of settings.
        """
        from confluent_kafka import KafkaException, Producer

        from pismo_lake.replay.targets.kafka import DEFAULTS

        path = os.environ.get(KAFKA)
        if not path:
            msg = f"kafka needs {KAFKA}: the path of a file of client properties, with bootstrap.servers"
            raise ConfigError(msg)
        try:
            return Producer(DEFAULTS | read_properties(Path(path).read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError) as error:
            msg = f"{KAFKA}: {path}: {type(error).__name__}"
            raise ConfigError(msg) from None
        except (KafkaException, ValueError, TypeError):
            # the text of the error may quote a secret
            msg = f"{KAFKA}: {path} has a setting that librdkafka does not take"
            raise ConfigError(msg) from None

    def secret(self, replay: Replay) -> Secret | None:  # noqa: ARG002 - the protocol's signature
        """Return the secret of the environment."""
        from pismo_lake.replay.targets.http import Secret

        value = os.environ.get(SECRET)
        return Secret(value) if value else None


def read_properties(text: str) -> dict[str, str]:
    r"""Return the settings of a properties file.

    >>> read_properties("# ours\nbootstrap.servers = a:9092,b:9092\n")
    {'bootstrap.servers': 'a:9092,b:9092'}
    """
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith(("#", "!")))
    return {name.strip(): value.strip() for name, _, value in pairs}
