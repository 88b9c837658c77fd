"""Open a delivery's ledger, by its settings and Airflow connections."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

from pismo.connect.database import database_url
from pismo.connect.storage import configure_storage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.sdk import Context

    from pismo_lake.ledger import Ledger
    from pismo_lake.settings.deliveries import Delivery
    from pismo_lake.settings.lake import LakeSettings
    from pismo_lake.settings.privacy import PrivacyKey


def run_of(context: Context) -> str:
    """Return the DAG and run, which the ledger records as the origin of a file or a build."""
    run = context["dag_run"]
    return f"{run.dag_id} {run.run_id}"


@contextmanager
def ledger_of(delivery: Delivery, context: Context) -> Iterator[Ledger]:
    """Open a delivery's ledger and storage for a task; landed files and builds carry its run.

    Raises:
        LedgerMismatchError: this is not the present ledger of the lake.
    """
    configure_storage(delivery)
    from pismo_lake.ledger.binding import LakeBinding

    with open_ledger(delivery) as ledger:
        ledger.run = run_of(context)
        LakeBinding(ledger, delivery.lake, delivery.name, delivery.landing).check()
        yield ledger


def open_ledger(delivery: Delivery, *, new: bool = True) -> Ledger:
    """Open the delivery's ledger by `ledger_conn_id` or `ledger_url`; migrate nothing.

    Args:
        delivery: the delivery.
        new: create the ledger if it is an SQLite file that is missing.

    Raises:
        NoLedgerError: the ledger is missing, and is not created.
        LedgerVersionError: the ledger has another version than this program.
    """
    from pismo_lake.ledger import Ledger

    return Ledger.open(ledger_url(delivery), new=new, migrated=False)


def ledger_url(delivery: Delivery) -> str:
    """Return the SQLAlchemy URL of the delivery's ledger, with its password."""
    if delivery.ledger_conn_id is None:
        return str(delivery.ledger_url)
    return database_url(delivery.ledger_conn_id)


def settings_of(delivery: Delivery) -> LakeSettings:
    """Return the delivery's settings, with the keys of its policy and of its files."""
    from dataclasses import replace

    settings = delivery.settings
    if settings.privacy is not None and delivery.privacy_key_conn_id is not None:
        key = _privacy_key(delivery.privacy_key_conn_id)
        earlier = tuple(_privacy_key(conn_id) for conn_id in delivery.privacy_earlier_key_conn_ids)
        settings = replace(settings, privacy=replace(settings.privacy, key=key, earlier=earlier))
    if delivery.lake_kms_key is not None:
        from pismo_lake.storage.encryption import LakeKey

        settings = replace(settings, key=LakeKey(delivery.lake_kms_key, lambda: _kms(delivery)))
    if settings.tables is not None:
        from pismo.connect.catalog import catalog_secrets

        settings = replace(settings, tables=replace(settings.tables, secrets=catalog_secrets(delivery)))
    return settings


def _privacy_key(conn_id: str) -> PrivacyKey:
    from pismo_lake.settings.privacy import PrivacyKey

    connection = BaseHook.get_connection(conn_id)
    return PrivacyKey(connection.login or "", (connection.password or "").encode())


def _kms(delivery: Delivery) -> Any:
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

    return AwsBaseHook(aws_conn_id=delivery.storage_conn_id, client_type="kms").get_conn()
