"""Make backfills in a running Airflow, as the button of its UI does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tests.waiting import PATIENCE

from pismo_demo.airflow_api import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from pismo_demo.airflow_api import AirflowApi

_CONFLICT = 409


def make_backfill(api: AirflowApi, dag_id: str, first: datetime, last: datetime, at_once: int) -> None:
    """Make a backfill that also runs again what is over, and unpause its DAG.

    On SQLite the scheduler may write between two steps of Airflow's making, which leaves half a backfill. Its runs
    would never start, and Airflow would refuse another backfill of the DAG for ever. So each attempt ends the
    backfills before it: their runs are over, or they are such halves.

    The DAG is paused meanwhile: Airflow's scheduler ends if a run of a backfill that is cancelled disappears while
    it makes the tasks of the run.
    """
    body: dict[str, Any] = {"dag_id": dag_id, "from_date": first.isoformat(), "to_date": last.isoformat()}
    body |= {"max_active_runs": at_once, "reprocess_behavior": "completed"}
    pause(api, dag_id, paused=True)
    ask_again(lambda: _make_alone(api, dag_id, body), but=_CONFLICT)
    pause(api, dag_id, paused=False)


def list_backfilled(api: AirflowApi, dag_id: str) -> dict[str, str]:
    """Return the state of each backfilled run by its logical date."""
    found = api._get(f"/dags/{dag_id}/dagRuns?run_type=backfill&limit=100")["dag_runs"]
    return {run["logical_date"]: run["state"] for run in found}


def pause(api: AirflowApi, dag_id: str, *, paused: bool) -> None:
    """Pause or unpause a DAG."""
    ask_again(lambda: _call(api, "PATCH", f"dags/{dag_id}", {"is_paused": paused}))


def trigger(api: AirflowApi, dag_id: str, conf: dict[str, Any]) -> None:
    """Make a run without a logical date."""
    ask_again(lambda: _call(api, "POST", f"dags/{dag_id}/dagRuns", {"logical_date": None, "conf": conf}))


def remove_run(api: AirflowApi, dag_id: str, run_id: str) -> None:
    """Remove a run that is over."""
    ask_again(lambda: _call(api, "DELETE", f"dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"))


def ask_again(ask: Callable[[], object], but: int | None = None) -> None:
    """Ask Airflow until it answers: it, or its SQLite, may be busy.

    Args:
        ask: the question.
        but: another status of HTTP after which to ask again.
    """
    end = time.monotonic() + PATIENCE
    while True:
        try:
            ask()
        except ApiError as error:
            if not (error.passing or error.status == but) or time.monotonic() > end:
                raise
            time.sleep(1)
        else:
            return


def _make_alone(api: AirflowApi, dag_id: str, body: dict[str, Any]) -> None:
    for found in api._get(f"/backfills?dag_id={dag_id}")["backfills"]:
        if found["completed_at"] is None:
            # it may also end by itself just now: Airflow answers _CONFLICT
            _call(api, "PUT", f"backfills/{found['id']}/cancel")
    _call(api, "POST", "backfills", body)


def _call(api: AirflowApi, method: str, path: str, body: object = None) -> Any:
    return api._call(method, f"/api/v2/{path}", body, token=api._login())
