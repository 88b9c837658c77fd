"""Describe the provider: modules, connection type and its form, links, notifications."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

LABELS = {
    "organisation": "Organisation id",
    "environment": "Environment",
    "channel": "Channel",
    "pismo_account_id": "Pismo's AWS account id",
    "external_id": "External id",
    "region": "Region",
    "bucket": "Bucket",
    "endpoint_url": "Endpoint",
    "conn_id": "Connection of your identity",
}
"""Names of the form's fields, by their keys in the connection's extra."""
_NAME = "Pismo"
_MODULES = {
    "operators": ["build", "index", "land", "replay", "report", "schemas"],
    "sensors": ["day_settled", "new_files"],
    "hooks": ["gcs", "s3", "sftp"],
    "triggers": ["new_files", "notices_waiting"],
}


def get_provider_info() -> dict[str, Any]:
    """Return the description that Airflow reads at the entry point `apache_airflow_provider`."""
    modules = {
        kind: [{"integration-name": _NAME, "python-modules": [f"pismo.{kind}.{name}" for name in names]}]
        for kind, names in _MODULES.items()
    }
    return modules | {
        "package-name": "pismo-lake",
        "name": _NAME,
        "description": "Load Pismo event files into a Parquet lake, each event exactly once.",
        "integrations": [
            {"integration-name": _NAME, "external-doc-url": "https://developers.pismo.io", "tags": ["service"]}
        ],
        "connection-types": [_connection_type()],
        "extra-links": ["pismo.operators.links.DayReportLink"],
        "notifications": ["pismo.notifications.delivery.DeliveryNotifier"],
    }


def _connection_type() -> dict[str, Any]:
    """Describe the form; every field is stored in the connection's extra under its name."""
    fields = {
        "organisation": _needed("TN- and an id, as Pismo wrote it to you"),
        "environment": _choice(["sandbox", "production"], "each has its own bucket, role and server"),
        "channel": _choice(
            ["s3", "sftp", "gcs"],
            "s3: Pismo's bucket. sftp: Pismo's server. gcs: your own bucket, which Pismo fills",
        ),
        "pismo_account_id": _text("for s3: 12 digits. Pismo tells it with the role"),
        "external_id": _text("for s3: only if Pismo gave you one"),
        "region": _text("for s3: the AWS region of Pismo's bucket, for example us-east-1"),
        "bucket": _text("for gcs: your bucket. For s3: only if it is not Pismo's usual one"),
        "endpoint_url": _text("for s3: only for another endpoint, for example of a simulated Pismo"),
        "conn_id": _text(
            "the Airflow connection with your own keys: type aws, sftp or google_cloud_platform. "
            "If empty: aws_default, sftp_default or google_cloud_default"
        ),
    }
    hidden = ["host", "schema", "login", "password", *([] if _wants_port() else ["port"])]
    return {
        "connection-type": "pismo",
        "hook-name": _NAME,
        "hook-class-name": "pismo.provider.hook.PismoHook",
        "ui-field-behaviour": {
            "hidden-fields": hidden,
            "relabeling": {"port": "Port (enter 0)"} if _wants_port() else {},
            "placeholders": {"port": "0"} if _wants_port() else {},
        },
        "conn-fields": {name: {"label": LABELS[name]} | field for name, field in fields.items()},
    }


def _wants_port() -> bool:
    """Return whether this Airflow tests no stored connection that lacks a port.

    Its page sends 0 for a missing port, and its server takes that for another server than the stored one.
    """
    return version("apache-airflow-core") in {"3.3.1", "3.3.2"}


def _text(description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": ["string", "null"]}}


def _needed(description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string", "minLength": 1}}


def _choice(values: list[str], description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string", "enum": values, "default": values[0]}}
