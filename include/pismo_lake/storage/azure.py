"""Read and write objects of Azure Data Lake Storage, through the client of its blobs.

A container is addressed as ``abfss://container@account.dfs.core.windows.net``. ``If-None-Match: *`` is the condition
that there is no blob. A large upload is shown only when its blocks are committed.
"""

from __future__ import annotations

import errno
import io
import logging
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pismo_lake.errors import ConfigError, StorageRefused
from pismo_lake.storage.errors import NamedFile
from pismo_lake.storage.object_store import ObjectStore
from pismo_lake.storage.places import bucket_and_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

_WHOLE = 256 << 20
_READ_AHEAD = 8 << 20
_GIVES_UP = 120


class AzureStore(ObjectStore):
    """Blobs at abfss:// URIs.

    `options` gives those of `azure.storage.blob.BlobServiceClient`. Without a `credential`, the identity of this
    machine is used; without an `account_url`, the URI's account.
    """

    def __init__(self, options: Callable[[], Mapping[str, Any]] = dict) -> None:
        self._options = options
        self._clients: dict[tuple[int, str], Any] = {}

    def _service(self, uri: str, host: str) -> Any:
        """Return the client of an account for this process: its connections are not for a forked one."""
        known = (os.getpid(), host)
        if known not in self._clients:
            account, found, domain = host.partition(".dfs.")
            options = dict(self._options())
            if not found and "account_url" not in options:
                msg = f"{uri}: abfss://<container>@<account>.dfs.core.windows.net/<folder> is expected"
                raise StorageRefused(msg, uri=uri)
            options.setdefault("account_url", f"https://{account}.blob.{domain}")
            self._clients[known] = _new_client(options)
        return self._clients[known]

    def _place(self, uri: str) -> tuple[Any, str]:
        """Return the client of a container, and the name in it."""
        bucket, name = bucket_and_name(uri)
        if "\\" in name:
            msg = f"{uri}: Azure takes a backslash for a slash: it cannot be part of a name"
            raise StorageRefused(msg, uri=uri)
        container, _, host = bucket.partition("@")
        return self._service(uri, host).get_container_client(container), name

    @contextmanager
    def _blob(self, uri: str) -> Iterator[Any]:
        """Work with one blob; if it is missing, this is a `FileNotFoundError`, and its container is there."""
        from azure.core.exceptions import ResourceNotFoundError

        container, name = self._place(uri)
        try:
            yield container.get_blob_client(name)
        except ResourceNotFoundError as error:
            if getattr(error, "error_code", "") == "ContainerNotFound":
                raise
            if not getattr(error, "error_code", "") and not container.exists():
                # the answer to HEAD has no code
                container.get_container_properties()
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), uri) from error

    def read(self, uri: str) -> bytes:
        """Read all bytes of a blob."""
        with self._blob(uri) as blob:
            return bytes(blob.download_blob().readall())

    def read_range(self, uri: str, start: int, end: int) -> bytes:
        """Read bytes `[start, end)` of a blob."""
        with self._blob(uri) as blob:
            return bytes(blob.download_blob(offset=start, length=end - start).readall())

    def open(self, uri: str) -> Any:
        """Open one version of a blob to read from."""
        with self._blob(uri) as blob:
            about = blob.get_blob_properties()
        return NamedFile(io.BufferedReader(_Reader(blob, about.size, about.etag), _READ_AHEAD), uri)

    def version(self, uri: str) -> tuple[int, str | None]:
        """Return a blob's size and its content's hash, or its ETag if the store has no hash."""
        with self._blob(uri) as blob:
            about = blob.get_blob_properties()
        if _is_folder(about):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), uri)
        digest = about.content_settings.content_md5
        return int(about.size), bytes(digest).hex() if digest else str(about.etag)

    def put(self, uri: str, data: bytes) -> None:
        """Write or replace a blob."""
        with self._blob(uri) as blob:
            blob.upload_blob(data, overwrite=True)

    def create(self, uri: str, data: bytes) -> bool:
        """Write a blob if there is none: the store refuses otherwise."""
        from azure.core.exceptions import ResourceExistsError

        try:
            with self._blob(uri) as blob:
                blob.upload_blob(data, overwrite=False)
        except ResourceExistsError as error:
            if getattr(error, "error_code", "") == "BlobAlreadyExists":
                return False
            raise
        return True

    def send(self, path: Path, uri: str) -> None:
        """Write or replace a blob with the content of a file, a large one in blocks."""
        with self._blob(uri) as blob, path.open("rb") as file:
            blob.upload_blob(file, overwrite=True)

    def delete(self, uri: str) -> None:
        """Delete a blob; a missing one is no error."""
        try:
            with self._blob(uri) as blob:
                blob.delete_blob()
        except FileNotFoundError:
            pass

    def find(self, root: str) -> list[str]:
        """Return the URIs of all blobs below a prefix, or of one blob."""
        container, name = self._place(root)
        folder = name.rstrip("/")
        found = container.list_blobs(name_starts_with=f"{folder}/" if folder else None, include=["metadata"])
        names = [blob.name for blob in found if not blob.name.endswith("/") and not _is_folder(blob)]
        if not names and folder and self.exists(root.rstrip("/")):
            names = [folder]
        top = "/".join(root.split("/", 3)[:3])
        return [f"{top}/{one}" for one in names]

    def folders(self, root: str) -> list[str]:
        """Return the names of the prefixes directly below a prefix."""
        container, name = self._place(root)
        folder = name.rstrip("/")
        prefix = f"{folder}/" if folder else ""
        found = container.walk_blobs(name_starts_with=prefix or None, delimiter="/")
        return [one.name.removeprefix(prefix).rstrip("/") for one in found if one.name.endswith("/")]


def _new_client(options: dict[str, Any]) -> Any:
    try:
        from azure.storage.blob import BlobServiceClient

        if "credential" not in options:
            from azure.identity import DefaultAzureCredential

            options["credential"] = DefaultAzureCredential()
    except ImportError:
        msg = "abfss:// needs Azure's packages: pip install -r requirements-azure.txt -c constraints.txt"
        raise ConfigError(msg) from None
    # it logs each request, a line for each of its headers
    logging.getLogger("azure.core.pipeline.policies.http_logging_policy").setLevel(logging.WARNING)
    # a blob in one answer: parts asked for side by side could be of two versions
    return BlobServiceClient(**{"max_single_get_size": _WHOLE, "read_timeout": _GIVES_UP} | options)


def _is_folder(about: Any) -> bool:
    """Return whether an entry is a folder of an account with a hierarchical namespace."""
    return (about.metadata or {}).get("hdi_isfolder") == "true"


class _Reader(io.RawIOBase):
    """Read one version of a blob in ranges."""

    def __init__(self, blob: Any, size: int, etag: str) -> None:
        super().__init__()
        self._blob, self._size, self._etag, self._at = blob, size, etag, 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a place."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read the bytes from here on, if the blob is still the same."""
        from azure.core import MatchConditions

        length = min(len(buffer), self._size - self._at)
        if length <= 0:
            return 0
        data = self._blob.download_blob(
            offset=self._at, length=length, etag=self._etag, match_condition=MatchConditions.IfNotModified
        ).readall()
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
