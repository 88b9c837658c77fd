"""Pismo's S3 bucket through the provider's hook: names derived, listing optional, errors that say what is missing."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from pismo_lake.errors import (
    AccessDenied,
    FileMissing,
    KmsDenied,
    ListingDenied,
    RoleDenied,
    SourceError,
    SourceUnavailable,
)
from pismo_lake.landing.remote_file import RemoteFile
from pismo_lake.paths import is_event_file
from pismo_lake.settings.channels import S3Source, bucket_name, role_arn

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow.providers.amazon.aws.utils.connection_wrapper import AwsConnectionWrapper

    from pismo_lake.hours import PublishHour
    from pismo_lake.settings.deliveries import Delivery

_MISSING = frozenset({"NoSuchKey", "404", "NotFound"})
_DENIED = frozenset({"AccessDenied", "403", "Forbidden", "AllAccessDisabled"})
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})


def s3_source(delivery: Delivery) -> S3Source:
    """The delivery's S3 settings."""
    assert isinstance(delivery.source, S3Source)
    return delivery.source


class PismoS3Hook(S3Hook):
    """`S3Hook` that assumes Pismo's role from the delivery's connection and reads that organisation's bucket.

    Assuming the role and refreshing its credentials is the provider's: only the role, external id, session length,
    region and endpoint are put into the connection it sees. Nothing here ever writes, and `fetch` needs
    `s3:GetObject` alone.
    """

    def __init__(self, delivery: Delivery) -> None:
        source = s3_source(delivery)
        retries = Config(retries={"mode": "standard", "max_attempts": 5}, connect_timeout=10, read_timeout=60)
        super().__init__(aws_conn_id=delivery.conn_id, region_name=source.region, config=retries)
        self.delivery = delivery
        self.bucket = source.bucket or bucket_name(delivery.organisation)
        self.role = source.role_arn or role_arn(source.pismo_account_id, delivery.organisation)

    @cached_property
    def conn_config(self) -> AwsConnectionWrapper:
        """The connection with Pismo's role put in; what the connection itself says of these is kept."""
        wrapped: AwsConnectionWrapper = super().conn_config
        source = s3_source(self.delivery)
        wrapped.role_arn = wrapped.role_arn or self.role
        wrapped.assume_role_method = wrapped.assume_role_method or "assume_role"
        kwargs: dict[str, Any] = {"DurationSeconds": source.session_seconds}
        if source.external_id:
            kwargs["ExternalId"] = source.external_id
        wrapped.assume_role_kwargs = kwargs | wrapped.assume_role_kwargs
        if source.endpoint_url:
            wrapped.endpoint_url = source.endpoint_url
            # the provider never uses the global endpoint for assuming a role
            services = wrapped.service_config
            wrapped.service_config = services | {"sts": {"endpoint_url": source.endpoint_url} | services.get("sts", {})}
        return wrapped

    def list_files(self, hours: Iterable[PublishHour]) -> Iterator[RemoteFile]:
        """Event files in the folders of publish hours, padded or not; `ListingDenied` without s3:ListBucket."""
        for hour in hours:
            for prefix in hour.prefixes(self.delivery.source.prefix):
                yield from self._list(prefix)

    def list_prefix(self, prefix: str) -> Iterator[RemoteFile]:
        """Every object of one folder of the bucket."""
        yield from self._list(prefix)

    def _list(self, prefix: str) -> Iterator[RemoteFile]:
        try:
            for page in self.get_conn().get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
                yield from files_of_page(page)
        except (ClientError, BotoCoreError) as error:
            raise self.named(error, prefix, listing=True) from error

    @contextmanager
    def fetch(self, file: RemoteFile) -> Iterator[Iterator[bytes]]:
        """An event file, by GetObject alone; whole, since pieces are copied once more on their way through urllib3."""
        key = file.key.lstrip("/")
        try:
            body = self._get(key)
        except (FileMissing, AccessDenied):
            # a notice may carry the key percent-encoded; KmsDenied and RoleDenied come out the same the second time
            if unquote(key) == key:
                raise
            body = self._get(unquote(key))
        try:
            yield iter([self._whole(body, key)])
        finally:
            body.close()

    def has(self, key: str) -> bool:
        """Ask with HeadObject, which needs `s3:GetObject` alone; without `s3:ListBucket` a missing key is refused."""
        try:
            self.get_conn().head_object(Bucket=self.bucket, Key=key.lstrip("/"))
        except (ClientError, BotoCoreError) as error:
            cause = self.named(error, key)
            if isinstance(cause, RoleDenied) or not isinstance(cause, FileMissing | AccessDenied):
                raise cause from error
            return False
        return True

    def event_key(self, key: str) -> str:
        """The key itself: notices name this very bucket's objects."""
        return key

    def close(self) -> None:
        """Nothing to give back: botocore's pool ends with the client."""

    def _get(self, key: str) -> Any:
        try:
            return self.get_conn().get_object(Bucket=self.bucket, Key=key)["Body"]
        except (ClientError, BotoCoreError) as error:
            raise self.named(error, key) from error

    def _whole(self, body: Any, key: str) -> bytes:
        try:
            return bytes(body.read())
        except (ClientError, BotoCoreError, HTTPClientError, OSError) as error:
            raise self.named(error, key) from error

    def named(self, error: Exception, key: str, *, listing: bool = False) -> SourceError:
        """The project's error for one of botocore's; it names key, bucket and role, and nothing secret."""
        place = f"s3://{self.bucket}/{key}"
        if not isinstance(error, ClientError):
            return SourceUnavailable(f"{place}: {type(error).__name__}, try again", key=key)
        code = str(error.response.get("Error", {}).get("Code", ""))
        message = str(error.response.get("Error", {}).get("Message", ""))
        if error.operation_name == "AssumeRole":
            if code in _DENIED:
                return RoleDenied(f"{self.role}: sts:AssumeRole refused; Pismo must trust your role's ARN", key=key)
            return SourceUnavailable(f"{self.role}: sts:AssumeRole failed with {code}", key=key)
        if code in _MISSING:
            return FileMissing(f"{place}: no such object", key=key)
        if code in _DENIED and "kms" in message.lower():
            return KmsDenied(f"{place}: {self.role} may not kms:Decrypt with the bucket's key; ask Pismo", key=key)
        if code in _DENIED and listing:
            return ListingDenied(f"s3://{self.bucket}: {self.role} has no s3:ListBucket", key=key)
        if code in _DENIED:
            return AccessDenied(f"{place}: {self.role} may not read it, or it does not exist", key=key)
        if code in _EXPIRED:
            return SourceUnavailable(f"{place}: the session of {self.role} expired", key=key)
        return SourceUnavailable(f"{place}: {code or 'error'}, try again", key=key)


def files_of_page(page: Any) -> Iterator[RemoteFile]:
    """Yield the event files of one ListObjectsV2 page."""
    for item in page.get("Contents", ()):
        if is_event_file(item["Key"]):
            yield RemoteFile(item["Key"], item["Size"], str(item["ETag"]).strip('"'), item["LastModified"])
