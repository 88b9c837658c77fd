"""Run the services of docker-compose.yaml as processes: the same commands and environment.

Addresses replace the names of containers, and folders of a test replace the folders of containers. Nothing else
differs.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from pismo_demo.airflow_home import plain_environment

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[1]
_VARIABLE = re.compile(r"(?<!\$)\$\{([A-Z0-9_]+)(?::([-?])([^}]*))?\}")


class Composed:
    """A compose file with the values of its two env files, read for this machine."""

    def __init__(self, values: Mapping[str, str], moved: Mapping[str, str]) -> None:
        self._values, self._moved = values, moved
        self._services: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())["services"]

    def environment(self, service: str) -> dict[str, str]:
        """Return the environment of a service's processes."""
        given = self._services[service].get("environment", {})
        shell = plain_environment(os.environ) | {"AWS_EC2_METADATA_DISABLED": "true"}
        listed = self._connections() if "env_file" in self._services[service] else {}
        return shell | listed | {name: self._here(str(value)) for name, value in given.items()}

    def _connections(self) -> dict[str, str]:
        """Return the variables that a person writes to connections.env."""
        return {name: value for name, value in self._values.items() if name.startswith("AIRFLOW_CONN_")}

    def command(self, service: str) -> list[str]:
        """Return the command of a service: words for Airflow's entry point, or its own command."""
        said, entry = self._services[service]["command"], self._services[service].get("entrypoint", [])
        if isinstance(said, str):
            return [sys.executable, "-m", "airflow", *shlex.split(said)]
        return [*entry, *(self._here(str(word)) for word in said)]

    def _here(self, text: str) -> str:
        for name, place in self._moved.items():
            text = text.replace(name, place)
        return _VARIABLE.sub(self._value, text).replace("$$", "$")

    def _value(self, found: re.Match[str]) -> str:
        name, kind, rest = found.groups()
        if self._values.get(name):
            return self._values[name]
        if kind == "-":
            return str(rest)
        msg = f"{name} is not given"
        raise KeyError(msg)
