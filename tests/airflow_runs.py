"""Run DAGs with `dag.test` in homes of a test's own.

All homes have copies of one migrated database, and one process does all runs of a home.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.waiting import PATIENCE

from pismo_demo.ingestion import FOR_THE_REST

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).resolve().parents[1]
RUNNER = [sys.executable, str(Path(__file__).parent / "integration" / "dag_runner.py"), str(ROOT / "dags")]
"""The command that takes lines which ask for runs."""
DATABASE = "airflow.db"
RETRIED_SOON = """\
from datetime import timedelta


def task_policy(task):
    if task.retries:
        task.retry_delay, task.retries = timedelta(seconds={seconds}), 8
"""
"""A cluster policy: the first retries come sooner, the last one as late as in production."""


def migrated_database(folder: Path) -> Path:
    """Return a migrated database of Airflow, made once in a folder that processes share."""
    template = folder / "migrated-airflow"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "migrated-airflow.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not template.exists():
            fresh = template.with_suffix(".new")
            shutil.rmtree(fresh, ignore_errors=True)
            environment = airflow_environment(fresh)
            command = [sys.executable, "-m", "airflow", "db", "migrate"]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
            fresh.rename(template)
    return template / DATABASE


def airflow_home(home: Path, database: Path) -> dict[str, str]:
    """Make a home with a copy of a migrated database, and return its environment."""
    home.mkdir(parents=True)
    shutil.copyfile(database, home / DATABASE)
    return airflow_environment(home)


def retry_soon(home: Path, seconds: int = 1) -> None:
    """Let the tasks of an Airflow home be retried after a second, not after half a minute."""
    (home / "config").mkdir(exist_ok=True)
    (home / "config" / "airflow_local_settings.py").write_text(RETRIED_SOON.format(seconds=seconds))


def airflow_environment(home: Path) -> dict[str, str]:
    """Return an environment for an Airflow home with the checkout's DAGs, not the caller's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PISMO_"))}
    return kept | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        # its provider is installed for the tests of lineage, and listens to every task
        "AIRFLOW__OPENLINEAGE__DISABLED": "true",
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "PYTHONPATH": f"{ROOT / 'include'}{os.pathsep}{ROOT / 'plugins'}",
    }


@dataclass(frozen=True, slots=True)
class DagRun:
    """The state of a run, the states of its tasks as ``task[map index]``, and its whole output."""

    state: str
    tasks: dict[str, str]
    log: str

    def failed_tasks(self) -> dict[str, str]:
        """Return the tasks of an ingest that did not succeed; those for the rest may have nothing to do."""
        return {
            task: state
            for task, state in self.tasks.items()
            if state != "success" and not (state == "skipped" and task.split("[")[0] in FOR_THE_REST)
        }


class DagRuns:
    """A process that runs DAGs with `dag.test` when it is asked to."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, dag_id: str, conf: Mapping[str, Any], days_ago: float = 0) -> DagRun:
        """Run a DAG to its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([dag_id, conf, days_ago]), file=self._process.stdin, flush=True)
        log = []
        # a run that hangs ends with its process
        hangs = threading.Timer(PATIENCE, self._process.kill)
        hangs.start()
        try:
            for line in self._process.stdout:
                if line.startswith("RESULT "):
                    found = json.loads(Path(line.removeprefix("RESULT ").strip()).read_text())
                    return DagRun(found["state"], found["tasks"], "".join(log))
                log.append(line)
        finally:
            hangs.cancel()
        raise AssertionError("".join(log)[-6000:])


@contextmanager
def dag_runs(environment: Mapping[str, str], folder: Path) -> Iterator[DagRuns]:
    """Run DAGs in the home that an environment names, with a folder as the current one."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(RUNNER, env=dict(environment), cwd=folder, text=True, **pipes) as process:  # type: ignore[call-overload]
        try:
            yield DagRuns(process)
        finally:
            # its last output is read, so it cannot wait for a reader
            process.communicate()
    assert process.returncode == 0
