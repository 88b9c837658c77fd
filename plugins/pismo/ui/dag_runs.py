"""Ask Airflow about a DAG that a person wants to run, and start the run.

Airflow promises nothing about these modules, so they are imported only here and in `rights`, and tests run each of
them. They are imported in functions: they take long to load, and only an api-server needs them.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pismo_lake.errors import ParamsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.api_fastapi.auth.managers.models.base_user import BaseUser


@dataclass(frozen=True, slots=True)
class DagToRun:
    """A DAG as Airflow knows it: its Params as (value, JSON schema), and the runs that are active and allowed."""

    dag_id: str
    description: str
    paused: bool
    active: int
    most_active: int
    params: Mapping[str, tuple[Any, Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class StartedRun:
    """A run as Airflow knows it: its state, its Params, and the times of its start and end, if it has any."""

    run_id: str
    state: str
    conf: Mapping[str, Any]
    started_at: str | None
    ended_at: str | None

    @property
    def is_active(self) -> bool:
        """Return whether the run waits or works."""
        return self.state in {"queued", "running"}


class _FromPage:
    """The request that Airflow's function sees: it looks for a referer to tell its own pages from its API."""

    headers = {"referer": "Pismo lake"}  # noqa: RUF012 - the form of a request


def find_dag(dag_id: str) -> DagToRun | None:
    """Return a DAG by its id; None if Airflow has none of this id."""
    from airflow.models.dag import DagModel
    from airflow.models.dagbag import DBDagBag
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState
    from sqlalchemy import func, select

    with create_session() as session:
        model = session.scalar(select(DagModel).where(~DagModel.is_stale, DagModel.dag_id == dag_id))
        dag = DBDagBag(load_op_links=False).get_latest_version_of_dag(dag_id, session=session)
        if model is None or dag is None:
            return None
        running = select(func.count()).where(DagRun.dag_id == dag_id, DagRun.state == DagRunState.RUNNING)
        params = {name: (param.value, param.schema) for name, param in dag.params.items()}
        return DagToRun(
            dag_id, dag.description or "", bool(model.is_paused), session.scalar(running) or 0,
            model.max_active_runs or 0, params,
        )  # fmt: skip


def new_run_id() -> str:
    """Return the id of a manual run, which no other run has."""
    return f"manual__{datetime.now(UTC).isoformat()}_{secrets.token_hex(4)}"


def check_params(dag: DagToRun, conf: Mapping[str, Any]) -> dict[str, Any]:
    """Return all Params of a run, as the DAG accepts them.

    Raises:
        ParamsError: the DAG does not accept a value; the message is one sentence.
    """
    from airflow.exceptions import ParamValidationError
    from airflow.serialization.definitions.param import SerializedParam, SerializedParamsDict

    own = SerializedParamsDict({name: SerializedParam(value, **schema) for name, (value, schema) in dag.params.items()})
    try:
        return own.deep_merge(conf).validate()
    except ParamValidationError as error:
        # the lines after the first repeat the schema
        raise ParamsError(str(error).splitlines()[0]) from None


def start_run(dag_id: str, user: BaseUser, run_id: str, conf: dict[str, Any]) -> None:
    """Start a manual run, as Airflow's own API does; if the run exists already, do nothing.

    Raises:
        ParamsError: Airflow does not start the run.
    """
    from airflow.api_fastapi.core_api.datamodels.dag_run import TriggerDAGRunPostBody
    from airflow.api_fastapi.core_api.routes.public.dag_run import trigger_dag_run
    from airflow.models.dagbag import DBDagBag
    from airflow.models.log import Log
    from airflow.utils.session import create_session
    from fastapi import HTTPException
    from sqlalchemy.exc import IntegrityError

    name = user.get_name()
    note = f"Started by {name} on the page Pismo lake."
    body = TriggerDAGRunPostBody(dag_run_id=run_id, logical_date=None, conf=conf, note=note)
    if run_exists(dag_id, run_id):
        return
    try:
        with create_session() as session:
            request: Any = _FromPage()
            trigger_dag_run(dag_id, body, DBDagBag(), user, session, request)
            # the audit log, which Airflow's API writes before it calls the function
            session.add(Log(
                event="trigger_dag_run", task_instance=None, owner=name, owner_display_name=name, dag_id=dag_id,
                run_id=run_id, extra=json.dumps({"conf": conf, "page": "Pismo lake"}),
            ))  # fmt: skip
    except HTTPException as error:
        raise ParamsError(str(error.detail).splitlines()[0]) from None
    except IntegrityError:
        # the button was pressed twice at the same time: the other request has made this run
        if not run_exists(dag_id, run_id):
            raise


def run_exists(dag_id: str, run_id: str) -> bool:
    """Return whether Airflow has a run."""
    return find_started(dag_id, run_id) is not None


def find_started(dag_id: str, run_id: str) -> StartedRun | None:
    """Return a run by its id; None if Airflow has none of this id."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session

    with create_session() as session:
        for run in DagRun.find(dag_id=dag_id, run_id=run_id, session=session):
            start, end = (moment.isoformat() if moment else None for moment in (run.start_date, run.end_date))
            return StartedRun(run_id, str(run.state), dict(run.conf or {}), start, end)
    return None
