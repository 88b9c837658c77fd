"""The catalog of a delivery's tables gets its secrets from connections."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pismo.connect.ledger import settings_of
from pismo_lake.settings.deliveries import Delivery, load_deliveries

if TYPE_CHECKING:
    from pathlib import Path

DELIVERY = """\
deliveries:
  mine:
    organisation: TN-1
    environment: sandbox
    channel: sftp
    source: {{}}
    conn_id: c
    landing: s3://b/raw
    lake: s3://b/lake
    storage_conn_id: store
    ledger_url: sqlite://
    table_format: iceberg
    catalog: {catalog}
"""
AWS = {
    "conn_type": "aws", "login": "ID", "password": "SECRET",
    "extra": {"region_name": "sa-east-1", "endpoint_url": "http://127.0.0.1:1"},
}  # fmt: skip
OTHERS = {
    "store": AWS,
    "db": {"conn_type": "postgres", "host": "h", "login": "u", "password": "p", "schema": "s", "port": 5432},
    "rest": {"conn_type": "http", "host": "catalog.example", "password": "TOKEN"},
    "ported": {"conn_type": "http", "host": "catalog.example", "schema": "http", "port": 8181, "password": "TOKEN"},
    "oauth": {"conn_type": "http", "host": "http://catalog.example", "login": "me", "password": "SECRET"},
}


@pytest.mark.parametrize(
    ("catalog", "expected"),
    [
        ("{type: sql, conn_id: db}", {"uri": "postgresql://u:p@h:5432/s"}),
        ("{type: rest, conn_id: rest}", {"uri": "https://catalog.example", "token": "TOKEN"}),
        ("{type: rest, conn_id: ported}", {"uri": "http://catalog.example:8181", "token": "TOKEN"}),
        ("{type: rest, conn_id: oauth}", {"uri": "http://catalog.example", "credential": "me:SECRET"}),
        (
            "{type: glue, properties: {glue.id: '1'}}",
            {"glue.access-key-id": "ID", "glue.secret-access-key": "SECRET", "glue.region": "sa-east-1"},
        ),
    ],
)
def test_secrets_come_from_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, catalog: str, expected: dict[str, str]
) -> None:
    for name, connection in OTHERS.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(connection))
    (tmp_path / "deliveries.yaml").write_text(DELIVERY.format(catalog=catalog))
    (delivery,) = load_deliveries(tmp_path / "deliveries.yaml")
    assert isinstance(delivery, Delivery)
    tables = settings_of(delivery).tables
    assert tables is not None
    of_store = {name: value for name, value in tables.secrets.items() if name.startswith("s3.")}
    assert of_store == {
        "s3.access-key-id": "ID", "s3.secret-access-key": "SECRET", "s3.region": "sa-east-1",
        "s3.endpoint": "http://127.0.0.1:1",
    }  # fmt: skip
    assert {name: value for name, value in tables.secrets.items() if name not in of_store} == expected
    assert "SECRET" not in repr(tables)
    assert "TOKEN" not in repr(tables)
