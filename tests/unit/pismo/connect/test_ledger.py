"""A task uses the connections of its delivery."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pismo.connect.ledger import open_ledger, settings_of
from pismo_lake.errors import ConfigError, LedgerVersionError
from pismo_lake.ledger.engine import connect
from pismo_lake.settings.deliveries import Delivery, load_deliveries

if TYPE_CHECKING:
    from pathlib import Path

DELIVERY = """\
deliveries:
  mine:
    organisation: TN-1
    environment: sandbox
    channel: sftp
    source: {}
    conn_id: c
    landing: raw
    lake: l
    ledger_url: sqlite://
    privacy: strict
    privacy_key_conn_id: privacy_key
"""


@pytest.fixture
def delivery(tmp_path: Path) -> Delivery:
    (tmp_path / "deliveries.yaml").write_text(DELIVERY)
    (found,) = load_deliveries(tmp_path / "deliveries.yaml")
    assert isinstance(found, Delivery)
    return found


def test_the_privacy_key_comes_from_a_connection(delivery: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = {"conn_type": "generic", "login": "2026", "password": "a secret of some length"}
    monkeypatch.setenv("AIRFLOW_CONN_PRIVACY_KEY", json.dumps(connection))
    privacy = settings_of(delivery).privacy
    assert privacy is not None
    assert privacy.check_keys().key is not None
    assert privacy.key is not None
    assert (privacy.key.key_id, privacy.key.secret) == ("2026", b"a secret of some length")


def test_earlier_keys_come_from_connections_too(
    delivery: Delivery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deliveries.yaml").write_text(f"{DELIVERY}    privacy_earlier_key_conn_ids: [key_2025, key_2024]\n")
    (mine,) = load_deliveries(tmp_path / "deliveries.yaml")
    assert isinstance(mine, Delivery)
    for name, key_id in (("PRIVACY_KEY", "2026"), ("KEY_2025", "2025"), ("KEY_2024", "2024")):
        connection = {"conn_type": "generic", "login": key_id, "password": f"the secret of the key of {key_id}"}
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps(connection))
    privacy = settings_of(mine).privacy
    assert privacy is not None
    assert list(privacy.keys()) == ["2026", "2025", "2024"]
    alone = settings_of(delivery).privacy
    assert alone is not None
    assert privacy.fingerprint() == alone.fingerprint()


def test_a_key_without_id_or_secret_is_refused(delivery: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_PRIVACY_KEY", json.dumps({"conn_type": "generic", "password": "x" * 20}))
    with pytest.raises(ConfigError, match="it needs an id and a secret"):
        settings_of(delivery)


def test_a_task_creates_an_sqlite_ledger_and_migrates_none(delivery: Delivery, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    mine = replace(delivery, privacy=None, ledger_url=url)
    open_ledger(mine).close()
    engine = connect(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE pismo_ledger_version")
    with pytest.raises(LedgerVersionError, match=f"run python -m pismo_lake ledger migrate --ledger {url}"):
        open_ledger(mine)
    with engine.begin() as connection:
        assert not connection.exec_driver_sql("SELECT 1 FROM sqlite_master WHERE name = 'pismo_ledger_version'").all()
    engine.dispose()
