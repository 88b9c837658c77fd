"""Check the compose file, because tests cannot start it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docker-compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, Any] = COMPOSE["services"]
AIRFLOW = ("api-server", "scheduler", "dag-processor", "triggerer", "airflow-worker")
EXAMPLE = (ROOT / ".env.example").read_text()


def test_the_services() -> None:
    assert set(SERVICES) == {"postgres", "redis", "init", "sandbox", *AIRFLOW}
    assert [name for name in SERVICES if SERVICES[name].get("profiles")] == ["sandbox"]


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "init"])
def test_each_has_a_health_check(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]


@pytest.mark.parametrize("name", AIRFLOW)
def test_airflow_waits_for_the_database_and_its_migration(name: str) -> None:
    waits = {service: how["condition"] for service, how in SERVICES[name]["depends_on"].items()}
    assert waits["postgres"] == "service_healthy"
    assert waits["init"] == "service_completed_successfully"


def test_workers_can_be_many() -> None:
    worker = SERVICES["airflow-worker"]
    assert not {"container_name", "ports", "hostname"} & set(worker)
    environment = worker["environment"]
    assert environment["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"
    assert environment["AIRFLOW__CELERY__BROKER_URL"].endswith("@redis:6379/0")
    # no file inside one container: tasks that land and tasks that flatten may run on different machines
    assert not [volume for volume in worker["volumes"] if "lake" in volume or "landing" in volume]


@pytest.mark.parametrize("name", AIRFLOW)
def test_what_ends_is_started_again(name: str) -> None:
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", [*AIRFLOW, "init"])
def test_airflow_has_what_every_process_needs(name: str) -> None:
    environment = SERVICES[name]["environment"]
    assert environment["PYTHONPATH"] == "/opt/airflow/include:/opt/airflow/plugins"
    needed = ("API_AUTH__JWT_SECRET", "API__SECRET_KEY", "CORE__FERNET_KEY", "CORE__EXECUTION_API_SERVER_URL")
    assert all(environment[f"AIRFLOW__{setting}"] for setting in needed)


def test_the_ledger_is_not_in_airflows_database() -> None:
    environment = SERVICES["scheduler"]["environment"]
    ledger = environment["PISMO_LEDGER_URL"].rsplit("/", 1)[1]
    assert ledger != environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].rsplit("/", 1)[1]
    assert f"CREATE DATABASE {ledger} " in (ROOT / "scripts" / "postgres" / "10-ledger.sh").read_text()


def test_volumes_are_declared() -> None:
    used = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", ())}
    assert {name for name in used if not name.startswith(".")} == set(COMPOSE["volumes"])
    assert [name for name in used if name.startswith(".") and not (ROOT / name).exists()] == []


def test_secrets_come_from_the_env_file_alone() -> None:
    for name, value in SERVICES["init"]["environment"].items():
        if re.search(r"PASSWORD$|SECRET|FERNET|AIRFLOW_CONN", name):
            assert str(value).startswith("${"), name


def test_the_example_names_every_variable_and_no_other() -> None:
    # $$ is a dollar for the container's own shell
    wanted = set(re.findall(r"(?<!\$)\$\{([A-Z0-9_]+)", TEXT))
    assert wanted == set(re.findall(r"^(?:# )?([A-Z0-9_]+)=", EXAMPLE, re.MULTILINE))


def test_the_example_holds_no_secret() -> None:
    secrets = dict(re.findall(r"^([A-Z0-9_]*(?:PASSWORD|SECRET|KEY)[A-Z0-9_]*)=(.*)$", EXAMPLE, re.MULTILINE))
    assert set(secrets.values()) == {""}


def test_the_image_is_of_the_locked_airflow() -> None:
    (version,) = re.findall(r"^FROM apache/airflow:(\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert f"apache-airflow=={version}\n" in (ROOT / "constraints.txt").read_text()


def test_what_the_image_copies_is_sent_to_the_build() -> None:
    sent = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    copies = re.findall(r"^COPY (?:--chown=\S+ )?(.*) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    copied = {name for line in copies for name in line.split()}
    assert copied == sent
    assert [name for name in copied if not (ROOT / name).exists()] == []
