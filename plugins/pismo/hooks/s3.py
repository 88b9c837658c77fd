"""Read Pismo's S3 bucket through the provider's hook, with errors that name missing rights."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from pismo_lake.errors import (
    AccessDenied,
    FileArchived,
    FileMissing,
    KmsDenied,
    ListingDenied,
    RoleDenied,
    SourceError,
    SourceRefused,
    SourceUnavailable,
)
from pismo_lake.faults import Fault, Reason, reason_of
from pismo_lake.landing.remote_file import RemoteFile
from pismo_lake.paths import is_event_file
from pismo_lake.settings.channels import S3Source, bucket_name, role_arn

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow.providers.amazon.aws.utils.connection_wrapper import AwsConnectionWrapper

    from pismo_lake.hours import PublishHour
    from pismo_lake.settings.deliveries import Delivery


def s3_source(delivery: Delivery) -> S3Source:
    """Return the delivery's S3 settings."""
    assert isinstance(delivery.source, S3Source)
    return delivery.source


class PismoS3Hook(S3Hook):
    """`S3Hook` that assumes Pismo's role and reads the organisation's bucket.

    The provider assumes the role and refreshes its credentials. This class only adds the role, external id, session
    length, region and endpoint to the connection. It never writes, and `fetch` needs only `s3:GetObject`.
    """

    def __init__(self, delivery: Delivery) -> None:
        source = s3_source(delivery)
        self._own_config = Config(retries={"mode": "standard", "max_attempts": 5}, connect_timeout=10, read_timeout=60)
        super().__init__(aws_conn_id=delivery.conn_id, region_name=source.region, config=self._own_config)
        self.delivery = delivery
        self.bucket = source.bucket or bucket_name(delivery.organisation)
        self.role = source.role_arn or role_arn(source.pismo_account_id, delivery.organisation)

    @cached_property
    def conn_config(self) -> AwsConnectionWrapper:
        """Return the connection with Pismo's role added; values that the connection sets are kept."""
        wrapped: AwsConnectionWrapper = super().conn_config
        source = s3_source(self.delivery)
        own = wrapped.extra_config.get("config_kwargs")
        if own:
            # if a hook passes a config, the provider ignores the connection's config, for example its proxies
            unsigned = {"signature_version": UNSIGNED} if own.get("signature_version") == "unsigned" else {}
            wrapped.botocore_config = self._own_config.merge(Config(**own | unsigned))
        wrapped.role_arn = wrapped.role_arn or self.role
        wrapped.assume_role_method = wrapped.assume_role_method or "assume_role"
        kwargs: dict[str, Any] = {"DurationSeconds": source.session_seconds}
        if source.external_id:
            kwargs["ExternalId"] = source.external_id
        wrapped.assume_role_kwargs = kwargs | wrapped.assume_role_kwargs
        if source.endpoint_url:
            wrapped.endpoint_url = source.endpoint_url
            # the provider does not use the general endpoint to assume a role
            services = wrapped.service_config
            wrapped.service_config = services | {"sts": {"endpoint_url": source.endpoint_url} | services.get("sts", {})}
        return wrapped

    def list_files(self, hours: Iterable[PublishHour]) -> Iterator[RemoteFile]:
        """List the event files in the folders of publish hours, with padded and unpadded names.

        Raises:
            ListingDenied: the role lacks s3:ListBucket.
        """
        for hour in hours:
            for prefix in hour.prefixes(self.delivery.source.prefix):
                yield from self._list(prefix)

    def list_prefix(self, prefix: str) -> Iterator[RemoteFile]:
        """List every object of one folder of the bucket."""
        yield from self._list(prefix)

    def _list(self, prefix: str) -> Iterator[RemoteFile]:
        try:
            for page in self.get_conn().get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
                yield from files_of_page(page)
        except (ClientError, BotoCoreError) as error:
            raise self.convert_error(error, prefix, listing=True) from error

    @contextmanager
    def fetch(self, file: RemoteFile) -> Iterator[Iterator[bytes]]:
        """Fetch an event file whole, with only GetObject; urllib3 would copy pieces once more."""
        key = file.key.lstrip("/")
        try:
            body = self._get(key)
        except (FileMissing, AccessDenied):
            # a notice may have the key percent-encoded; KmsDenied and RoleDenied fail the same way again
            if unquote(key) == key:
                raise
            body = self._get(unquote(key))
        try:
            yield iter([self._whole(body, key)])
        finally:
            body.close()

    def has(self, key: str) -> bool:
        """Return whether HeadObject finds the key; it needs only `s3:GetObject`.

        Without `s3:ListBucket`, S3 refuses a missing key instead of reporting it as missing.
        """
        try:
            self.get_conn().head_object(Bucket=self.bucket, Key=key.lstrip("/"))
        except (ClientError, BotoCoreError) as error:
            cause = self.convert_error(error, key)
            if isinstance(cause, RoleDenied) or not isinstance(cause, FileMissing | AccessDenied):
                raise cause from error
            return False
        return True

    def event_key(self, key: str) -> str:
        """Return the key unchanged: notices use the keys of this bucket."""
        return key

    def close(self) -> None:
        """Do nothing: botocore closes its connections with the client."""

    def _get(self, key: str) -> Any:
        try:
            return self.get_conn().get_object(Bucket=self.bucket, Key=key)["Body"]
        except (ClientError, BotoCoreError) as error:
            raise self.convert_error(error, key) from error

    def _whole(self, body: Any, key: str) -> bytes:
        try:
            return bytes(body.read())
        except (ClientError, BotoCoreError, HTTPClientError, OSError) as error:
            raise self.convert_error(error, key) from error

    def convert_error(self, error: Exception, key: str, *, listing: bool = False) -> SourceError:
        """Convert an error of botocore into one with key, role and reason, without secrets."""
        reason = reason_of(error)
        if reason.operation.startswith("AssumeRole"):
            return self._of_role(reason, key)
        place = f"s3://{self.bucket}" if listing else f"s3://{self.bucket}/{key}"
        match reason.fault:
            case Fault.MISSING:
                return FileMissing(f"{place}: no such object ({reason.answer})", key=key)
            case Fault.KEY:
                return KmsDenied(f"{place}: {self._of_key(reason)} ({reason.answer})", key=key)
            case Fault.DENIED if listing:
                return ListingDenied(f"{place}: {self.role} has no s3:ListBucket ({reason.answer})", key=key)
            case Fault.DENIED:
                seen = f"{self.role} may not read it, or it does not exist"
                return AccessDenied(f"{place}: {seen} ({reason.answer})", key=key)
            case Fault.ARCHIVED:
                return FileArchived(f"{place}: {reason}", key=key)
            case Fault.IDENTITY:
                return AccessDenied(f"{place}: the credentials of {self.role} are refused: {reason}", key=key)
            case Fault.CLOCK | Fault.SETUP:
                return SourceRefused(f"{place}: {reason}", key=key)
            case Fault.EXPIRED:
                return SourceUnavailable(f"{place}: the session of {self.role} expired ({reason.answer})", key=key)
        return SourceUnavailable(f"{place}: {reason.answer}, try again", key=key)

    def _of_role(self, reason: Reason, key: str) -> SourceError:
        """Return the error for a role that could not be assumed."""
        failed = f"{self.role}: sts:AssumeRole"
        if reason.fault is Fault.DENIED:
            return RoleDenied(f"{failed} refused; Pismo must trust your role's ARN ({reason.answer})", key=key)
        if reason.fault is Fault.EXPIRED:
            # the connection's own session has ended, so a retry would fail as well
            advice = "put a new session token into the connection, or credentials that renew themselves"
            return RoleDenied(f"{failed} failed: {reason.answer}; {advice}", key=key)
        if reason.fault.permanent:
            return RoleDenied(f"{failed} failed: {reason}", key=key)
        return SourceUnavailable(f"{failed} failed: {reason.answer}, try again", key=key)

    def _of_key(self, reason: Reason) -> str:
        return reason.advice or f"{self.role} may not kms:Decrypt with the bucket's key; ask Pismo"


def files_of_page(page: Any) -> Iterator[RemoteFile]:
    """Yield the event files of one ListObjectsV2 page."""
    for item in page.get("Contents", ()):
        if is_event_file(item["Key"]):
            yield RemoteFile(item["Key"], item["Size"], str(item["ETag"]).strip('"'), item["LastModified"])
