"""Open the source of a delivery's schemas, with the connection that belongs to it alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pismo.connect.storage import has_connection, s3_options
from pismo_lake.errors import ConfigError
from pismo_lake.settings.deliveries import Delivery, load_deliveries

if TYPE_CHECKING:
    from pismo_lake.schemas import SchemaSource


def schema_source(delivery: Delivery) -> SchemaSource | None:
    """Return the source that `contracts.pull` names; None if it names none.

    Pismo's bucket of documentation is not read with the rights that write the lake.

    Raises:
        ConfigError: there is no connection of this name.
    """
    from pismo_lake.schemas import SchemaSource
    from pismo_lake.storage.s3 import S3Store

    pull = delivery.contracts.pull
    if pull is None or pull.source is None:
        return None
    if pull.conn_id is None:
        return SchemaSource(pull.source)
    if not has_connection(pull.conn_id):
        msg = f"{delivery.name}: contracts.pull.conn_id names {pull.conn_id}, and there is no such connection"
        raise ConfigError(msg)
    return SchemaSource(pull.source, S3Store(s3_options(pull.conn_id)))


def lakes_of_folder(delivery: Delivery, deliveries_file: str) -> list[str]:
    """Return the lakes of the deliveries that share a delivery's folder of schemas and its ledger."""

    def place(one: Delivery) -> tuple[str | None, ...]:
        return one.contracts.folder, one.ledger_conn_id, one.ledger_url

    others = (one for one in load_deliveries(deliveries_file) if isinstance(one, Delivery))
    return [one.lake for one in others if place(one) == place(delivery)]
