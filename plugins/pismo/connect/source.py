"""A delivery's source, whichever its channel: what finding and landing ask of it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from pismo_lake.errors import ConfigError
from pismo_lake.settings.channels import Channel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

    from pismo_lake.hours import PublishHour
    from pismo_lake.landing.remote_file import RemoteFile
    from pismo_lake.settings.deliveries import Delivery


class EventSource(Protocol):
    """Where event files are listed and fetched; nothing here ever writes."""

    def list_files(self, hours: Iterable[PublishHour]) -> Iterator[RemoteFile]:
        """Event files in the folders of publish hours; `ListingDenied` where listing is not granted."""

    def list_prefix(self, prefix: str) -> Iterator[RemoteFile]:
        """Every object of one folder, e.g. of a report; nothing where it is not there, `ListingDenied` as above."""

    def fetch(self, file: RemoteFile) -> AbstractContextManager[Iterator[bytes]]:
        """Open an event file as chunks; called from several threads at once."""

    def has(self, key: str) -> bool:
        """Say whether there is an object of this very key; False if that may not be known."""

    def event_key(self, key: str) -> str:
        """The key under which a noticed object is known here, the same one that listing gives."""

    def close(self) -> None:
        """Give connections back."""


def open_source(delivery: Delivery) -> EventSource:
    """The hook of the delivery's channel."""
    match delivery.channel:
        case Channel.S3:
            from pismo.hooks.s3 import PismoS3Hook

            return PismoS3Hook(delivery)
        case Channel.SFTP:
            from pismo.hooks.sftp import PismoSFTPHook

            return PismoSFTPHook(delivery)
        case Channel.GCS:
            try:
                from pismo.hooks.gcs import PismoGCSHook
            except ImportError as error:
                msg = f"{delivery.name}: GCS needs the packages of requirements-gcp.txt ({error.name} is missing)"
                raise ConfigError(msg) from None
            return PismoGCSHook(delivery)


@contextmanager
def source_of(delivery: Delivery) -> Iterator[EventSource]:
    """`open_source`, closed at the end."""
    source = open_source(delivery)
    try:
        yield source
    finally:
        source.close()
