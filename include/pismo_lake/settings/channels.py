"""Define the settings of each channel and of notices."""

from __future__ import annotations

import dataclasses
import re
from enum import StrEnum
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from pismo_lake.settings.fields import NO_TRUTH, STRICT_MODEL, AtLeastOne, MoreThanZero, Truth, Whole


class Environment(StrEnum):
    """Pismo's environments; credentials of one do not work in the other."""

    SANDBOX = "sandbox"
    PRODUCTION = "production"


class Channel(StrEnum):
    """The way that files are fetched."""

    S3 = "s3"
    SFTP = "sftp"
    GCS = "gcs"


class NoticeChannel(StrEnum):
    """The service that delivers notices of new files."""

    SQS = "sqs"
    PUBSUB = "pubsub"


SFTP_ENDPOINTS = {
    Environment.SANDBOX: "sftp-main.data.pismolabs.io",
    Environment.PRODUCTION: "sftp-main.data.pismo.io",
}
"""Pismo's SFTP hosts (Setting up event file delivery), port 22."""


def bucket_name(organisation: str) -> str:
    """Return Pismo's bucket of an organisation: the Org ID in lower case.

    Source: Setting up event file delivery.
    """
    return f"pismo-dataplatform-{organisation.lower()}"


def cut_prefix(key: str, prefix: str) -> str:
    """Return a key without the parts before its stream's folder; the whole key without that folder.

    A copy may have put other folders before it.

    >>> cut_prefix("copied/main_stream/2026/3/1/9/a", "copied/main_stream") 'main_stream/2026/3/1/9/a'
    """
    stream = prefix.strip("/").rsplit("/", 1)[-1]
    _, found, rest = f"/{key}".rpartition(f"/{stream}/")
    return f"{stream}/{rest}" if found else key


def role_arn(pismo_account_id: str, organisation: str) -> str:
    """Return the role that Pismo makes for an organisation's consumers.

    Source: Setting up event file delivery.
    """
    return f"arn:aws:iam::{pismo_account_id}:role/dataplatform-consumer-{organisation.lower()}"


_ACCOUNT = re.compile(r"\d{12}", re.ASCII)


@dataclass(frozen=True, slots=True, config=STRICT_MODEL)
class S3Source:
    """Pismo's bucket and role; defaults come from the organisation and `pismo_account_id`."""

    pismo_account_id: str
    """Pismo's AWS data account, 12 digits in quotes. Pismo tells it."""
    bucket: str | None = None
    """The bucket; by default Pismo's bucket of the organisation."""
    role_arn: str | None = None
    """The role to assume; by default the role that Pismo makes for the organisation's consumers."""
    external_id: str | None = None
    """The external id that the role asks for, if Pismo has given one."""
    region: str | None = None
    """The bucket's AWS region."""
    session_seconds: Whole = 3600
    """How long a session of the role lasts. It is renewed before it ends."""
    endpoint_url: str | None = None
    """Another S3 endpoint, for example of a private link."""
    prefix: str = "main_stream"
    """The folder of the event files."""

    def __post_init__(self) -> None:
        if not _ACCOUNT.fullmatch(self.pismo_account_id):
            msg = f"source.pismo_account_id {self.pismo_account_id!r} is not 12 digits (if the first is 0, use quotes)"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True, config=STRICT_MODEL)
class SftpSource:
    """Pismo's SFTP layer over the bucket."""

    host: str | None = None
    """The server; by default that of the connection, else Pismo's own server of the environment."""
    port: Whole | None = None
    """The server's port, 22 by default."""
    root: str = ""
    """The folder above `prefix`."""
    prefix: str = "main_stream"
    """The folder of the event files."""
    connections: AtLeastOne = 2
    """How many SSH connections one task opens."""
    reads: AtLeastOne = 64
    """How many requests are under way at once on a connection; after a lost connection a quarter of them."""
    connect_seconds: MoreThanZero = 15.0
    """The time limit of a connection's set-up."""
    keepalive_seconds: MoreThanZero = 15.0
    """The pause between two keep-alive messages. After three without an answer the connection counts as lost."""
    stall_seconds: MoreThanZero = 60.0
    """The longest wait for the next bytes of a file, or for the next answer of a listing."""
    attempts: AtLeastOne = 4
    """How many attempts without progress fail a file or a folder. A download goes on from the byte where it was cut."""
    size_is_right: Truth = True
    """If false, the sizes that the server states are not believed: each file is read to its end."""
    mtime_is_version: Truth = False
    """If true, another modification time is another version of a file. Another size always is."""


@dataclass(frozen=True, slots=True, config=STRICT_MODEL)
class GcsSource:
    """Your own bucket, which Pismo copies the files to."""

    bucket: str
    """The bucket's name."""
    prefix: str = "main_stream"
    """The folder in the bucket that holds the event files."""
    endpoint_url: str | None = None
    """Another endpoint, for example of an emulator."""


@dataclass(frozen=True, slots=True, config=STRICT_MODEL)
class Notices:
    """A queue of notices about new files."""

    channel: NoticeChannel
    """The kind of queue: sqs or pubsub."""
    queue: str
    """The URL of an SQS queue, or a subscription ``projects/<project>/subscriptions/<name>``."""
    conn_id: str
    """The Airflow connection that may read the queue."""
    region: str | None = None
    """The queue's AWS region."""
    endpoint_url: str | None = None
    """Another endpoint, for example of an emulator."""
    bucket: str | None = None
    """The bucket that the notices name, if it is not the organisation's own."""
    lease_seconds: Annotated[int, Field(ge=2, le=43_200), NO_TRUTH] = 300
    """How long a message is hidden from other readers. It is renewed while its file is being landed."""
    batch: Annotated[int, Field(ge=1, le=5_000), NO_TRUTH] = 200
    """How many messages are landed together."""
    most: Annotated[int, Field(ge=1, le=100_000), NO_TRUTH] = 10_000
    """The most messages that one run takes."""
    poll_seconds: Annotated[float, Field(ge=1), NO_TRUTH] | None = None
    """The pause between two looks of the doorbell: by default 1 second, and 15 for Pub/Sub, which lists folders."""

    @property
    def pause_seconds(self) -> float:
        """The pause between two looks of the doorbell."""
        usual = 15.0 if self.channel is NoticeChannel.PUBSUB else 1.0
        return usual if self.poll_seconds is None else self.poll_seconds

    def __post_init__(self) -> None:
        if self.channel is not NoticeChannel.PUBSUB:
            return
        if not _is_subscription(self.queue):
            msg = f"notices.queue is {self.queue!r}, expected projects/<project>/subscriptions/<name>"
            raise ValueError(msg)
        if self.lease_seconds > _PUBSUB_LONGEST:
            msg = f"notices.lease_seconds must be at most {_PUBSUB_LONGEST} for pubsub"
            raise ValueError(msg)


_PUBSUB_LONGEST = 600


def _is_subscription(path: str) -> bool:
    parts = path.split("/")
    return len(parts) == 4 and parts[0] == "projects" and parts[2] == "subscriptions" and all(parts)


Source = S3Source | SftpSource | GcsSource
SOURCES: dict[Channel, type[Source]] = {Channel.S3: S3Source, Channel.SFTP: SftpSource, Channel.GCS: GcsSource}


@dataclasses.dataclass(frozen=True, slots=True)
class Expected:
    """The organisation, bucket and prefix that a delivery's notices may name, in any case."""

    organisation: str
    bucket: str
    prefix: str = "main_stream"
