"""Read and write objects of Amazon S3, and of stores with its protocol, through s3fs.

A single PUT shows an object only after it is complete. Listings are not kept.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any, cast

from pismo_lake.storage.create_once import create_once, is_claimed, refuses_to_overwrite
from pismo_lake.storage.errors import NamedFile, is_missing
from pismo_lake.storage.object_store import ObjectStore
from pismo_lake.storage.places import bucket_and_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


class S3Store(ObjectStore):
    """Objects at s3:// URIs; `options` returns the options of s3fs, at each use."""

    def __init__(self, options: Callable[[], Mapping[str, Any]] = dict) -> None:
        # a role's credentials may expire before a large day is closed
        self._options = options

    def _remote(self, uri: str) -> tuple[Any, str]:
        """Return the file system, and the path in it."""
        import fsspec

        bucket, name = bucket_and_name(uri)
        # equal options give the same file system, with its open connections
        filesystem = fsspec.filesystem("s3", **dict(self._options()) | {"use_listings_cache": False})
        return filesystem, f"{bucket}/{name}".rstrip("/")

    def read(self, uri: str) -> bytes:
        """Read all bytes of an object."""
        filesystem, path = self._remote(uri)
        # use one request: parallel parts could be of two versions, and HEAD gives no reasons
        return cast("bytes", filesystem.cat_file(path, max_concurrency=1))

    def read_range(self, uri: str, start: int, end: int) -> bytes:
        """Read bytes `[start, end)` of an object."""
        filesystem, path = self._remote(uri)
        return cast("bytes", filesystem.cat_file(path, start=start, end=end))

    def open(self, uri: str) -> Any:
        """Open an object to read from."""
        filesystem, path = self._remote(uri)
        return NamedFile(filesystem.open(path, "rb"), uri)

    def exists(self, uri: str) -> bool:
        """Return whether there is an object of this name."""
        try:
            return bool(_about(*self._remote(uri))["type"] == "file")
        except FileNotFoundError as error:
            if is_missing(error):
                return False
            raise

    def version(self, uri: str) -> tuple[int, str | None]:
        """Return an object's size and ETag."""
        about = _about(*self._remote(uri))
        if about["type"] != "file":
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), uri)
        return int(about["size"]), about.get("ETag") or about.get("etag")

    def put(self, uri: str, data: bytes) -> None:
        """Write or replace an object."""
        filesystem, path = self._remote(uri)
        filesystem.pipe_file(path, data)

    def create(self, uri: str, data: bytes) -> bool:
        """Write an object if there is none; one trial finds out if the store can refuse."""
        return create_once(*self._remote(uri), data)

    def is_refused(self, uri: str) -> bool:
        """Return whether the store refuses to replace an object; the first call tries it."""
        return refuses_to_overwrite(*self._remote(uri))

    def is_in_use(self, uri: str) -> bool:
        """Return whether a temporary object is young enough to belong to a living writer."""
        return is_claimed(*self._remote(uri))

    def send(self, path: Path, uri: str) -> None:
        """Write or replace an object with the content of a file, a large one in parts."""
        filesystem, target = self._remote(uri)
        filesystem.put_file(str(path), target)

    def duplicate(self, source: str, uri: str) -> None:
        """Let the store copy an object, a large one in parts."""
        filesystem, target = self._remote(uri)
        filesystem.cp_file(self._remote(source)[1], target)

    def delete(self, uri: str) -> None:
        """Delete an object without asking if it exists: another process may just have written it."""
        filesystem, path = self._remote(uri)
        try:
            filesystem.rm_file(path)
        except FileNotFoundError as error:
            if not is_missing(error):
                raise

    def find(self, root: str) -> list[str]:
        """Return the URIs of all objects below a prefix."""
        filesystem, path = self._remote(root)
        try:
            found = filesystem.find(path)
        except FileNotFoundError as error:
            if is_missing(error):
                return []
            raise
        # consoles mark folders by names that end in a slash
        return [f"s3://{name}" for name in found if not name.endswith("/")]

    def folders(self, root: str) -> list[str]:
        """Return the names of the prefixes directly below a prefix."""
        filesystem, path = self._remote(root)
        try:
            found = filesystem.ls(path, detail=True)
        except FileNotFoundError as error:
            if is_missing(error):
                return []
            raise
        return [about["name"].rstrip("/").rsplit("/", 1)[-1] for about in found if about["type"] == "directory"]


def _about(filesystem: Any, path: str) -> dict[str, Any]:
    """Return an object's metadata."""
    try:
        return cast("dict[str, Any]", filesystem.info(path))
    except PermissionError:
        # the answer to HEAD has no text; the answer to GET has the reason
        filesystem.cat_file(path, start=0, end=1)
        raise
