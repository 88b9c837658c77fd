"""Read event files from the customer's own GCS bucket, to which Pismo copies them."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import requests
from airflow.providers.google.cloud.hooks.gcs import GCSHook
from google.api_core.exceptions import ClientError, Forbidden, GoogleAPIError, NotFound, Unauthorized
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, InvalidOperation, RefreshError
from google.cloud.storage.exceptions import DataCorruption
from google.cloud.storage.retry import DEFAULT_RETRY
from urllib3.exceptions import HTTPError

from pismo_lake.errors import (
    AccessDenied,
    FileMissing,
    KmsDenied,
    ListingDenied,
    SizeMismatch,
    SourceError,
    SourceRefused,
    SourceUnavailable,
)
from pismo_lake.faults import remove_secrets
from pismo_lake.hours import PublishHour
from pismo_lake.landing.remote_file import RemoteFile
from pismo_lake.paths import is_event_file
from pismo_lake.settings.channels import GcsSource, cut_prefix

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from google.api_core.client_options import ClientOptions

    from pismo_lake.settings.deliveries import Delivery

_FIELDS = "items(name,size,generation,md5Hash,updated),nextPageToken"
_CALL: dict[str, Any] = {"retry": DEFAULT_RETRY.with_timeout(60.0), "timeout": (10.0, 60.0)}
_IDENTITY = (Unauthorized, DefaultCredentialsError, InvalidOperation, RefreshError)
_PASSING = frozenset({408, 409, 412, 416, 429, 499})
_ASKED = re.compile(r"^[A-Z]+ https?://\S+: ")
_FAILURES = (GoogleAPIError, GoogleAuthError, requests.RequestException, HTTPError, DataCorruption)


class PismoGCSHook(GCSHook):
    """List and fetch event files; the bucket is the customer's, so listing is usually allowed.

    Pismo copies a file while it announces it, so a notice may arrive before its object. This raises `FileMissing`, a
    temporary error. The path inside the bucket is not documented. If an object is not at its expected path, the hook
    tries the other spellings of its hour, and then searches for a name that ends with its key.
    """

    def __init__(self, delivery: Delivery) -> None:
        assert isinstance(delivery.source, GcsSource)
        # else the client reads the bucket's metadata in the background, which needs one more right
        os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
        super().__init__(gcp_conn_id=delivery.conn_id)
        self.source = delivery.source
        self._stream = self.source.prefix.strip("/").rsplit("/", 1)[-1]
        self._above = self.source.prefix.strip("/").removesuffix(self._stream)

    def get_client_options(self, api_endpoint_override: str | None = None) -> ClientOptions:
        """Return the client's options, with the delivery's endpoint if it has one."""
        return super().get_client_options(api_endpoint_override or self.source.endpoint_url)

    def list_files(self, hours: Iterable[PublishHour]) -> Iterator[RemoteFile]:
        """List the event files in the folders of publish hours, with padded and unpadded names.

        Raises:
            ListingDenied: the identity lacks storage.objects.list.
        """
        for hour in hours:
            for prefix in hour.prefixes(self.source.prefix.strip("/")):
                for blob in self._blobs(prefix=prefix):
                    yield RemoteFile(self.event_key(blob.name), blob.size, _version(blob), blob.updated)

    def list_prefix(self, prefix: str) -> Iterator[RemoteFile]:
        """List every object of one folder beside the stream's folder."""
        for blob in self._blobs(prefix=f"{self._above}{prefix}"):
            yield RemoteFile(blob.name.removeprefix(self._above), blob.size, _version(blob), blob.updated)

    @contextmanager
    def fetch(self, file: RemoteFile) -> Iterator[Iterator[bytes]]:
        """Fetch an event file, and compare its checksum with the one that the service stores."""
        try:
            data = self._download(f"{self._above}{file.key}")
        except FileMissing:
            name = self._find_elsewhere(file.key)
            if name is None:
                raise
            data = self._download(name)
        yield iter([data])

    def has(self, key: str) -> bool:
        """Return whether the object exists, at the key's own path or elsewhere in the bucket."""
        name = f"{self._above}{key}"
        try:
            return bool(self.get_conn().bucket(self.source.bucket).blob(name).exists(**_CALL)) or bool(
                self._find_elsewhere(key)
            )
        except _FAILURES as error:
            cause = self.convert_error(error, name)
            if isinstance(cause, FileMissing):
                return False
            raise cause from error

    def event_key(self, key: str) -> str:
        """Return the key from the stream's folder on, without any folders that the copy added."""
        return cut_prefix(key, self._stream)

    def close(self) -> None:
        """Close the session."""
        if self._conn is not None:
            self._conn.close()
            self._conn = None

    def _download(self, name: str) -> bytes:
        try:
            # the stored bytes: this side must not decode Content-Encoding
            blob = self.get_conn().bucket(self.source.bucket).blob(name)
            # in one read: by default the library reads eight kilobytes at a time
            taken = _Taken()
            blob.download_to_file(taken, raw_download=True, single_shot_download=True, checksum="crc32c", **_CALL)
            return b"".join(taken.chunks)
        except _FAILURES as error:
            raise self.convert_error(error, name) from error

    def _blobs(self, **how: Any) -> Iterator[Any]:
        try:
            found = self.get_conn().list_blobs(self.source.bucket, fields=_FIELDS, **how, **_CALL)
            yield from (blob for blob in found if is_event_file(blob.name))
        except _FAILURES as error:
            raise self.convert_error(error, str(how.get("prefix", "")), listing=True) from error

    def _find_elsewhere(self, key: str) -> str | None:
        hour = PublishHour.of_key(key)
        base = key.rsplit("/", 1)[-1]
        try:
            for prefix in hour.prefixes(self.source.prefix.strip("/")) if hour else ():
                for blob in self._blobs(prefix=f"{prefix}{base}"):
                    if blob.name == f"{prefix}{base}":
                        return str(blob.name)
            for blob in self._blobs(match_glob=f"**/{_literal(key)}"):
                if blob.name.endswith(f"/{key}"):
                    return str(blob.name)
        except ListingDenied:
            return None
        return None

    def convert_error(self, error: Exception, name: str, *, listing: bool = False) -> SourceError:
        """Convert an error of Google's into one with bucket, object and reason, without secrets."""
        bucket, answer = f"gs://{self.source.bucket}", _describe_error(error)
        place = f"{bucket}/{name}"
        if isinstance(error, NotFound):
            if listing or "bucket" in answer:
                return SourceRefused(f"{bucket}: no such bucket ({answer}); check its name", key=name)
            return FileMissing(f"{place}: no such object ({answer})", key=name)
        if isinstance(error, ClientError) and "kms" in answer.lower():
            advice = "ask the bucket's owner to enable the key and let Cloud Storage use it"
            return KmsDenied(f"{place}: its key may not be used ({answer}); {advice}", key=name)
        if isinstance(error, Forbidden):
            if listing:
                return ListingDenied(f"{bucket}: no storage.objects.list ({answer})", key=name)
            return AccessDenied(f"{place}: no storage.objects.get ({answer})", key=name)
        if isinstance(error, _IDENTITY) and not getattr(error, "retryable", False):
            if "short-lived token" in answer:
                return SourceRefused(f"{place}: {answer}; this machine's clock is wrong: set it by NTP", key=name)
            return AccessDenied(f"{place}: the connection's credentials are refused or missing ({answer})", key=name)
        if isinstance(error, DataCorruption):
            return SizeMismatch(
                f"{place}: the checksum of the received bytes differs from the stored one ({answer})", key=name
            )
        if isinstance(error, ClientError) and error.code not in _PASSING:
            return SourceRefused(f"{place}: {answer}", key=name)
        return SourceUnavailable(f"{place}: {answer}, try again", key=name)


def _describe_error(error: Exception) -> str:
    """Return Google's kind, reason and message, without the requested URL."""
    text = remove_secrets(_ASKED.sub("", str(getattr(error, "message", "") or error)))
    reasons = [str(item["reason"]) for item in getattr(error, "errors", ()) if "reason" in item]
    return ": ".join([type(error).__name__, *reasons[:1], *([text] if text else [])])


class _Taken:
    """A file object that keeps the written chunks without copying them."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []

    def write(self, chunk: bytes) -> int:
        """Keep a chunk."""
        self.chunks.append(chunk)
        return len(chunk)

    def tell(self) -> int:
        """Return how many bytes were written."""
        return sum(map(len, self.chunks))


def _version(blob: Any) -> str:
    """Return the hash of the content, so that a repeated copy is not a new version.

    Composed objects have no hash; their generation is used.
    """
    return str(blob.md5_hash or f"generation-{blob.generation}")


def _literal(key: str) -> str:
    return "".join(f"\\{letter}" if letter in "*?[]{}\\" else letter for letter in key)
