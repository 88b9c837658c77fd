"""Make the few calls of Airflow's REST API that the demo needs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pismo_demo.errors import DemoError

if TYPE_CHECKING:
    from datetime import datetime

_OK, _NO_CONTENT = 300, 204
_UNAUTHORISED, _MISSING, _CONFLICT = 401, 404, 409
_REFUSED = (_UNAUTHORISED, 403)
_BUSY = frozenset({0, 500, 503})
_ANSWER_SECONDS = 120.0
_COMPONENTS = ("metadatabase", "scheduler", "triggerer", "dag_processor")


class ApiError(DemoError):
    """Airflow answered with an error, or did not answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status

    @property
    def passing(self) -> bool:
        """Whether Airflow may answer later, because it, or its SQLite, is busy."""
        return self.status in _BUSY


@dataclass(frozen=True, slots=True)
class TaskInstance:
    """A task of a run; `map_index` is -1 if the task is not mapped, times are ISO 8601."""

    task_id: str
    map_index: int
    state: str
    try_number: int
    label: str | None = None
    started: str | None = None
    ended: str | None = None


class AirflowApi:
    """Calls the api-server on loopback with a token for the user and password."""

    def __init__(self, port: int, user: str, password: str) -> None:
        self._port, self._user, self._password = port, user, password
        self._token: str | None = None

    def list_unhealthy(self) -> list[str]:
        """Return the components that are not up yet; all of them if nothing answers."""
        try:
            answer = self._call("GET", "/api/v2/monitor/health", token=None)
        except ApiError:
            return ["api-server"]
        return [name for name in _COMPONENTS if (answer.get(name) or {}).get("status") != "healthy"]

    def ours(self) -> bool | None:
        """Return whether the Airflow that answers has the demo's password; None if it is too busy.

        Another Airflow refuses the password.
        """
        try:
            self._login()
        except ApiError as error:
            return False if error.status in _REFUSED else None
        return True

    def is_dag_known(self, dag_id: str) -> bool:
        """Return whether the DAG is parsed; False also if Airflow is too busy to answer."""
        try:
            self._get(f"/dags/{quote(dag_id)}")
        except ApiError as error:
            if error.status == _MISSING or error.passing:
                return False
            raise
        return True

    def import_errors(self) -> list[str]:
        """Return the errors that stop DAG files from being parsed."""
        found = self._get("/importErrors")["import_errors"]
        return [f"{error['filename']}: {error['stack_trace'].strip()}" for error in found]

    def unpause(self, dag_id: str) -> None:
        """Let the scheduler run the DAG."""
        self._call("PATCH", f"/api/v2/dags/{quote(dag_id)}", {"is_paused": False}, token=self._login())

    def make_pool(self, name: str, slots: int) -> None:
        """Make a pool, unless there is one; without it, its tasks would never start."""
        try:
            self._call("POST", "/api/v2/pools", {"name": name, "slots": slots}, token=self._login())
        except ApiError as error:
            if error.status != _CONFLICT:
                raise

    def runs(self, dag_id: str) -> list[tuple[str, str]]:
        """Return (run id, state) of the DAG's runs, in the order of their start."""
        found = self._get(f"/dags/{quote(dag_id)}/dagRuns?order_by=run_after&limit=50")["dag_runs"]
        return [(run["dag_run_id"], run["state"]) for run in found]

    def trigger(
        self, dag_id: str, conf: dict[str, Any], logical_date: datetime | None = None, run_id: str | None = None
    ) -> str:
        """Start a run by hand with these Params; return its id, which Airflow chooses if none is given."""
        body = {"logical_date": logical_date and logical_date.isoformat(), "conf": conf, "dag_run_id": run_id}
        answer = self._call("POST", f"/api/v2/dags/{quote(dag_id)}/dagRuns", body, token=self._login())
        return str(answer["dag_run_id"])

    def tasks(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        """Return the run's task instances."""
        path = f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}/taskInstances?limit=1000"
        return [
            TaskInstance(item["task_id"], item["map_index"], item["state"] or "waiting", item["try_number"],
                         item.get("rendered_map_index"), item["start_date"], item["end_date"])
            for item in self._get(path)["task_instances"]
        ]  # fmt: skip

    def log(self, dag_id: str, run_id: str, task: TaskInstance) -> list[str]:
        """Return the log lines of a task's latest try."""
        return [_line(entry) for entry in self._log(dag_id, run_id, task)]

    def messages(self, dag_id: str, run_id: str, task: TaskInstance) -> list[str]:
        """Return the messages of the log of a task's latest try, without times and levels."""
        entries = self._log(dag_id, run_id, task)
        return [str(entry.get("event", "")) if isinstance(entry, dict) else str(entry) for entry in entries]

    def _log(self, dag_id: str, run_id: str, task: TaskInstance) -> list[Any]:
        path = (
            f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}/taskInstances/{quote(task.task_id)}"
            f"/logs/{max(task.try_number, 1)}?map_index={task.map_index}&full_content=true"
        )
        content = self._get(path)["content"]
        return content if isinstance(content, list) else str(content).splitlines()

    def _get(self, path: str) -> Any:
        try:
            return self._call("GET", f"/api/v2{path}", token=self._login())
        except ApiError as error:
            if error.status != _UNAUTHORISED:
                raise
        self._token = None
        return self._call("GET", f"/api/v2{path}", token=self._login())

    def _login(self) -> str:
        if self._token is None:
            answer = self._call("POST", "/auth/token", {"username": self._user, "password": self._password}, token=None)
            self._token = str(answer["access_token"])
        return self._token

    def _call(self, method: str, path: str, body: object = None, *, token: str | None) -> Any:
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        connection = HTTPConnection("127.0.0.1", self._port, timeout=_ANSWER_SECONDS)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            text = response.read().decode(errors="replace")
        except (OSError, HTTPException) as error:
            msg = f"Airflow on port {self._port} does not answer: {error}"
            raise ApiError(0, msg) from error
        finally:
            connection.close()
        if response.status >= _OK:
            msg = f"Airflow answered {response.status} to {method} {path.partition('?')[0]}: {text[:300]}"
            raise ApiError(response.status, msg)
        if response.status == _NO_CONTENT:
            return None
        try:
            return json.loads(text)
        except ValueError as error:
            msg = f"not Airflow on port {self._port}: the answer to {path.partition('?')[0]} is not JSON"
            raise ApiError(response.status, msg) from error


def _line(entry: Any) -> str:
    if not isinstance(entry, dict):
        return str(entry)
    text = " ".join(str(entry[name]) for name in ("timestamp", "level", "event") if entry.get(name))
    errors = entry.get("error_detail") or ()
    return text + "".join(f"\n    {error.get('exc_type')}: {error.get('exc_value')}" for error in errors)
