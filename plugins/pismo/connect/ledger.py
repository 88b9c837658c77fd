"""Open a delivery's ledger and storage, from its settings and Airflow connections."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
    from airflow.sdk import Context

    from pismo_lake.ledger import Ledger
    from pismo_lake.settings.deliveries import Delivery
    from pismo_lake.settings.lake import LakeSettings

_DRIVERS = {"postgres": "postgresql", "sqlite": "sqlite"}


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
    from pismo_lake.errors import ConfigError

    if delivery.ledger_conn_id is None:
        return str(delivery.ledger_url)
    connection = BaseHook.get_connection(delivery.ledger_conn_id)
    if connection.conn_type not in _DRIVERS:
        msg = f"connection {delivery.ledger_conn_id}: type {connection.conn_type!r}, allowed: {', '.join(_DRIVERS)}"
        raise ConfigError(msg)
    from sqlalchemy.engine import URL

    url = URL.create(
        _DRIVERS[connection.conn_type],
        username=connection.login,
        password=connection.password,
        host=connection.host,
        port=connection.port,
        database=connection.schema,
    )
    return url.render_as_string(hide_password=False)


def settings_of(delivery: Delivery) -> LakeSettings:
    """Return the delivery's settings, with the keys for privacy and for encryption."""
    from dataclasses import replace

    settings = delivery.settings
    if settings.privacy is not None and delivery.privacy_key_conn_id is not None:
        from pismo_lake.settings.privacy import PrivacyKey

        connection = BaseHook.get_connection(delivery.privacy_key_conn_id)
        key = PrivacyKey(connection.login or "", (connection.password or "").encode())
        settings = replace(settings, privacy=replace(settings.privacy, key=key))
    if delivery.lake_kms_key is not None:
        from pismo_lake.storage.encryption import LakeKey

        settings = replace(settings, key=LakeKey(delivery.lake_kms_key, lambda: _kms(delivery)))
    return settings


def _kms(delivery: Delivery) -> Any:
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

    return AwsBaseHook(aws_conn_id=delivery.storage_conn_id, client_type="kms").get_conn()


def configure_storage(delivery: Delivery) -> None:
    """Configure fsspec for s3:// landing and lake from the connection `storage_conn_id`."""
    from pismo_lake import storage

    if delivery.storage_conn_id is not None:
        storage.configure("s3", s3_options(delivery.storage_conn_id))


def s3_options(conn_id: str) -> Callable[[], dict[str, Any]]:
    """Return a function that gives the s3fs options of an AWS connection.

    Each call gives fresh credentials.
    """
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

    from pismo_lake.errors import ConfigError

    hook = AwsBaseHook(aws_conn_id=conn_id, client_type="s3")
    fixed = _fixed_options(hook)
    with _credentials_of(conn_id):
        credentials = hook.get_session().get_credentials()
    if credentials is None:
        msg = f"connection {conn_id} has no AWS credentials"
        raise ConfigError(msg)

    def options() -> dict[str, Any]:
        with _credentials_of(conn_id):
            # this renews a role's credentials before they expire
            now = credentials.get_frozen_credentials()
        return fixed | {"key": now.access_key, "secret": now.secret_key, "token": now.token}

    return options


def _fixed_options(hook: AwsGenericHook[Any]) -> dict[str, Any]:
    """Return a connection's store options: region, endpoint, certificates, `config_kwargs`."""
    from aiobotocore.config import AioConfig
    from botocore import UNSIGNED
    from botocore.exceptions import BotoCoreError

    from pismo_lake.errors import ConfigError

    try:
        about = hook.conn_config
        config = dict(about.extra_config.get("config_kwargs") or {})
        if config.get("signature_version") == "unsigned":
            config["signature_version"] = UNSIGNED
        # check the options now, so that the error names the connection
        AioConfig(**config)
    except (BotoCoreError, TypeError, ValueError) as error:
        msg = f"connection {hook.aws_conn_id}: config_kwargs: {error}"
        raise ConfigError(msg) from error
    client: dict[str, Any] = {"region_name": hook.region_name or config.get("region_name") or "us-east-1"}
    if hook.verify is not None:
        if isinstance(hook.verify, str) and not Path(hook.verify).exists():
            msg = f"connection {hook.aws_conn_id}: verify is {hook.verify}, but there is no such file"
            raise ConfigError(msg)
        client["verify"] = hook.verify
    endpoint = about.get_service_endpoint_url("s3")
    return {"client_kwargs": client, "config_kwargs": config} | ({"endpoint_url": endpoint} if endpoint else {})


@contextmanager
def _credentials_of(conn_id: str) -> Iterator[None]:
    """Raise the project's error if a connection's credentials cannot be fetched, e.g. from STS."""
    from botocore.exceptions import BotoCoreError, ClientError

    from pismo_lake.errors import StorageRefused, StorageUnavailable
    from pismo_lake.faults import reason_of

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        reason = reason_of(error)
        work = f"{reason.operation} failed with " if reason.operation else ""
        msg = f"connection {conn_id} has no AWS credentials: {work}{reason}"
        raise (StorageRefused if reason.fault.permanent else StorageUnavailable)(msg) from error
