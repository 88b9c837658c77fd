"""Where event files come from and how their coming is told: the settings of each channel and of notices."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from pismo_lake.errors import ConfigError


class Environment(StrEnum):
    """Pismo's environments; credentials of one do not work in the other."""

    SANDBOX = "sandbox"
    PRODUCTION = "production"


class Channel(StrEnum):
    """How files are fetched."""

    S3 = "s3"
    SFTP = "sftp"
    GCS = "gcs"


class NoticeChannel(StrEnum):
    """How notices of new files come."""

    SQS = "sqs"
    PUBSUB = "pubsub"


SFTP_ENDPOINTS = {
    Environment.SANDBOX: "sftp-main.data.pismolabs.io",
    Environment.PRODUCTION: "sftp-main.data.pismo.io",
}
"""Pismo's SFTP hosts (Setting up event file delivery), port 22."""


def bucket_name(organisation: str) -> str:
    """Pismo's bucket of an organisation (Setting up event file delivery): the Org ID in lower case."""
    return f"pismo-dataplatform-{organisation.lower()}"


def below_prefix(key: str, prefix: str) -> str:
    """A key from its stream's folder on, whatever folders a copy put before it; the key itself where it has none.

    >>> below_prefix("copied/main_stream/2026/3/1/9/a", "copied/main_stream")
    'main_stream/2026/3/1/9/a'
    """
    stream = prefix.strip("/").rsplit("/", 1)[-1]
    _, found, rest = f"/{key}".rpartition(f"/{stream}/")
    return f"{stream}/{rest}" if found else key


def role_arn(pismo_account_id: str, organisation: str) -> str:
    """The role Pismo makes for an organisation's consumers (Setting up event file delivery)."""
    return f"arn:aws:iam::{pismo_account_id}:role/dataplatform-consumer-{organisation.lower()}"


_ACCOUNT = re.compile(r"\d{12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class S3Source:
    """Pismo's bucket and role; what is None is derived from the organisation and `pismo_account_id`."""

    pismo_account_id: str
    bucket: str | None = None
    role_arn: str | None = None
    external_id: str | None = None
    region: str | None = None
    session_seconds: int = 3600
    endpoint_url: str | None = None
    prefix: str = "main_stream"

    def __post_init__(self) -> None:
        if not _ACCOUNT.fullmatch(self.pismo_account_id):
            msg = f"source.pismo_account_id {self.pismo_account_id!r} has not 12 digits (a 0 first wants quotes)"
            raise ConfigError(msg)


@dataclass(frozen=True, slots=True)
class SftpSource:
    """Pismo's SFTP layer over the bucket; `host` None is the environment's own, `root` the folder above `prefix`.

    `stall_seconds` bounds the wait for anything at all to come of a file, or for the next answer of a listing.
    `mtime_is_version` takes another modification time for another version of a file, beside another size.
    """

    host: str | None = None
    port: int | None = None
    root: str = ""
    prefix: str = "main_stream"
    connections: int = 2
    connect_seconds: float = 15.0
    keepalive_seconds: float = 15.0
    stall_seconds: float = 60.0
    attempts: int = 4
    mtime_is_version: bool = False

    def __post_init__(self) -> None:
        for name in ("connections", "attempts"):
            if getattr(self, name) < 1:
                msg = f"source.{name} must be 1 or more"
                raise ConfigError(msg)
        for name in ("connect_seconds", "keepalive_seconds", "stall_seconds"):
            if getattr(self, name) <= 0:
                msg = f"source.{name} must be more than 0"
                raise ConfigError(msg)


@dataclass(frozen=True, slots=True)
class GcsSource:
    """The customer's own bucket that Pismo copies files to; `prefix` is where ``main_stream`` stands in it."""

    bucket: str
    prefix: str = "main_stream"
    endpoint_url: str | None = None


@dataclass(frozen=True, slots=True)
class Notices:
    """A queue of new-file notices: `queue` is an SQS queue URL or a Pub/Sub ``projects/…/subscriptions/…``.

    A message is held for `lease_seconds`, renewed while its file is being landed. `batch` messages are landed at a
    time, at most `most` in one run. `bucket` is the one that notices name, where it is not the organisation's own.
    """

    channel: NoticeChannel
    queue: str
    conn_id: str
    region: str | None = None
    endpoint_url: str | None = None
    bucket: str | None = None
    lease_seconds: int = 300
    batch: int = 200
    most: int = 10_000
    poll_seconds: float = 15.0

    def __post_init__(self) -> None:
        if self.channel is NoticeChannel.PUBSUB and not _is_subscription(self.queue):
            msg = f"notices.queue is {self.queue!r}, expected projects/<project>/subscriptions/<name>"
            raise ConfigError(msg)
        if self.poll_seconds < 1:
            msg = "notices.poll_seconds must be 1 or more"
            raise ConfigError(msg)
        for name, least, most in (("lease_seconds", 2, 43_200), ("batch", 1, 5_000), ("most", 1, 100_000)):
            if not least <= getattr(self, name) <= most:
                msg = f"notices.{name} must be from {least} to {most}"
                raise ConfigError(msg)
        if self.channel is NoticeChannel.PUBSUB and self.lease_seconds > _PUBSUB_LONGEST:
            msg = f"notices.lease_seconds must be at most {_PUBSUB_LONGEST} for pubsub"
            raise ConfigError(msg)


_PUBSUB_LONGEST = 600


def _is_subscription(path: str) -> bool:
    parts = path.split("/")
    return len(parts) == 4 and parts[0] == "projects" and parts[2] == "subscriptions" and all(parts)


Source = S3Source | SftpSource | GcsSource
SOURCES: dict[Channel, type[Source]] = {Channel.S3: S3Source, Channel.SFTP: SftpSource, Channel.GCS: GcsSource}


@dataclass(frozen=True, slots=True)
class Expected:
    """What a delivery's notices may name; any organisation or bucket in other letters' case is the same one."""

    organisation: str
    bucket: str
    prefix: str = "main_stream"


@dataclass(frozen=True, slots=True)
class Alerts:
    """An SNS topic (mail, chat and pagers subscribe to it) and the Airflow connection of type aws that may publish."""

    topic_arn: str
    conn_id: str
    region: str | None = None

    def __post_init__(self) -> None:
        if not self.topic_arn.startswith("arn:"):
            msg = f"alerts.topic_arn is {self.topic_arn!r}, an ARN such as arn:aws:sns:eu-west-1:123456789012:alerts"
            raise ConfigError(msg)
