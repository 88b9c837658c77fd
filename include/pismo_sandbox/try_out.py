"""Run a starter project once against the look-alike: `python -m pismo_sandbox try DIR`.

Everything that it makes is in `DIR/sandbox`. Airflow and the lake are used only by their command lines.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING

from pismo_sandbox.check.truth import Truth
from pismo_sandbox.check.verify import Verification, verify
from pismo_sandbox.feed.events import ORGANISATION
from pismo_sandbox.feed.publisher import Dials, Publisher, S3Sink

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_DELIVERY = "pismo_sandbox"
_FOREIGN = ("AIRFLOW", "AWS_", "PISMO_")
_BYTES = 1_000_000
_SHOWN = 25


class TryError(Exception):
    """The project cannot be tried, or a step failed."""


def try_project(project: Path) -> Verification:
    """Publish an hour of events, run the ingest DAG of a project, and compare the lake with the events.

    Raises:
        TryError: something is missing, or Airflow failed.
    """
    home = project / "sandbox"
    _check(project, home)
    from pismo_sandbox.s3.server import running_sandbox

    home.mkdir()
    with running_sandbox() as sandbox, Truth(home / "truth.db") as truth:
        print(f"1. The simulated Pismo publishes an hour of events at {sandbox.endpoint}.", flush=True)
        end = datetime.now(UTC)
        sink = S3Sink(sandbox.admin("s3"), sandbox.policy.bucket)
        Publisher(sink, truth, seed=7, dials=Dials.everything()).publish(end - timedelta(hours=1), end, _BYTES)
        environment = _environment(project, home, sandbox.endpoint)
        print("2. Airflow makes its database.", flush=True)
        _run("db", "migrate", environment=environment, log=home / "migrate.log")
        print(f"3. Airflow runs the DAG pismo_ingest_{_DELIVERY} once.", flush=True)
        _run("dags", "test", f"pismo_ingest_{_DELIVERY}", environment=environment, log=home / "run.log")
        print(f"4. The lake in {home / 'lake'} is compared with the published events.", flush=True)
        return verify(home / "lake", truth)


def _check(project: Path, home: Path) -> None:
    if not (project / "dags").is_dir() or not (project / "config" / "deliveries.yaml").is_file():
        msg = f"{project} has no dags/ and config/deliveries.yaml: make a project with  pismo-lake init {project}"
        raise TryError(msg)
    if home.exists():
        msg = f"{home} has the lake of an earlier try: remove or rename it first"
        raise TryError(msg)
    missing = [name for name in ("airflow", "moto", "psutil") if find_spec(name) is None]
    if missing:
        msg = f"{', '.join(missing)} is missing: install the wheel with its extra sandbox"
        raise TryError(msg)


def _environment(project: Path, home: Path, endpoint: str) -> dict[str, str]:
    """Return the caller's environment without other Airflows, AWS and deliveries, plus the try's own."""
    from pismo_sandbox.s3.server import ACCOUNT, CONSUMER_KEY, CONSUMER_SECRET, REGION

    connection = {"conn_type": "aws", "login": CONSUMER_KEY, "password": CONSUMER_SECRET}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return kept | {
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(project / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        f"AIRFLOW_CONN_{_DELIVERY.upper()}": json.dumps(connection),
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
        "PISMO_ACCOUNT_ID": ACCOUNT,
        "PISMO_DELIVERIES": str(project / "config" / "deliveries.yaml"),
        "PISMO_ENDPOINT_URL": endpoint,
        "PISMO_LAKE": str(home / "lake"),
        "PISMO_LANDING": str(home / "landing"),
        "PISMO_LEDGER_URL": f"sqlite:///{home / 'ledger.db'}",
        "PISMO_ORGANISATION": ORGANISATION,
        "PISMO_REGION": REGION,
    }


def _run(*words: str, environment: Mapping[str, str], log: Path) -> None:
    with log.open("w") as output:
        command = [sys.executable, "-m", "airflow", *words]
        done = subprocess.run(command, env=environment, stdout=output, stderr=output, check=False)  # noqa: S603
    if done.returncode:
        end = "\n".join(log.read_text(errors="replace").splitlines()[-_SHOWN:])
        msg = f"airflow {' '.join(words)} failed. The end of {log}:\n{end}"
        raise TryError(msg)
