"""Open the target that settings name, with clients that the caller makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from pismo_lake.errors import ConfigError
from pismo_lake.paths import root_of
from pismo_lake.settings.replay import Replay, TargetKind

if TYPE_CHECKING:
    from pismo_lake.replay.target import Limits, Target
    from pismo_lake.replay.targets.http import Secret
    from pismo_lake.settings.lake import LakeSettings


class Clients(Protocol):
    """Makes clients of the services, with the credentials of its place: Airflow's connections, or the machine's own."""

    def aws(self, service: str, replay: Replay) -> Any:
        """Return a client of boto3's for a service of AWS."""

    def publisher(self, replay: Replay) -> Any:
        """Return a client of Google's that publishes."""

    def producer(self, replay: Replay) -> Any:
        """Return a producer of librdkafka's."""

    def secret(self, replay: Replay) -> Secret | None:
        """Return the secret of an HTTP endpoint, if there is one."""


def open_target(settings: LakeSettings, replay: Replay, replay_id: str, clients: Clients) -> Target:
    """Open the target of a replay.

    Raises:
        ConfigError: the target is a folder of landing or lake, or its packages are not installed.
    """
    match replay.target:
        case TargetKind.SQS:
            from pismo_lake.replay.targets.aws import SqsTarget

            return SqsTarget(replay.address, clients.aws("sqs", replay))
        case TargetKind.SNS:
            from pismo_lake.replay.targets.aws import SnsTarget

            return SnsTarget(replay.address, clients.aws("sns", replay))
        case TargetKind.PUBSUB:
            from pismo_lake.replay.targets.pubsub import PubSubTarget

            try:
                return PubSubTarget(replay.address, clients.publisher(replay))
            except ImportError as error:
                msg = f"Pub/Sub needs requirements-gcp.txt or the extra gcp; {error.name} is missing"
                raise ConfigError(msg) from None
        case TargetKind.KAFKA:
            try:
                from pismo_lake.replay.targets.kafka import KafkaTarget

                return KafkaTarget(replay.address, clients.producer(replay))
            except ImportError as error:
                msg = f"Kafka needs the extra kafka; {error.name} is missing"
                raise ConfigError(msg) from None
        case TargetKind.HTTP:
            from pismo_lake.replay.targets.http import HttpTarget

            return HttpTarget(replay.address, clients.secret(replay))
        case TargetKind.NDJSON | TargetKind.UNDELIMITED:
            from pismo_lake.replay.targets.files import FileTarget

            folder = root_of(replay.address)
            for place, root in (("the lake", settings.lake), ("landing", settings.landing)):
                if f"{folder}/".startswith(f"{root_of(root)}/"):
                    msg = f"{folder} is inside {place}: give another folder for the files of a replay"
                    raise ConfigError(msg)
            return FileTarget(replay.target, folder, replay_id)


def limits_of(replay: Replay) -> Limits:
    """Return the limits of a target without opening it, for an estimate."""
    match replay.target:
        case TargetKind.SQS | TargetKind.SNS:
            from pismo_lake.replay.targets.aws import limits_of_address

            return limits_of_address(replay.address)
        case TargetKind.PUBSUB | TargetKind.KAFKA:
            from pismo_lake.replay.target import TOPIC_LIMITS

            return TOPIC_LIMITS
        case TargetKind.HTTP:
            from pismo_lake.replay.targets import http

            return http.LIMITS
        case TargetKind.NDJSON | TargetKind.UNDELIMITED:
            from pismo_lake.replay.targets import files

            return files.LIMITS


def target_name(replay: Replay) -> str:
    """Return the name of a target without opening it, as the ledger records it."""
    if replay.target is TargetKind.HTTP:
        from pismo_lake.replay.targets.texts import shown_url

        return f"http {shown_url(replay.address)}"
    folder = replay.target in {TargetKind.NDJSON, TargetKind.UNDELIMITED}
    return f"{replay.target} {root_of(replay.address) if folder else replay.address}"
