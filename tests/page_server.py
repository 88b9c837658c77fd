"""Serve the pages without Airflow's login, for a browser: of a lake of the tests, at a fixed time.

python -m tests.page_server <deliveries file> <port>
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import uvicorn
from fastapi import FastAPI
from tests.page_lake import NOW

from pismo.dags import build_dags
from pismo.ui import dag_runs, rights
from pismo.ui.app import make_app
from pismo.ui.dag_runs import DagToRun, StartedRun
from pismo.ui.pages import Pages
from pismo.ui.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable


class Somebody:
    """A user who may read and run every DAG."""

    def get_id(self) -> str:
        return "1"

    def get_name(self) -> str:
        return "somebody"


def page_app(deliveries: str) -> FastAPI:
    """Return Airflow's place with the pages below it, open to everybody."""
    app = make_app(pages=Pages(Reader(deliveries), clock=lambda: NOW))
    app.dependency_overrides[rights.get_user] = Somebody
    outer = FastAPI()
    outer.mount("/pismo", app)
    return outer


def known_dags(deliveries: str) -> Callable[[str], DagToRun | None]:
    """Return a function that finds the DAGs of a deliveries file, as Airflow does in its database."""
    dags = build_dags(deliveries)

    def find(dag_id: str) -> DagToRun | None:
        dag = dags.get(dag_id)
        if dag is None:
            return None
        params = {name: (param.value, param.schema) for name, param in dag.params.items()}
        return DagToRun(dag_id, dag.description or "", False, 0, dag.max_active_runs, params)

    return find


def a_run(dag_id: str, run_id: str) -> StartedRun:
    """Return a run that closes a publish day at this moment."""
    return StartedRun(run_id, "running", {"publish_day": "2026-03-04"}, "2026-03-05T10:19:00+00:00", None)


def allow_everything(deliveries: str) -> None:
    """Let everybody read and run every DAG, without Airflow's database."""
    permit: Any = lambda *_: True  # noqa: E731
    rights.may_read_dag = rights.may_start_runs = permit
    dag_runs.find_dag, dag_runs.find_started = known_dags(deliveries), a_run


if __name__ == "__main__":
    allow_everything(sys.argv[1])
    uvicorn.run(page_app(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
