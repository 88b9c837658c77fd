"""Let the scheduler run the ingestion DAG, and follow the run."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from pismo_demo.airflow_api import ApiError
from pismo_demo.errors import DemoError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pismo_demo.airflow_api import AirflowApi, TaskInstance

_PARSE_SECONDS = 600.0
_LOG_LINES = 40
_ENDED = {"success", "failed"}
_BROKEN = {"failed", "upstream_failed"}
_ORDER = (
    "find_new_files",
    "land_event_files",
    "check_landing",
    "index_publish_hour",
    "share_out_units",
    "flatten_publish_hour",
    "announce_rows",
)


def run_dag(api: AirflowApi, dag_id: str, say: Callable[[str], None], *, seconds: float) -> str:
    """Unpause the DAG, follow its first scheduled run to its end and return the run's id.

    Args:
        api: the Airflow.
        dag_id: the DAG.
        say: prints a line after each change of a task's state.
        seconds: the longest time without such a change.

    Raises:
        DemoError: the run failed, skipped its work, or did not change any more.
    """
    _wait_until_parsed(api, dag_id)
    started, run_id, last, unpaused = time.monotonic(), "", "", False
    changed = started
    while time.monotonic() - changed < seconds:
        try:
            if not unpaused:
                api.unpause(dag_id)
                unpaused = True
            runs = api.runs(dag_id)
            if runs:
                run_id, state = runs[0]
                tasks = api.tasks(dag_id, run_id)
                now = describe(tasks)
                if now != last:
                    changed, last = time.monotonic(), now
                    say(f"  {changed - started:4.0f} s  {now}")
                if state in _ENDED:
                    _judge(api, dag_id, run_id, state, tasks)
                    return run_id
        except ApiError as error:
            if not error.passing:
                raise
        time.sleep(1)
    msg = f"run {run_id or '(none was made)'} of {dag_id} did not end: no change for {seconds:.0f} s after: {last}"
    raise DemoError(msg)


def describe(tasks: Sequence[TaskInstance]) -> str:
    """Return one line about a run: the state of each task, with mapped tasks counted by state."""
    names = sorted({task.task_id for task in tasks}, key=lambda n: (_ORDER.index(n) if n in _ORDER else len(_ORDER), n))
    words = []
    for name in names:
        states = Counter(task.state for task in tasks if task.task_id == name)
        if sum(states.values()) == 1:
            words.append(f"{name} {next(iter(states))}")
        else:
            words.append(f"{name} " + ", ".join(f"{count} {state}" for state, count in sorted(states.items())))
    return " · ".join(words) or "waiting for the scheduler"


def _wait_until_parsed(api: AirflowApi, dag_id: str) -> None:
    until = time.monotonic() + _PARSE_SECONDS
    while not api.is_dag_known(dag_id):
        errors = _import_errors(api)
        if errors or time.monotonic() > until:
            why = "\n".join(errors) or f"not parsed within {_PARSE_SECONDS:.0f} s"
            msg = f"Airflow has no DAG {dag_id}:\n{why}"
            raise DemoError(msg)
        time.sleep(1)


def _import_errors(api: AirflowApi) -> list[str]:
    try:
        return api.import_errors()
    except ApiError as error:
        if not error.passing:
            raise
        return []


def _judge(api: AirflowApi, dag_id: str, run_id: str, state: str, tasks: Sequence[TaskInstance]) -> None:
    skipped = [task.task_id for task in tasks if task.state == "skipped"]
    if state == "success" and not skipped:
        return
    lines = [f"run {run_id} of {dag_id} ended as {state}" + (f", skipped: {', '.join(skipped)}" if skipped else "")]
    for task in tasks:
        if task.state in _BROKEN and task.try_number:
            lines.append(f"--- {task.task_id} {task.label or ''} (try {task.try_number}), the end of its log:")
            lines.extend(api.log(dag_id, run_id, task)[-_LOG_LINES:])
    raise DemoError("\n".join(lines))
