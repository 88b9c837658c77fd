"""Describe a run with its Params filled in, start it if a person presses the button, and show its state."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse

from pismo.names import CLOSE, DOCTOR, INGEST, REPLAY
from pismo.ui import dag_runs, rights
from pismo.ui.forms import TOKEN, RunRefusedError, make_token, read_token, require_own_origin
from pismo.ui.params import Field, conf_of, fields_of
from pismo.ui.plain_words import describe
from pismo_lake.errors import ParamsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
    from starlette.responses import Response

    from pismo.ui.links import Links
    from pismo.ui.pages import Pages
    from pismo_lake.settings import Delivery

DAG = "dag"
"""The field that names the DAG: *ingest*, *close*, *replay* or *doctor*; all others but the token are Params."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A run that a person asks for: its DAG, the texts of the form, its Params, or why it cannot be started."""

    kind: str
    dag: dag_runs.DagToRun
    fields: tuple[Field, ...]
    texts: Mapping[str, str]
    conf: dict[str, Any]
    sentences: list[str]
    problem: str


class RunPage:
    """The page that starts a run of a delivery's DAG."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def show(self, links: Links, user: BaseUser, name: str, texts: Mapping[str, str]) -> HTMLResponse:
        """Return the page of a run; nothing is started."""
        delivery = self._pages.require(name, user)
        dag_id = _allowed_dag(delivery, user, texts.get(DAG, ""))
        asked = _read(delivery, dag_id, texts)
        return self._page(links, user, delivery, asked, dag_runs.new_run_id())

    def start(
        self, links: Links, user: BaseUser, name: str, texts: Mapping[str, str], headers: Mapping[str, str]
    ) -> Response:
        """Start the run that a form asks for, and lead to its page; a form that is sent twice starts one run.

        That page is one of ours: Airflow shows our pages in a frame, and a frame may not lead its window elsewhere.

        Raises:
            RunRefusedError: the person may not start it, or the form is not from a page of ours.
        """
        delivery = self._pages.require(name, user)
        dag_id = _allowed_dag(delivery, user, texts.get(DAG, ""))
        require_own_origin(headers)
        run_id = read_token(texts.get(TOKEN, ""), str(user.get_id()), dag_id)
        asked = _read(delivery, dag_id, texts)
        if not asked.problem:
            try:
                dag_runs.start_run(dag_id, user, run_id, asked.conf)
            except ParamsError as error:
                return self._page(links, user, delivery, asked, run_id, str(error))
            return RedirectResponse(links.started(name, asked.kind, run_id), 303)
        return self._page(links, user, delivery, asked, run_id)

    def follow(self, links: Links, user: BaseUser, name: str, kind: str, run_id: str) -> str:
        """Return the page that says how far a run is."""
        delivery = self._pages.require(name, user)
        dag_id = _dag_id(delivery, kind)
        if not rights.may_read_dag(dag_id, user):
            raise HTTPException(403)
        dag, run = dag_runs.find_dag(dag_id), dag_runs.find_started(dag_id, run_id)
        if dag is None or run is None:
            raise HTTPException(404, f"Airflow has no run {run_id} of the DAG {dag_id}")
        return self._pages.fill(
            "started.html.j2", links, tab="run", name=delivery.name, delivery=delivery, kind=kind, dag=dag, run=run,
            day=_closed_day(kind, run.conf),
        )  # fmt: skip

    def _page(
        self, links: Links, user: BaseUser, delivery: Delivery, asked: _Asked, run_id: str, problem: str = ""
    ) -> HTMLResponse:  # fmt: skip
        dag_id, problem = asked.dag.dag_id, problem or asked.problem
        command = shlex.join(["airflow", "dags", "trigger", dag_id, "--conf", json.dumps(asked.conf)])
        shown = self._pages.fill(
            "run.html.j2", links, tab="run", name=delivery.name, delivery=delivery, asked=asked, problem=problem,
            command=command, token="" if problem else make_token(str(user.get_id()), dag_id, run_id),
            values={field.name: _shown(field, asked) for field in asked.fields},
        )  # fmt: skip
        return HTMLResponse(shown, 400 if problem else 200)


def _allowed_dag(delivery: Delivery, user: BaseUser, kind: str) -> str:
    """Return the id of a delivery's DAG, if the person may start runs of it."""
    dag_id = _dag_id(delivery, kind)
    if not rights.may_start_runs(dag_id, user):
        raise RunRefusedError(
            f"You may not start runs of the DAG {dag_id}. Ask an administrator of Airflow for that right."
        )
    return dag_id


def _dag_id(delivery: Delivery, kind: str) -> str:
    """Return the id of a delivery's DAG."""
    own = {"ingest": INGEST, "close": CLOSE, "replay": REPLAY}
    if kind not in {*own, "doctor"}:
        raise HTTPException(404, f"dag: give one of {', '.join(own)}, doctor")
    return DOCTOR if kind == "doctor" else f"{own[kind]}{delivery.name}"


def _closed_day(kind: str, conf: Mapping[str, Any]) -> str | None:
    """Return the publish day that a run closes, if its Params name one."""
    return str(conf["publish_day"])[:10] if kind == "close" and conf.get("publish_day") else None


def _read(delivery: Delivery, dag_id: str, texts: Mapping[str, str]) -> _Asked:
    """Return the run of a form, with a sentence if the form is wrong."""
    dag = dag_runs.find_dag(dag_id)
    if dag is None:
        raise HTTPException(404, f"Airflow has no DAG {dag_id}")
    fields = fields_of(dag.params)
    given = {name: text for name, text in texts.items() if name not in {DAG, TOKEN}}
    conf: dict[str, Any] = {}
    sentences: list[str] = []
    problem = ""
    try:
        conf = conf_of(fields, given)
        sentences = describe(texts[DAG], dag_runs.check_params(dag, conf), delivery)
    except ParamsError as error:
        problem = str(error)
    return _Asked(texts[DAG], dag, fields, given, conf, sentences, problem)


def _shown(field: Field, asked: _Asked) -> str:
    """Return the text of a field: the one that was sent, or that of the DAG's own value."""
    return asked.texts.get(field.name, field.text(field.own)) if asked.problem else field.text(
        asked.conf.get(field.name, field.own)
    )  # fmt: skip
