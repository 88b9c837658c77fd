"""Work on URIs of places: schemes, local paths, and parts below a root."""

from __future__ import annotations

from pathlib import Path

from pismo_lake.errors import StorageRefused


def scheme_of(uri: str) -> str:
    """Return the scheme of a URI, ``file`` for a path."""
    scheme, found, _ = uri.partition("://")
    return scheme if found else "file"


def is_local(uri: str) -> bool:
    """Return whether the URI is a path of this machine."""
    return scheme_of(uri) == "file"


def local_path(uri: str) -> Path:
    """Return the path of a local URI."""
    return Path(uri.removeprefix("file://"))


def join(root: str, *parts: str) -> str:
    """Join a root and relative parts with single slashes.

    Raises:
        StorageRefused: A part would leave the root.
    """
    for part in parts:
        if leaves(part):
            msg = f"{root}: the name {part!r} leaves this folder"
            raise StorageRefused(msg, uri=root)
    return "/".join([root.rstrip("/"), *(part.strip("/") for part in parts)])


def leaves(name: str) -> bool:
    """Return whether a relative name has a segment ``.`` or ``..``."""
    return "." in name and not {".", ".."}.isdisjoint(name.split("/"))


def bucket_and_name(uri: str) -> tuple[str, str]:
    """Split the URI of an object store into its bucket and the name of the object or folder.

    Raises:
        StorageRefused: There is no bucket, or a segment of the name means a folder above.
    """
    bucket, _, name = uri.partition("://")[2].partition("/")
    if not bucket or leaves(name):
        msg = f"{uri}: a segment of the name means another folder" if bucket else f"{uri} names no bucket"
        raise StorageRefused(msg, uri=uri)
    return bucket, name
