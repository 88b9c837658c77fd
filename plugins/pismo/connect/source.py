"""Open a delivery's source, for any channel."""

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
    """A place to list and fetch event files; it is never written to."""

    def list_files(self, hours: Iterable[PublishHour]) -> Iterator[RemoteFile]:
        """List the event files in the folders of publish hours.

        Raises:
            ListingDenied: listing is not granted.
        """

    def list_prefix(self, prefix: str) -> Iterator[RemoteFile]:
        """List every object of one folder, e.g. of a report; a missing folder has none.

        Raises:
            ListingDenied: listing is not granted.
        """

    def fetch(self, file: RemoteFile) -> AbstractContextManager[Iterator[bytes]]:
        """Open an event file as chunks; several threads may call this at once."""

    def has(self, key: str) -> bool:
        """Return whether an object has exactly this key; False if the source may not tell."""

    def event_key(self, key: str) -> str:
        """Return the key of a noticed object, spelled as a listing spells it."""

    def close(self) -> None:
        """Close connections."""


def open_source(delivery: Delivery) -> EventSource:
    """Open the hook of the delivery's channel."""
    match delivery.channel:
        case Channel.S3:
            from pismo.hooks.s3 import PismoS3Hook

            return PismoS3Hook(delivery)
        case Channel.SFTP:
            try:
                from pismo.hooks.sftp import PismoSFTPHook
            except ImportError as error:
                msg = f"{delivery.name}: SFTP needs the extra sftp; {error.name} is missing"
                raise ConfigError(msg) from None
            return PismoSFTPHook(delivery)
        case Channel.GCS:
            try:
                from pismo.hooks.gcs import PismoGCSHook
            except ImportError as error:
                msg = f"{delivery.name}: GCS needs requirements-gcp.txt or the extra gcp; {error.name} is missing"
                raise ConfigError(msg) from None
            return PismoGCSHook(delivery)


@contextmanager
def source_of(delivery: Delivery) -> Iterator[EventSource]:
    """Open a delivery's source, and close it at the end of the block."""
    source = open_source(delivery)
    try:
        yield source
    finally:
        source.close()
