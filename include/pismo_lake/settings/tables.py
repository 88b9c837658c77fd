"""Define the table format of a lake, and the catalog that has its tables."""

from __future__ import annotations

import re
from dataclasses import field, replace
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pydantic.dataclasses import dataclass

from pismo_lake.errors import ConfigError
from pismo_lake.settings.fields import STRICT_MODEL

if TYPE_CHECKING:
    from pismo_lake.storage.encryption import LakeKey

_SECRET = re.compile("secret|password|token|credential|access-key|account-key|connection-string|sas-", re.IGNORECASE)
"""Names of properties of pyiceberg that are secrets, by its page "Configuration"."""
SNAPSHOTS_KEPT_HOURS = 24.0
"""The hours that a table keeps its older snapshots, if no setting says otherwise."""


class TableFormat(StrEnum):
    """A table format over the lake's Parquet files."""

    ICEBERG = "iceberg"


class CatalogType(StrEnum):
    """The kind of service that knows the tables."""

    SQL = "sql"
    GLUE = "glue"
    REST = "rest"


class FileRemoval(StrEnum):
    """The moment at which files that newer ones have replaced are removed from the lake."""

    AT_ONCE = "at_once"
    AFTER_SNAPSHOTS = "after_snapshots"


@dataclass(frozen=True, slots=True, config=STRICT_MODEL)
class Catalog:
    """The catalog of the tables; by default an SQLite file beside the ledger, or the ledger's own database."""

    type: CatalogType = CatalogType.SQL
    """sql (SQLite on one machine, or PostgreSQL), glue or rest."""
    uri: str | None = None
    """The SQLAlchemy URL of a sql catalog, or the address of a rest catalog, without a password."""
    conn_id: str | None = None
    """The Airflow connection of the database, the AWS account or the rest catalog (its password is the token)."""
    warehouse: str | None = None
    """The warehouse that a rest catalog asks for. The tables' metadata is always in `<lake>/_iceberg`."""
    properties: dict[str, str] = field(default_factory=dict)
    """More properties of pyiceberg's catalog, for example glue.region or rest.sigv4-enabled; no secrets."""

    def __post_init__(self) -> None:
        if self.type is CatalogType.REST and not (self.uri or self.conn_id):
            msg = "catalog: a rest catalog needs a uri"
            raise ValueError(msg)
        # the lake remembers its catalog in a file
        if self.uri is not None and urlsplit(self.uri).password is not None:
            msg = "catalog: uri has a password: give it in the Airflow connection conn_id"
            raise ValueError(msg)
        if secret := [name for name in self.properties if _SECRET.search(name)]:
            msg = f"catalog: properties has a secret ({secret[0]}): give it in the Airflow connection conn_id"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of a lake: their format and their catalog.

    Attributes:
        format: the table format.
        catalog: the catalog.
        secrets: properties of the catalog that a connection gives.
        snapshots_kept_hours: the hours after which a close forgets a snapshot that another one has replaced.
        remove_files: whether replaced files are removed at once, or when no snapshot names them any more.
        at_once: if false, a build that supersedes no file leaves its commit to the caller, who makes one for all.
    """

    format: TableFormat = TableFormat.ICEBERG
    catalog: Catalog = field(default_factory=Catalog)
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    snapshots_kept_hours: float = SNAPSHOTS_KEPT_HOURS
    remove_files: FileRemoval = FileRemoval.AT_ONCE
    at_once: bool = True

    @property
    def keeps_files(self) -> bool:
        """Whether replaced files stay while a snapshot names them, so that only the catalog tells the lake's rows."""
        return self.remove_files is FileRemoval.AFTER_SNAPSHOTS

    def one_commit(self) -> Tables:
        """Let builds that supersede no file leave their commit to the caller."""
        return replace(self, at_once=False)


def refuse_key(delivery: str, tables: Tables | None, key: LakeKey | None) -> None:
    """Refuse a KMS key of the lake's files together with a table format.

    Raises:
        ConfigError: both are set.
    """
    if tables is not None and key is not None:
        raise ConfigError(KEY_REFUSED.format(delivery))


def refuse_store(delivery: str, tables: Tables | None, lake: str) -> None:
    """Refuse a table format over a lake that the catalog's library cannot open.

    Raises:
        ConfigError: the lake is neither in a folder nor in S3, or its path has signs that end the path of an address.
    """
    if tables is not None and (reason := why_no_tables(delivery, lake)):
        raise ConfigError(reason)


def why_no_tables(delivery: str, lake: str) -> str | None:
    """Return the reason why a lake at this place cannot have tables; None if it can."""
    scheme, found, _ = lake.partition("://")
    if found and scheme != "s3":
        return STORE_REFUSED.format(delivery, scheme)
    return PATH_REFUSED.format(delivery, lake) if "?" in lake or "#" in lake else None


STORE_REFUSED = (
    "{}: table_format needs a lake in a folder or in S3: pyiceberg opens files at {}:// with credentials of its own,"
    " and would not get those of the lake's connection"
)
"""The reason why a lake in another cloud has no tables."""
PATH_REFUSED = (
    "{}: table_format needs a lake in another folder: {} has ? or #, which end the path of an address, so catalogs and"
    " their readers would look elsewhere"
)
"""The reason why a lake in a folder with such a name has no tables."""
KEY_REFUSED = (
    "{}: lake_kms_key and table_format exclude each other: no reader of the table format can decrypt the files. Give"
    " the bucket a key of its own instead"
)
"""The reason why an encrypted lake has no tables."""
