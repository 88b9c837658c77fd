"""Connect landing and lake to their object stores, by settings and Airflow connections."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook

    from pismo_lake.settings.deliveries import Delivery

    Options = Callable[[], dict[str, Any]]

GOOGLE_DEFAULT = "google_cloud_default"
"""The connection of gs:// if a delivery names none and there is one of this name."""
_CLOUDS = {"google_cloud_platform": "gs", "wasb": "abfss", "adls": "abfss"}
"""The scheme of each type of connection; all other types are for s3."""


def configure_storage(delivery: Delivery) -> None:
    """Configure the stores of landing and lake by `storage_conn_id`: credentials, endpoint, TLS.

    Without a connection, a store uses the machine's own credentials.

    Raises:
        ConfigError: The connection is for another cloud than landing or lake.
    """
    from pismo_lake import storage
    from pismo_lake.errors import ConfigError

    conn_id = delivery.storage_conn_id
    if conn_id is not None:
        if not has_connection(conn_id):
            msg = f"{delivery.name}: storage_conn_id names {conn_id}, and there is no such connection"
            raise ConfigError(msg)
        kind = str(BaseHook.get_connection(conn_id).conn_type)
        scheme = _CLOUDS.get(kind, "s3")
        if delivery.schemes and scheme not in delivery.schemes:
            msg = f"{delivery.name}: connection {conn_id} of type {kind} is not for {min(delivery.schemes)}://"
            raise ConfigError(msg)
        options = {"s3": s3_options, "gs": gs_options, "abfss": azure_options}[scheme]
        storage.configure(scheme, options(conn_id))
    elif "gs" in delivery.schemes and has_connection(GOOGLE_DEFAULT):
        storage.configure("gs", gs_options(GOOGLE_DEFAULT))


def has_connection(conn_id: str) -> bool:
    """Return whether Airflow has a connection of this name."""
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        return False
    return True


def gs_options(conn_id: str) -> Options:
    """Return a function that returns the options of Google's client for a connection.

    Its credentials renew themselves.

    Raises:
        ConfigError: Google's packages are not installed.
    """
    from pismo_lake.errors import ConfigError, StorageRefused, StorageUnavailable
    from pismo_lake.faults import reason_of

    try:
        from airflow.providers.google.cloud.hooks.gcs import GCSHook
        from google.auth.exceptions import GoogleAuthError
    except ImportError:
        msg = "gs:// needs Google's packages: pip install -r requirements-gcp.txt -c constraints.txt"
        raise ConfigError(msg) from None
    hook = GCSHook(gcp_conn_id=conn_id)
    try:
        # ask Airflow once, because other threads of the task cannot
        options = {
            "credentials": hook.get_credentials(), "project": hook.project_id,
            "client_options": hook.get_client_options(hook.extras.get("api_endpoint")),
        }  # fmt: skip
    except GoogleAuthError as error:
        reason = reason_of(error)
        msg = f"connection {conn_id} gives no Google credentials: {reason}"
        raise (StorageRefused if reason.fault.permanent else StorageUnavailable)(msg) from error
    return lambda: options


def azure_options(conn_id: str) -> Options:
    """Return a function that gives the options of Azure's blob client, by a connection of type `wasb` or `adls`.

    `sas_token` in the extra, a client secret (`tenant_id` in the extra, login, password), or the account's key as
    password; without any of them, the machine's own identity. `account_url` in the extra sets another endpoint.
    """
    connection = BaseHook.get_connection(conn_id)
    extra = connection.extra_dejson
    options: dict[str, Any] = {}
    if extra.get("account_url"):
        options["account_url"] = str(extra["account_url"])
    if extra.get("sas_token"):
        options["credential"] = str(extra["sas_token"])
    elif extra.get("tenant_id"):
        from azure.identity import ClientSecretCredential

        secret = connection.password or ""
        options["credential"] = ClientSecretCredential(str(extra["tenant_id"]), connection.login or "", secret)
    elif connection.password:
        options["credential"] = connection.password
    return lambda: options


def s3_options(conn_id: str) -> Options:
    """Return a function that returns the s3fs options of an AWS connection.

    Each call returns fresh credentials.
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
