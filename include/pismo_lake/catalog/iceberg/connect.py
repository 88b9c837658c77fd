"""Open the catalog that has the tables of a lake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyiceberg.catalog import load_catalog
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from pismo_lake import storage
from pismo_lake.catalog.iceberg.files import uri_of
from pismo_lake.catalog.iceberg.refusal import naming
from pismo_lake.errors import ConfigError, TableBusyError
from pismo_lake.ledger.sqlite_files import sqlite_file, sqlite_url
from pismo_lake.paths import TABLES
from pismo_lake.settings.tables import CatalogType

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

    from pismo_lake.settings.tables import Tables

NAME = "pismo"
"""The name of the catalog; a sql catalog keeps it beside each table, so readers must give it too."""
_ATTEMPTS = 5


def open_catalog(tables: Tables, lake: str, ledger_url: str) -> Catalog:
    """Open a catalog; create the tables of a sql catalog if they are missing.

    Raises:
        TableBusyError: it does not answer.
        ConfigError: its settings are wrong.
    """
    properties = catalog_properties(tables, lake, ledger_url)
    for attempt in range(_ATTEMPTS):
        try:
            with naming():
                return load_catalog(NAME, **properties)
        except (SQLAlchemyError, TableBusyError, OSError) as error:
            # several processes may create the tables of a sql catalog at once: the others then find them
            if attempt == _ATTEMPTS - 1:
                msg = f"the catalog of {lake} does not answer: {type(error).__name__}"
                raise TableBusyError(msg) from error
        except (ValueError, KeyError) as error:
            msg = f"the catalog of {lake} cannot be opened: {type(error).__name__}: {error}"
            raise ConfigError(msg) from error
    raise AssertionError


def catalog_properties(tables: Tables, lake: str, ledger_url: str) -> dict[str, Any]:
    """Return the properties with which pyiceberg opens the catalog."""
    given = tables.catalog
    properties: dict[str, Any] = {"type": given.type.value}
    if given.type is not CatalogType.REST:
        # a rest catalog has names for its warehouses
        properties["warehouse"] = uri_of(lake, TABLES)
    if given.warehouse:
        properties["warehouse"] = given.warehouse
    if given.uri:
        properties["uri"] = given.uri
    properties |= given.properties | tables.secrets
    if given.type is CatalogType.SQL:
        properties["uri"] = _with_timeout(properties.get("uri") or default_uri(ledger_url))
    if given.type is CatalogType.REST and not properties["uri"].endswith("/"):
        # without this property pyiceberg warns that it takes this address
        properties = {"oauth2-server-uri": f"{properties['uri']}/v1/oauth/tokens"} | properties
    return properties


def default_uri(ledger_url: str) -> str:
    """Return the URL of the catalog of a lake that names none: beside an SQLite ledger, else in its database.

    >>> default_uri("sqlite:////data/lake-ledger.db"), default_uri("sqlite:////data/x.db")
    ('sqlite:////data/lake-catalog.db', 'sqlite:////data/x-catalog.db')
    """
    file = sqlite_file(ledger_url)
    if file is None:
        return ledger_url
    stem = file.stem.removesuffix("-ledger")
    return sqlite_url(str(file.with_name(f"{stem}-catalog{file.suffix}")))


def _with_timeout(url: str) -> str:
    """Let writers of an SQLite file wait for each other, as those of the ledger do."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and "timeout" not in parsed.query:
        parsed = parsed.update_query_dict({"timeout": "60"})
        file = sqlite_file(url)
        if file is not None:
            storage.local_path(str(file)).parent.mkdir(parents=True, exist_ok=True)
    return parsed.render_as_string(hide_password=False)
