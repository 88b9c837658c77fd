"""Describe the provider: modules, connection type and its form, links, notifications."""

from __future__ import annotations

from typing import Any

_NAME = "Pismo"
_MODULES = {
    "operators": ["build", "index", "land", "report"],
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
        "organisation": _text("Organisation id", "TN-… as Pismo gives it"),
        "environment": _choice("Environment", ["sandbox", "production"]),
        "channel": _choice("Channel", ["s3", "sftp", "gcs"]),
        "pismo_account_id": _text("Pismo's AWS account id", "S3: 12 digits; Pismo tells it"),
        "region": _text("Region", "S3: the region of Pismo's bucket"),
        "bucket": _text("Bucket", "GCS: your bucket. S3: only if it is not the usual one"),
        "endpoint_url": _text("Endpoint", "only for another endpoint, for example a simulated Pismo"),
        "conn_id": _text(
            "Connection of your identity", "an Airflow connection of type aws, sftp or google_cloud_platform"
        ),
    }
    return {
        "connection-type": "pismo",
        "hook-name": _NAME,
        "hook-class-name": "pismo.provider.hook.PismoHook",
        "ui-field-behaviour": {
            "hidden-fields": ["host", "schema", "login", "password", "port"],
            "relabeling": {},
            "placeholders": {},
        },
        "conn-fields": fields,
    }


def _text(label: str, description: str) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": ["string", "null"]}}


def _choice(label: str, values: list[str]) -> dict[str, Any]:
    return {"label": label, "schema": {"type": "string", "enum": values, "default": values[0]}}
