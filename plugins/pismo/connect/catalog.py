"""Give the catalog of a delivery's tables the credentials of Airflow connections, made anew for each task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

from pismo.connect.database import database_url
from pismo.connect.storage import s3_options

if TYPE_CHECKING:
    from pismo_lake.settings.deliveries import Delivery


def catalog_secrets(delivery: Delivery) -> dict[str, str]:
    """Return the properties of pyiceberg's catalog that connections give.

    These are the access to the tables' files in S3 (`storage_conn_id`), and to the catalog itself (`catalog.conn_id`;
    for Glue also `storage_conn_id`).
    """
    from pismo_lake.settings.tables import CatalogType

    found: dict[str, str] = {}
    if delivery.lake.startswith("s3://") and delivery.storage_conn_id is not None:
        found |= _aws("s3", delivery.storage_conn_id)
    catalog = delivery.catalog
    if catalog is None:
        return found
    if catalog.type is CatalogType.GLUE:
        conn_id = catalog.conn_id or delivery.storage_conn_id
        return found | (_aws("glue", conn_id) if conn_id is not None else {})
    if catalog.conn_id is None:
        return found
    if catalog.type is CatalogType.SQL:
        return found | {"uri": database_url(catalog.conn_id)}
    connection = BaseHook.get_connection(catalog.conn_id)
    if connection.host:
        # as Airflow's HTTP hook does: the scheme may be in the host, or be the schema
        scheme = "" if "://" in connection.host else f"{connection.schema or 'https'}://"
        found["uri"] = f"{scheme}{connection.host}" + (f":{connection.port}" if connection.port else "")
    if connection.password:
        found |= (
            {"credential": f"{connection.login}:{connection.password}"}
            if connection.login
            else {"token": connection.password}
        )
    return found


def _aws(prefix: str, conn_id: str) -> dict[str, str]:
    """Return the credentials, the region and the endpoint of an AWS connection as pyiceberg names them."""
    options = s3_options(conn_id)()
    client: dict[str, Any] = options["client_kwargs"]
    named = {
        "access-key-id": options["key"],
        "secret-access-key": options["secret"],
        "session-token": options["token"],
        "region": client.get("region_name"),
        # of S3 only: Glue has another one
        "endpoint": options.get("endpoint_url") if prefix == "s3" else None,
    }
    return {f"{prefix}.{name}": str(value) for name, value in named.items() if value}
