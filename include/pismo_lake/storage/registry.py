"""Find the store that a URI belongs to, by its scheme."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pismo_lake.errors import ConfigError
from pismo_lake.storage.azure import AzureStore
from pismo_lake.storage.gs import GoogleStore
from pismo_lake.storage.local import LocalStore
from pismo_lake.storage.places import scheme_of
from pismo_lake.storage.s3 import S3Store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pismo_lake.storage.store import Store

_KINDS: dict[str, Callable[[Callable[[], Mapping[str, Any]]], Store]] = {
    "s3": S3Store, "gs": GoogleStore, "abfss": AzureStore,
}  # fmt: skip
_STORES: dict[str, Store] = {
    "file": LocalStore(), "s3": S3Store(), "gs": GoogleStore(), "abfss": AzureStore(),
}  # fmt: skip


def configure(scheme: str, options: Callable[[], Mapping[str, Any]]) -> None:
    """Set the options (endpoint, credentials) of a scheme's client for this process.

    `s3` takes the options of s3fs and reads them at each use. `gs` and `abfss` take the options
    of Google's and Azure's clients.
    """
    _STORES[scheme] = _KINDS[scheme](options)


def store_of(uri: str) -> Store:
    """Return the store of a URI.

    Raises:
        ConfigError: No store has this scheme.
    """
    scheme = scheme_of(uri)
    if scheme not in _STORES:
        msg = f"{uri}: {scheme}:// is no store for landing and lake; there are s3://, gs://, abfss:// and paths"
        raise ConfigError(msg)
    return _STORES[scheme]
