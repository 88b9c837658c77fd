"""Start the look-alike and Airflow, and wait until they are ready."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pismo_demo.airflow_api import AirflowApi
from pismo_demo.airflow_home import USER, Secrets, airflow_environment, make_home, plain_environment
from pismo_demo.errors import DemoError, PortTakenError
from pismo_demo.processes import Notes, Started, alive, start

if TYPE_CHECKING:
    from collections.abc import Callable

    from pismo_demo.channels import Feed, Server
    from pismo_demo.options import Options
    from pismo_demo.ports import Ports

_TAIL = 30
# long enough for a slow machine; if the process ends, the wait ends at once
_STILL_SECONDS = 300.0
# a process that answers logs each question, so its log shows progress only before
_SILENT = (["api-server"], ["its address"])


@dataclass(frozen=True, slots=True)
class Places:
    """The paths of the demo's files."""

    home: Path

    @property
    def lake(self) -> Path:
        """The Parquet files."""
        return self.home / "lake"

    @property
    def landing(self) -> Path:
        """The raw files and their indexes."""
        return self.home / "landing"

    @property
    def catalog(self) -> Path:
        """The catalog of the tables, if the lake has any."""
        return self.home / "ledger-catalog.db"

    @property
    def truth(self) -> Path:
        """The published events."""
        return self.home / "truth.db"

    @property
    def settings(self) -> Path:
        """The settings of the lake, for the command line."""
        return self.home / "env"

    def name_lake(self) -> dict[str, str]:
        """Return the variables that name lake, landing and ledger."""
        ledger = f"sqlite:///{self.home}/ledger.db"
        return {"PISMO_LANDING": str(self.landing), "PISMO_LAKE": str(self.lake), "PISMO_LEDGER_URL": ledger}

    @property
    def mails(self) -> Path:
        """The mails that alerts have sent."""
        return self.home / "mails"

    @property
    def logs(self) -> Path:
        """The processes' output."""
        return self.home / "logs"


@dataclass(frozen=True, slots=True)
class AirflowServer:
    """A started Airflow, its address and its login."""

    process: Started
    api: AirflowApi
    address: str
    password: str


def start_sandbox(server: Server, places: Places, notes: Notes, name: str = "sandbox") -> dict[str, str]:
    """Start a look-alike, wait for it, and return its own description."""
    log = places.logs / f"{name}.log"
    started = start(name, list(server.command), plain_environment(os.environ), log, notes)

    def read_place() -> dict[str, str]:
        found = server.up.search(log.read_text(errors="replace"))
        return dict(found.groupdict()) if found else {}

    _wait(f"the {name}", started, lambda: [] if read_place() else ["its address"])
    return read_place()


def start_airflow(options: Options, places: Places, ports: Ports, notes: Notes, feed: Feed) -> AirflowServer:
    """Start Airflow in a new home; it is not up yet."""
    fresh = Secrets.new()
    home = places.home / "airflow"
    make_home(home, fresh)
    variables = {
        f"AIRFLOW_CONN_{name.upper()}": json.dumps(connection) for name, connection in feed.connections.items()
    }
    variables |= feed.variables
    variables |= {
        "PISMO_DELIVERIES": str(feed.deliveries),
        **places.name_lake(),
        # the first scheduled run must see everything that was published
        "PISMO_LOOKBACK_HOURS": str(options.hours + 1),
    }
    environment = airflow_environment(os.environ, home, ports, fresh, variables)
    command = [sys.executable, "-m", "airflow", "standalone"]
    started = start("airflow", command, environment, places.logs / "airflow.log", notes)
    address = f"http://127.0.0.1:{ports.api}"
    return AirflowServer(started, AirflowApi(ports.api, USER, fresh.password), address, fresh.password)


def wait_for_airflow(started: Started, api: AirflowApi) -> None:
    """Wait until all four components are healthy.

    Raises:
        DemoError: Airflow has ended, or made no progress for minutes.
        PortTakenError: they belong to another Airflow.
    """
    _wait("Airflow", started, api.list_unhealthy)
    _wait("Airflow", started, lambda: ["its login"] if api.ours() is None else [])
    if not api.ours():
        msg = "another Airflow took the port that was free a moment ago"
        raise PortTakenError(msg)


def tail(log: str | Path, lines: int = _TAIL) -> str:
    """Return the last lines of a log."""
    try:
        with Path(log).open(errors="replace") as file:
            return "".join(file.readlines()[-lines:]).rstrip()
    except OSError:
        return "(no log)"


def _wait(name: str, started: Started, missing: Callable[[], list[str]], still_seconds: float = _STILL_SECONDS) -> None:
    """Wait until nothing is missing, as long as there is progress: fewer parts are missing, or the log grows."""
    mark: object = None
    until = 0.0
    while left := missing():
        now = (left, Path(started.log).stat().st_size if left in _SILENT else 0)
        if now != mark:
            mark, until = now, time.monotonic() + still_seconds
        gone = not alive(started)
        if gone or time.monotonic() > until:
            why = "ended" if gone else f"made no progress for {still_seconds:.0f} s (missing: {', '.join(left)})"
            msg = f"{name} {why}. The end of {started.log}:\n{tail(started.log)}"
            raise DemoError(msg)
        time.sleep(0.5)
