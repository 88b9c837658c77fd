"""The demo's Airflow ignores the caller's settings, and its secrets stay private."""

from __future__ import annotations

import json
import stat
from pathlib import Path

from cryptography.fernet import Fernet

from pismo_demo.airflow_home import USER, Secrets, airflow_environment, make_home, write_private
from pismo_demo.options import ROOT
from pismo_demo.ports import Ports

PORTS = Ports(2, 3, 4)
CALLERS = {
    "PATH": "/usr/bin",
    "AIRFLOW_HOME": "/srv/other",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://production",
    "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
    "AWS_PROFILE": "production",
    "PISMO_LAKE": "s3://production",
    "HTTPS_PROXY": "http://proxy:3128",
}


def environment() -> dict[str, str]:
    return airflow_environment(CALLERS, Path("/demo"), PORTS, Secrets.new(), {"PISMO_LAKE": "/demo/lake"})


def test_nothing_of_the_callers_airflow_or_aws_account() -> None:
    found = environment()
    assert "AIRFLOW_CONN_AWS_DEFAULT" not in found
    assert "AWS_PROFILE" not in found
    assert not [value for value in found.values() if "production" in value or "/srv/other" in value]


def test_the_callers_other_settings_stay_but_not_for_loopback() -> None:
    found = environment()
    assert found["HTTPS_PROXY"] == "http://proxy:3128"
    assert "127.0.0.1" in found["NO_PROXY"]


def test_airflow_finds_the_checkout_first() -> None:
    found = environment()
    assert found["PATH"].startswith(f"{ROOT}/.venv/bin:")
    assert found["PYTHONPATH"] == f"{ROOT}/include:{ROOT}/plugins"
    assert found["AIRFLOW__CORE__DAGS_FOLDER"] == f"{ROOT}/dags"


def test_every_port_that_airflow_listens_on_is_set() -> None:
    found = environment()
    ports = ("API__PORT", "LOGGING__WORKER_LOG_SERVER_PORT", "LOGGING__TRIGGER_LOG_SERVER_PORT")
    assert [found[f"AIRFLOW__{name}"] for name in ports] == ["2", "3", "4"]
    assert found["AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK"] == "False"


def test_secrets_are_new_each_time_and_the_fernet_key_is_one() -> None:
    first, second = Secrets.new(), Secrets.new()
    assert {first.password, first.jwt, first.session, first.fernet}.isdisjoint(
        {second.password, second.jwt, second.session, second.fernet}
    )
    Fernet(first.fernet)


def test_the_login_is_for_its_owner_only(tmp_path: Path) -> None:
    fresh = Secrets.new()
    make_home(tmp_path / "airflow", fresh)
    login = tmp_path / "airflow" / "simple_auth_manager_passwords.json.generated"
    assert json.loads(login.read_text()) == {USER: fresh.password}
    assert stat.S_IMODE(login.stat().st_mode) == 0o600
    assert stat.S_IMODE(login.parent.stat().st_mode) == 0o700


def test_a_private_file_is_private_though_it_was_there_before(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("open")
    write_private(path, "closed")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == "closed"
