"""Read and write objects of Google Cloud Storage through Google's own client.

An upload shows an object only after it is complete. ``ifGenerationMatch=0`` is the condition that there is none. ADR
0019 says why this is not gcsfs.
"""

from __future__ import annotations

import errno
import io
import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pismo_lake.errors import ConfigError
from pismo_lake.faults import Fault, reason_of
from pismo_lake.storage.errors import NamedFile
from pismo_lake.storage.object_store import ObjectStore
from pismo_lake.storage.places import bucket_and_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

_GIVES_UP = 120.0
_TIMEOUT = (10.0, 60.0)
_PART = 32 << 20
_READ_AHEAD = 8 << 20


class GoogleStore(ObjectStore):
    """Objects at gs:// URIs; `options` returns the options of `google.cloud.storage.Client`."""

    def __init__(self, options: Callable[[], Mapping[str, Any]] = dict) -> None:
        self._options = options
        self._own = threading.local()

    def _bucket(self, name: str) -> Any:
        return self._client().bucket(name)

    def _client(self) -> Any:
        """Return a client for this thread and process; they cannot share its session."""
        if getattr(self._own, "process", None) != os.getpid():
            try:
                from google.cloud.storage import Client
            except ImportError:
                msg = "gs:// needs Google's packages: pip install -r requirements-gcp.txt -c constraints.txt"
                raise ConfigError(msg) from None
            # without this the client asks for the bucket's metadata in the background, which needs one more right
            os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
            self._own.client, self._own.process = Client(**self._options()), os.getpid()
        return self._own.client

    @contextmanager
    def _object(self, uri: str, **how: Any) -> Iterator[Any]:
        """Work with one object.

        Raises:
            FileNotFoundError: the object is missing, and its bucket exists.
        """
        from google.api_core.exceptions import GoogleAPICallError, NotFound, RetryError, from_http_response
        from google.cloud.storage.exceptions import InvalidResponse

        bucket, name = bucket_and_name(uri)
        try:
            yield self._bucket(bucket).blob(name, **how)
        except NotFound as error:
            _close(error)
            if self._has_bucket(bucket, error):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), uri) from error
            raise
        except GoogleAPICallError as error:
            _close(error)
            raise
        except RetryError as error:
            # an upload or a download keeps the last answer, which has the reason
            if isinstance(error.cause, InvalidResponse):
                raise from_http_response(error.cause.response) from error
            raise

    def _has_bucket(self, bucket: str, error: Exception) -> bool:
        """Return whether the bucket exists after an object was not found; ask if that is unclear."""
        if reason_of(error).fault is Fault.SETUP:
            return False
        if "no such object" not in str(error).lower():
            self._names(bucket, max_results=1)
        return True

    def _names(self, bucket: str, **how: Any) -> list[str]:
        """Return the names in a bucket; a `NotFound` means that the bucket does not exist."""
        with _named_bucket():
            found = self._client().list_blobs(bucket, fields="items(name),nextPageToken", **how, **_call())
            return [blob.name for blob in found]

    def _prefixes(self, bucket: str, prefix: str) -> list[str]:
        """Return the prefixes directly below another one; errors as of `_names`."""
        with _named_bucket():
            fields = "items(name),prefixes,nextPageToken"
            found = self._client().list_blobs(bucket, prefix=prefix or None, delimiter="/", fields=fields, **_call())
            # each page brings its prefixes when its objects are read
            for _ in found:
                pass
            return list(found.prefixes)

    def read(self, uri: str) -> bytes:
        """Read all bytes of an object, and compare their checksum."""
        return self._read(uri, checksum="crc32c")

    def read_range(self, uri: str, start: int, end: int) -> bytes:
        """Read bytes `[start, end)` of an object."""
        return self._read(uri, start=start, end=end - 1, checksum=None)

    def _read(self, uri: str, **how: Any) -> bytes:
        with self._object(uri) as blob:
            sink = io.BytesIO()
            # read the stored bytes in one request, because the library would read eight kilobytes at a time
            blob.download_to_file(sink, raw_download=True, single_shot_download=True, **how, **_call())
            return sink.getvalue()

    def open(self, uri: str) -> Any:
        """Open one version of an object to read from."""
        with self._object(uri) as blob:
            blob.reload(**_call())
            # the reader keeps the object's generation, so all parts are of one version
            return NamedFile(blob.open("rb", chunk_size=_READ_AHEAD, raw_download=True, **_call()), uri)

    def version(self, uri: str) -> tuple[int, str | None]:
        """Return an object's size and the hash of its content, or its generation without a hash."""
        _, name = bucket_and_name(uri)
        if not name:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), uri)
        with self._object(uri) as blob:
            blob.reload(**_call())
            return int(blob.size), str(blob.md5_hash or f"generation-{blob.generation}")

    def put(self, uri: str, data: bytes) -> None:
        """Write or replace an object."""
        self._upload(uri, data)

    def create(self, uri: str, data: bytes) -> bool:
        """Write an object if there is none; the store checks this by the object's generation."""
        from google.api_core.exceptions import PreconditionFailed

        try:
            self._upload(uri, data, if_generation_match=0)
        except PreconditionFailed:
            return False
        return True

    def _upload(self, uri: str, data: bytes, **conditions: Any) -> None:
        with self._object(uri) as blob:
            kind = "application/octet-stream"
            blob.upload_from_string(data, content_type=kind, checksum="crc32c", **conditions, **_call())

    def send(self, path: Path, uri: str) -> None:
        """Write or replace an object with the content of a file, a large one in parts."""
        with self._object(uri, chunk_size=_PART) as blob:
            kind = "application/octet-stream"
            blob.upload_from_filename(str(path), content_type=kind, checksum="crc32c", **_call())

    def delete(self, uri: str) -> None:
        """Delete an object; a missing one is no error."""
        try:
            with self._object(uri) as blob:
                blob.delete(**_call())
        except FileNotFoundError:
            pass

    def find(self, root: str) -> list[str]:
        """Return the URIs of all objects below a prefix, or of one object."""
        bucket, name = bucket_and_name(root)
        folder = name.rstrip("/")
        prefix = f"{folder}/" if folder else None
        # consoles mark folders by names that end in a slash
        names = [one for one in self._names(bucket, prefix=prefix) if not one.endswith("/")]
        if not names and folder and self.exists(f"gs://{bucket}/{folder}"):
            names = [folder]
        return [f"gs://{bucket}/{one}" for one in names]

    def folders(self, root: str) -> list[str]:
        """Return the names of the prefixes directly below a prefix."""
        bucket, name = bucket_and_name(root)
        folder = name.rstrip("/")
        prefix = f"{folder}/" if folder else ""
        return [one.removeprefix(prefix).rstrip("/") for one in self._prefixes(bucket, prefix)]


@contextmanager
def _named_bucket() -> Iterator[None]:
    """Say that a bucket does not exist if a listing finds nothing."""
    from google.api_core.exceptions import NotFound

    try:
        yield
    except NotFound as error:
        _close(error)
        msg = "the specified bucket does not exist"
        raise NotFound(msg) from error


def _call() -> dict[str, Any]:
    """Return the retries and timeouts of each request, reads and writes: two minutes in all.

    A write is of a whole object or has the condition that there is none, so a second try does no harm.
    """
    from google.cloud.storage.retry import DEFAULT_RETRY

    return {"retry": DEFAULT_RETRY.with_timeout(_GIVES_UP), "timeout": _TIMEOUT}


def _close(error: Any) -> None:
    """Give back the connection of a refused request, because the client leaves the answer open."""
    close = getattr(getattr(error, "response", None), "close", None)
    if close is not None:
        close()
