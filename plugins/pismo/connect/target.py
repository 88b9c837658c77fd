"""Open the target of a delivery's replays, by its own Airflow connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

if TYPE_CHECKING:
    from pismo_lake.replay.target import Target
    from pismo_lake.replay.targets.http import Secret
    from pismo_lake.settings.deliveries import Delivery
    from pismo_lake.settings.replay import Replay


class AirflowClients:
    """Clients with the credentials of the connection that `replay.conn_id` names."""

    def aws(self, service: str, replay: Replay) -> Any:
        """Return a client of boto3's through the provider's hook."""
        from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
        from botocore.config import Config

        from pismo_lake.replay.targets.aws import CLIENT, region_of

        region = replay.region or region_of(replay.address)
        hook = AwsBaseHook(
            aws_conn_id=replay.conn_id, client_type=service, region_name=region, config=Config(**CLIENT)
        )  # fmt: skip
        if replay.endpoint_url:
            hook.conn_config.endpoint_url = replay.endpoint_url
        return hook.get_conn()

    def publisher(self, replay: Replay) -> Any:
        """Return a client of Google's with the provider's credentials."""
        from pismo_lake.replay.targets.pubsub import make_publisher

        if replay.endpoint_url and replay.endpoint_url.startswith("http://"):
            # an emulator asks for no credentials
            return make_publisher(replay.endpoint_url)
        from airflow.providers.google.cloud.hooks.pubsub import PubSubHook

        return make_publisher(replay.endpoint_url, PubSubHook(gcp_conn_id=str(replay.conn_id)).get_credentials())

    def producer(self, replay: Replay) -> Any:
        """Return a producer with the settings of the connection, through the provider's hook."""
        from airflow.providers.apache.kafka.hooks.produce import KafkaProducerHook

        from pismo_lake.errors import ConfigError
        from pismo_lake.replay.targets.kafka import DEFAULTS

        if replay.conn_id is None:
            msg = "replay.conn_id is missing: a connection of type kafka has the servers in its extra"
            raise ConfigError(msg)

        class _Hook(KafkaProducerHook):
            def _get_client(self, config: dict[str, Any]) -> Any:
                return super()._get_client(DEFAULTS | config)

        return _Hook(kafka_config_id=replay.conn_id).get_conn

    def secret(self, replay: Replay) -> Secret | None:
        """Return the password of the connection; `header` of its extra names another header."""
        from pismo_lake.replay.targets.http import HEADER, Secret

        if replay.conn_id is None:
            return None
        connection = BaseHook.get_connection(replay.conn_id)
        if not connection.password:
            return None
        return Secret(connection.password, str(connection.extra_dejson.get("header") or HEADER))


def open_replay_target(delivery: Delivery, replay_id: str) -> Target:
    """Open the target of a delivery's replays.

    Raises:
        ConfigError: the delivery has none, or its packages are not installed.
    """
    from pismo.connect.storage import configure_storage
    from pismo_lake.replay.targets.connect import open_target

    configure_storage(delivery)
    return open_target(delivery.settings, replay_of(delivery), replay_id, AirflowClients())


def replay_of(delivery: Delivery) -> Replay:
    """Return the settings of the delivery's replays; `ConfigError` if it has none."""
    from pismo_lake.errors import ConfigError

    if delivery.replay is None:
        msg = f"{delivery.name} has no target of replays: give `replay:` with target and address"
        raise ConfigError(msg)
    return delivery.replay
