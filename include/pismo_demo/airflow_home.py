"""Set up an Airflow of the demo's own: its home, its secrets, and its environment."""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pismo_demo.options import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pismo_demo.ports import Ports

USER = "admin"
_FOREIGN = ("AIRFLOW", "AWS_", "PISMO_", "PYTHONHOME", "VIRTUAL_ENV")


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets of a demo home; only the login is ever printed."""

    password: str
    jwt: str
    session: str
    fernet: str

    @classmethod
    def new(cls) -> Secrets:
        """Return new secrets."""
        fernet = base64.urlsafe_b64encode(os.urandom(32)).decode()
        return cls(secrets.token_urlsafe(12), secrets.token_urlsafe(48), secrets.token_urlsafe(48), fernet)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def make_home(home: Path, fresh: Secrets) -> None:
    """Make a new home, with the login in the file of Airflow's simple auth manager."""
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    home.chmod(0o700)
    # if the login exists, Airflow neither makes nor prints one
    write_private(home / "simple_auth_manager_passwords.json.generated", json.dumps({USER: fresh.password}))


def airflow_environment(
    outer: Mapping[str, str], home: Path, ports: Ports, fresh: Secrets, extra: Mapping[str, str]
) -> dict[str, str]:
    """Return Airflow's environment: the caller's without other Airflows and AWS, plus our own."""
    environment = plain_environment(outer)
    address = f"http://127.0.0.1:{ports.api}"
    environment |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        # its provider is installed for tests, and would log every task
        "AIRFLOW__OPENLINEAGE__DISABLED": "true",
        # for a caller who sends metrics or lineage somewhere: a sink that never answers delays a task by seconds only
        "OTEL_EXPORTER_OTLP_TIMEOUT": "3",
        "AIRFLOW__OPENLINEAGE__EXECUTION_TIMEOUT": "5",
        "AIRFLOW__OPENLINEAGE__EXECUTE_IN_THREAD": "True",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
        "AIRFLOW__CORE__FERNET_KEY": fresh.fernet,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
        # else SQLite gives up on a locked database after five seconds
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db?timeout=60",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(ports.api),
        "AIRFLOW__API__BASE_URL": address,
        "AIRFLOW__API__SECRET_KEY": fresh.session,
        "AIRFLOW__API_AUTH__JWT_SECRET": fresh.jwt,
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(ports.worker_log),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(ports.trigger_log),
        "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        # the demo must not use credentials from a profile, a file or a metadata service of the machine
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return environment | dict(extra)


def plain_environment(outer: Mapping[str, str]) -> dict[str, str]:
    """Return the caller's environment without other Airflows and AWS, with this Python first."""
    environment = {name: value for name, value in outer.items() if not name.startswith(_FOREIGN)}
    local = "127.0.0.1,localhost"
    return environment | {
        "PATH": f"{ROOT / '.venv' / 'bin'}{os.pathsep}{outer.get('PATH', os.defpath)}",
        "PYTHONPATH": f"{ROOT / 'include'}{os.pathsep}{ROOT / 'plugins'}",
        "PYTHONUNBUFFERED": "1",
        "NO_PROXY": local,
        "no_proxy": local,
    }
