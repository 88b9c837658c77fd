"""Follow a run through a stand-in for Airflow's REST API."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from tests.serving import serving

from pismo_demo.airflow_api import AirflowApi, ApiError, TaskInstance
from pismo_demo.errors import DemoError
from pismo_demo.ingestion import ask_again, describe, follow, make_run, run_dag

if TYPE_CHECKING:
    from collections.abc import Iterator

DAG_ID = "pismo_ingest_sandbox_s3"
Answers = dict[str, tuple[int, Any]]
DAG = f"/api/v2/dags/{DAG_ID}"
RUN = f"{DAG}/dagRuns/scheduled__1"


class StandIn(ThreadingHTTPServer):
    answers: Answers
    seen: list[str]
    bodies: list[Any]


class Handler(BaseHTTPRequestHandler):
    server: StandIn

    def answer(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0]
        self.server.seen.append(f"{self.command} {path}")
        self.server.bodies.append(json.loads(sent) if sent else None)
        status, body = self.server.answers.get(path, (404, {"detail": "not found"}))
        if path.startswith("/api/v2/dags") and self.headers["Authorization"] != "Bearer token":
            status, body = 401, {}
        text = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PATCH = answer  # noqa: N815 - the server's own names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def task(task_id: str, state: str | None, map_index: int = -1, try_number: int = 1) -> dict[str, Any]:
    times = {"start_date": "2026-03-01T10:00:00Z" if state else None, "end_date": None}
    return {"task_id": task_id, "map_index": map_index, "state": state, "try_number": try_number, **times}


@pytest.fixture
def airflow() -> Iterator[StandIn]:
    server = StandIn(("127.0.0.1", 0), Handler)
    server.seen, server.bodies = [], []
    healthy = {name: {"status": "healthy"} for name in ("metadatabase", "scheduler", "triggerer", "dag_processor")}
    server.answers = {
        "/api/v2/monitor/health": (200, healthy),
        "/auth/token": (201, {"access_token": "token"}),
        "/api/v2/importErrors": (200, {"import_errors": []}),
        DAG: (200, {"dag_id": DAG_ID}),
        f"{DAG}/dagRuns": (200, {"dag_runs": [{"dag_run_id": "scheduled__1", "state": "success"}]}),
        f"{RUN}/taskInstances": (200, {"task_instances": [task("find_new_files", "success")]}),
    }
    with serving(server, poll_interval=0.01):
        yield server


@pytest.fixture
def api(airflow: StandIn) -> AirflowApi:
    return AirflowApi(airflow.server_port, "admin", "secret")


def test_a_run_is_followed_to_its_end(airflow: StandIn, api: AirflowApi) -> None:
    said: list[str] = []
    assert run_dag(api, DAG_ID, said.append, seconds=10) == "scheduled__1"
    assert said == ["1 of 1 tasks done"]
    assert f"PATCH {DAG}" in airflow.seen


def test_a_failed_run_shows_the_end_of_the_log(airflow: StandIn, api: AirflowApi) -> None:
    airflow.answers[f"{DAG}/dagRuns"] = (200, {"dag_runs": [{"dag_run_id": "scheduled__1", "state": "failed"}]})
    tasks = [
        task("land_event_files", "failed", try_number=2),
        task("flatten_publish_hour", "upstream_failed", try_number=0),
    ]
    airflow.answers[f"{RUN}/taskInstances"] = (200, {"task_instances": tasks})
    lines = [{"event": f"line {n}", "level": "info"} for n in range(100)]
    lines.append({"event": "Task failed", "error_detail": [{"exc_type": "RoleDenied", "exc_value": "refused"}]})
    airflow.answers[f"{RUN}/taskInstances/land_event_files/logs/2"] = (200, {"content": lines})
    with pytest.raises(DemoError) as caught:
        run_dag(api, DAG_ID, lambda _: None, seconds=10)
    text = str(caught.value)
    assert "ended as failed" in text
    assert "RoleDenied: refused" in text
    assert "line 99" in text
    assert "line 50" not in text


def test_a_run_that_skipped_its_work_is_no_success(airflow: StandIn, api: AirflowApi) -> None:
    airflow.answers[f"{RUN}/taskInstances"] = (200, {"task_instances": [task("find_new_files", "skipped")]})
    with pytest.raises(DemoError, match="skipped: find_new_files"):
        run_dag(api, DAG_ID, lambda _: None, seconds=10)


def test_a_dag_that_does_not_parse_is_named(airflow: StandIn, api: AirflowApi) -> None:
    del airflow.answers[DAG]
    broken = {"import_errors": [{"filename": "pismo_ingest.py", "stack_trace": "SyntaxError: no\n"}]}
    airflow.answers["/api/v2/importErrors"] = (200, broken)
    with pytest.raises(DemoError, match=r"pismo_ingest\.py: SyntaxError: no"):
        run_dag(api, DAG_ID, lambda _: None, seconds=10)


def test_a_run_that_hangs_says_where(airflow: StandIn, api: AirflowApi) -> None:
    airflow.answers[f"{DAG}/dagRuns"] = (200, {"dag_runs": []})
    with pytest.raises(DemoError, match=r"\(none was made\).*did not end"):
        run_dag(api, DAG_ID, lambda _: None, seconds=0)


def test_health_names_what_is_missing(airflow: StandIn, api: AirflowApi) -> None:
    assert api.list_unhealthy() == []
    airflow.answers["/api/v2/monitor/health"] = (200, {"metadatabase": {"status": "healthy"}, "scheduler": {}})
    assert api.list_unhealthy() == ["scheduler", "triggerer", "dag_processor"]


def test_something_else_on_the_port_is_not_healthy(airflow: StandIn, api: AirflowApi) -> None:
    airflow.answers["/api/v2/monitor/health"] = (200, "<html>hello</html>")
    assert api.list_unhealthy() == ["api-server"]


def test_another_airflow_is_told_from_ours(airflow: StandIn, api: AirflowApi) -> None:
    assert api.ours()
    airflow.answers["/auth/token"] = (401, {"detail": "Invalid credentials"})
    assert AirflowApi(airflow.server_port, "admin", "secret").ours() is False


def test_an_airflow_too_busy_to_answer_is_not_taken_for_another(airflow: StandIn, api: AirflowApi) -> None:
    airflow.answers["/auth/token"] = (503, {"detail": "Database is locked"})
    assert api.ours() is None


def test_nobody_on_the_port_is_said() -> None:
    api = AirflowApi(1, "admin", "secret")
    assert api.list_unhealthy() == ["api-server"]
    with pytest.raises(ApiError, match="does not answer") as caught:
        api.runs(DAG_ID)
    assert caught.value.status == 0


def test_an_error_does_not_show_the_password(airflow: StandIn, api: AirflowApi) -> None:
    airflow.answers["/auth/token"] = (500, "oops")
    with pytest.raises(ApiError) as caught:
        api.runs(DAG_ID)
    assert "secret" not in str(caught.value)


def test_a_run_started_by_hand_has_its_times(airflow: StandIn, api: AirflowApi) -> None:
    airflow.answers[f"{DAG}/dagRuns"] = (200, {"dag_run_id": "scheduled__1"})
    run = api.trigger(DAG_ID, {"limit": 1})
    assert airflow.seen[-1] == f"POST {DAG}/dagRuns"
    (found,) = api.tasks(DAG_ID, run)
    assert (found.started, found.ended) == ("2026-03-01T10:00:00Z", None)


def test_mapped_tasks_are_counted_by_state() -> None:
    states = ["running", "success", "success"]
    tasks = [TaskInstance("flatten_publish_hour", n, state, 1) for n, state in enumerate(states)]
    tasks.append(TaskInstance("find_new_files", -1, "success", 1))
    tasks.append(TaskInstance("announce_rows", -1, "waiting", 0))
    assert describe(tasks) == "flatten_publish_hour 1 running, 2 success · 1 of 3 tasks done"


def test_a_run_in_which_all_waits_says_so() -> None:
    assert describe([TaskInstance("find_new_files", -1, "waiting", 0)]) == "waiting for the scheduler"


def test_a_run_may_skip_only_the_tasks_that_are_named(airflow: StandIn, api: AirflowApi) -> None:
    tasks = [task("report_publish_day", "success"), task("flatten_other_hours", "skipped")]
    airflow.answers[f"{RUN}/taskInstances"] = (200, {"task_instances": tasks})
    follow(api, DAG_ID, "scheduled__1", lambda _: None, seconds=10, may_skip={"flatten_other_hours"})
    with pytest.raises(DemoError, match="skipped: flatten_other_hours"):
        follow(api, DAG_ID, "scheduled__1", lambda _: None, seconds=10, may_skip={"announce_day"})


@pytest.mark.parametrize("made", [True, False])
def test_a_run_that_a_busy_airflow_may_have_made_is_made_once(airflow: StandIn, api: AirflowApi, made: bool) -> None:
    runs = f"{DAG}/dagRuns"

    class Busy(dict[str, tuple[int, Any]]):
        """Answers the first question for a new run with an error."""

        def get(self, path: str, default: Any = None) -> Any:
            if airflow.seen[-1] != f"POST {runs}":
                return super().get(path, default)
            body = airflow.bodies[-1]
            first = sum(seen == f"POST {runs}" for seen in airflow.seen) == 1
            if made or not first:
                self[runs] = (200, {"dag_runs": [{**body, "state": "queued"}]})
            return (500, {"detail": "database is locked"}) if first else (200, body)

    airflow.answers = Busy(airflow.answers)
    run_id = make_run(api, DAG_ID, {"dry_run": True}, seconds=600)
    assert dict(api.runs(DAG_ID)) == {run_id: "queued"}
    sent = [body for body in airflow.bodies if body and "conf" in body]
    assert sent == [{"logical_date": None, "conf": {"dry_run": True}, "dag_run_id": run_id}] * (1 if made else 2)


def test_a_run_that_airflow_refuses_is_asked_for_once(airflow: StandIn, api: AirflowApi) -> None:
    with pytest.raises(ApiError, match="Airflow answered 404 to POST"):
        ask_again(lambda: api.trigger("none", {}), seconds=600)
    assert sum(seen.startswith("POST /api") for seen in airflow.seen) == 1


def test_a_pool_that_is_there_already_is_no_error(airflow: StandIn, api: AirflowApi) -> None:
    airflow.answers["/api/v2/pools"] = (409, {"detail": "Unique constraint violation"})
    api.make_pool("pismo", 2)
    airflow.answers["/api/v2/pools"] = (400, {"detail": "wrong"})
    with pytest.raises(ApiError, match="400"):
        api.make_pool("pismo", 0)


def test_work_before_the_run_is_done_once_the_dag_is_parsed(airflow: StandIn, api: AirflowApi) -> None:
    run_dag(api, DAG_ID, lambda _: None, seconds=10, first=lambda: airflow.seen.append("first"))
    assert airflow.seen.index(f"GET {DAG}") < airflow.seen.index("first") < airflow.seen.index(f"PATCH {DAG}")
