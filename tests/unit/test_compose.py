"""Check the compose file, because tests cannot start it."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from pismo_lake.settings.deliveries import Delivery, load_deliveries

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docker-compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, Any] = COMPOSE["services"]
AIRFLOW = ("api-server", "scheduler", "dag-processor", "triggerer", "airflow-worker")
EXAMPLE = (ROOT / ".env.example").read_text()
CONNECTIONS = (ROOT / "connections.env.example").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
WITH_THE_IMAGE = [*AIRFLOW, "init", "airflow-cli"]


def test_the_services() -> None:
    assert set(SERVICES) == {"postgres", "redis", "init", "airflow-cli", "sandbox", *AIRFLOW}
    profiles = {name: SERVICES[name]["profiles"] for name in SERVICES if SERVICES[name].get("profiles")}
    assert profiles == {"airflow-cli": ["debug"], "sandbox": ["sandbox"]}


@pytest.mark.parametrize("name", [name for name in SERVICES if name not in {"init", "airflow-cli"}])
def test_each_has_a_health_check(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]


@pytest.mark.parametrize("name", [*AIRFLOW, "airflow-cli"])
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


def test_a_command_by_hand_is_not_started_again() -> None:
    by_hand = SERVICES["airflow-cli"]
    assert by_hand["restart"] == "no"
    assert by_hand["environment"] == SERVICES["scheduler"]["environment"]


@pytest.mark.parametrize("name", WITH_THE_IMAGE)
def test_airflow_has_what_every_process_needs(name: str) -> None:
    environment = SERVICES[name]["environment"]
    assert "PYTHONPATH" not in environment  # the wheel is installed
    needed = ("API_AUTH__JWT_SECRET", "API__SECRET_KEY", "CORE__FERNET_KEY", "CORE__EXECUTION_API_SERVER_URL")
    assert all(environment[f"AIRFLOW__{setting}"] for setting in needed)


def test_the_ledger_is_not_in_airflows_database() -> None:
    environment = SERVICES["scheduler"]["environment"]
    ledger = environment["PISMO_LEDGER_URL"].rsplit("/", 1)[1]
    assert ledger != environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].rsplit("/", 1)[1]
    assert f"CREATE DATABASE {ledger} " in (ROOT / "scripts" / "postgres" / "10-ledger.sh").read_text()


def mounted(name: str) -> dict[str, str]:
    """Return the mounts of a service by their place in the container, with the defaults of variables."""
    volumes = [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", volume) for volume in SERVICES[name].get("volumes", ())]
    return {volume.split(":")[1]: volume.split(":")[0] for volume in volumes}


def test_volumes_are_declared() -> None:
    used = {source for name in SERVICES for source in mounted(name).values()}
    assert {name for name in used if not name.startswith(".")} == set(COMPOSE["volumes"])
    assert [name for name in used if name.startswith(".") and not (ROOT / name).exists()] == []


@pytest.mark.parametrize("name", WITH_THE_IMAGE)
def test_deliveries_are_mounted_and_not_part_of_the_image(name: str) -> None:
    folder, file = SERVICES[name]["environment"]["PISMO_DELIVERIES"].rsplit("/", 1)
    assert (ROOT / mounted(name)[folder] / file).is_file()
    assert next(volume for volume in SERVICES[name]["volumes"] if f":{folder}" in volume).endswith(":ro")
    assert folder not in re.findall(r"^COPY .* (\S+)$", DOCKERFILE, re.MULTILINE)


def test_init_makes_the_pools_that_deliveries_name() -> None:
    steps = SERVICES["init"]["command"][0].splitlines()
    assert steps[-1] == 'airflow pools import "$$(dirname "$$PISMO_DELIVERIES")/pools.json"'
    made = json.loads((ROOT / "config" / "pools.json").read_text())
    # Airflow leaves out a pool without one of these
    assert all(isinstance(pool["slots"], int) and pool["description"] for pool in made.values())
    deliveries = [each for path in (ROOT / "config").rglob("*.yaml") for each in load_deliveries(path)]
    named = {each.pool for each in deliveries if isinstance(each, Delivery)}
    assert "pismo_sftp" in named
    assert named - {"default_pool"} == made.keys()


def test_logs_outlive_containers_and_can_be_in_a_bucket() -> None:
    environment = SERVICES["airflow-worker"]["environment"]
    assert mounted("airflow-worker")["/opt/airflow/logs"] == "logs"
    assert environment["AIRFLOW__LOGGING__REMOTE_LOGGING"] == "${REMOTE_LOGGING:-False}"
    assert environment["AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER"] == "${REMOTE_LOGS:-}"
    assert environment["AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID"] == environment["PISMO_STORAGE_CONN_ID"]


def test_any_number_of_connections_comes_from_one_file() -> None:
    for name in WITH_THE_IMAGE:
        # raw: JSON is taken as it is, also with quotes and dollars
        assert SERVICES[name]["env_file"] == [{"path": "connections.env", "format": "raw"}]
        assert [variable for variable in SERVICES[name]["environment"] if variable.startswith("AIRFLOW_CONN_")] == []


def test_the_example_of_connections_has_those_that_are_read() -> None:
    given = dict(re.findall(r"^AIRFLOW_CONN_(\w+)=(.*)$", CONNECTIONS, re.MULTILINE))
    (delivery,) = load_deliveries(ROOT / "config" / "deliveries.yaml")
    assert isinstance(delivery, Delivery)
    read = {delivery.conn_id, SERVICES["scheduler"]["environment"]["PISMO_STORAGE_CONN_ID"]}
    assert {name.lower() for name in given} == read
    others = re.findall(r"^# AIRFLOW_CONN_\w+=(.*)$", CONNECTIONS, re.MULTILINE)
    assert all(json.loads(value)["conn_type"] for value in [*given.values(), *others])
    # only the look-alike's own keys, which open nothing else
    assert not re.search("password|login|private_key", "".join(given.values()))
    assert set(re.findall(r'"password":"([^"]*)"', CONNECTIONS)) == {"sandbox-consumer-secret-not-a-real-one"}


def test_files_with_secrets_are_never_committed() -> None:
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {".env", "connections.env"} <= set(ignored)


def test_secrets_come_from_the_env_files_alone() -> None:
    for name, value in SERVICES["init"]["environment"].items():
        if re.search(r"PASSWORD$|SECRET|FERNET", name):
            assert str(value).startswith("${"), name


def test_the_example_names_every_variable_and_no_other() -> None:
    # $$ is a dollar for the container's own shell
    wanted = set(re.findall(r"(?<!\$)\$\{([A-Z0-9_]+)", TEXT))
    assert wanted == set(re.findall(r"^(?:# )?([A-Z0-9_]+)=", EXAMPLE, re.MULTILINE))


def test_the_example_holds_no_secret() -> None:
    secrets = dict(re.findall(r"^([A-Z0-9_]*(?:PASSWORD|SECRET|KEY)[A-Z0-9_]*)=(.*)$", EXAMPLE, re.MULTILINE))
    assert set(secrets.values()) == {""}


def test_the_image_is_of_the_locked_airflow() -> None:
    (version,) = re.findall(r"^FROM apache/airflow:(\S+) AS airflow$", DOCKERFILE, re.MULTILINE)
    assert f"apache-airflow=={version}\n" in (ROOT / "constraints.txt").read_text()


def stages() -> dict[str, tuple[str, str]]:
    """Return the stages of the Dockerfile by name: the image that each begins with, and its lines."""
    parts = re.split(r"^FROM (\S+)(?: AS (\S+))?$", DOCKERFILE, flags=re.MULTILINE)[1:]
    return {parts[n + 1] or "": (parts[n], parts[n + 2].replace("\\\n", "")) for n in range(0, len(parts), 3)}


def test_the_wheel_is_built_in_a_stage_of_its_own() -> None:
    found = stages()
    assert {name: base for name, (base, _) in found.items() if name != "airflow"} == {
        "build": "airflow", "lake": "airflow", "sandbox": "lake", "": "lake",
    }  # fmt: skip
    assert "hatchling build --target wheel --directory /tmp/dist" in found["build"][1]
    assert "--mount=type=bind,from=build,source=/tmp/dist,target=/tmp/dist" in found["lake"][1]
    assert re.findall(r"^COPY (?:--\S+ )?(.*) \S+$", found["lake"][1], re.MULTILINE) == [
        "requirements.txt constraints.txt", "dags",
    ]  # fmt: skip


def test_everything_installed_is_at_the_locked_version() -> None:
    installs = re.findall(r"pip install (.*)", DOCKERFILE.replace("\\\n", ""))
    assert len(installs) == 4
    assert [line for line in installs if not re.search(r"-c \S+/constraints\.txt$", line)] == []


def test_the_image_runs_as_airflows_user() -> None:
    # the official image's user; nothing here needs another one
    assert re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE) == ["airflow"]
    assert [name for name in SERVICES if "user" in SERVICES[name]] == []


def test_the_extras_of_the_build_are_the_wheels() -> None:
    project = (ROOT / "pyproject.toml").read_text().partition("[project.optional-dependencies]")[2]
    extras = set(re.findall(r"^(\w+) = \[", project.partition("\n[")[0], re.MULTILINE))
    (default,) = re.findall(r"^ARG EXTRAS=(.*)$", DOCKERFILE, re.MULTILINE)
    assert SERVICES["init"]["build"]["args"] == SERVICES["sandbox"]["build"]["args"]
    assert SERVICES["init"]["build"]["args"]["EXTRAS"] == f"${{PISMO_EXTRAS:-{default}}}"
    (offered,) = re.findall(r"extras of the wheel for a build here: (\S+)", EXAMPLE)
    assert {default, *offered.split(",")} <= extras


def test_the_image_has_what_commands_call() -> None:
    locked = (ROOT / "constraints.txt").read_text()
    (packages,) = re.findall(r"-r \S+ (apache-airflow-providers-celery .*) -c", stages()["lake"][1])
    assert [name for name in packages.split() if f"\n{name}==" not in locked] == []
    # Airflow's own programs, Python, and those of the image
    known = {"airflow", "api-server", "scheduler", "celery", "dag-processor", "triggerer", "bash", "python", "curl"}
    for name in WITH_THE_IMAGE:
        command = SERVICES[name]["command"]
        words = shlex.split(command) if isinstance(command, str) else [*SERVICES[name].get("entrypoint", ()), *command]
        assert words[0].removeprefix("/bin/") in known
    modules = set(re.findall(r"python -m (\w+)", SERVICES["init"]["command"][0])) | {
        SERVICES["sandbox"]["entrypoint"][2]
    }
    packed = (ROOT / "pyproject.toml").read_text().partition("[tool.hatch.build.targets.wheel]")[2].partition("\n[")[0]
    assert modules == {"pismo_lake", "pismo_sandbox"}
    assert all(f'/{module}"' in packed for module in modules)


def test_what_the_image_copies_is_sent_to_the_build() -> None:
    sent = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    copies = re.findall(r"^COPY (?:--chown=\S+ )?(.*) \S+$", DOCKERFILE, re.MULTILINE)
    copied = {name for line in copies for name in line.split()}
    assert copied == sent
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_the_files_of_the_build_stage_make_the_wheel(tmp_path: Path) -> None:
    for line in re.findall(r"^COPY (.*)$", stages()["build"][1], re.MULTILINE):
        *names, target = line.split()
        for name in names:
            place = tmp_path / target.removeprefix("/src").strip("/")
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                place.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, place)
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path / "dist")]
    subprocess.run(build, cwd=tmp_path, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert {"pismo", "pismo_lake", "pismo_sandbox"} <= {name.split("/")[0] for name in archive.namelist()}
        assert "pismo_lake/settings/deliveries.schema.json" in archive.namelist()
