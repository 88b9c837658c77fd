"""Let the scheduler run the ingestion DAG, and follow its run and others."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from pismo_demo.airflow_api import ApiError
from pismo_demo.errors import DemoError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from pismo_demo.airflow_api import AirflowApi, TaskInstance

_Answer = TypeVar("_Answer")
_PARSE_SECONDS = 600.0
_LOG_LINES = 40
_WAITING, _DONE = "waiting", "success"
_ENDED = {"success", "failed"}
FOR_THE_REST = frozenset({"index_publish_hour", "share_out_units", "flatten_publish_hour"})
"""The tasks that are skipped if the landing tasks have taken all files to the lake."""
_BROKEN = {"failed", "upstream_failed"}
_ORDER = (
    "await_settled_day",
    "land_missing_files",
    "index_missing_files",
    "close_publish_day",
    "report_publish_day",
    "announce_day",
    "find_new_files",
    "land_event_files",
    "check_landing",
    "index_publish_hour",
    "share_out_units",
    "flatten_publish_hour",
    "announce_rows",
)


def run_dag(
    api: AirflowApi, dag_id: str, say: Callable[[str], None], *, seconds: float,
    first: Callable[[], None] | None = None,
) -> str:  # fmt: skip
    """Unpause the DAG, follow its first scheduled run to its end and return the run's id.

    Args:
        api: the Airflow.
        dag_id: the DAG.
        say: prints a line after each change of a task's state.
        seconds: the longest time without such a change.
        first: is called once the DAG is parsed.

    Raises:
        DemoError: the run failed, skipped its work, or did not change any more.
    """
    _wait_until_parsed(api, dag_id)
    if first is not None:
        first()
    began, unpaused = time.monotonic(), False
    while time.monotonic() - began < seconds:
        with _patience():
            if not unpaused:
                api.unpause(dag_id)
                unpaused = True
            if runs := api.runs(dag_id):
                follow(api, dag_id, runs[0][0], say, seconds=seconds, may_skip=FOR_THE_REST)
                return runs[0][0]
        time.sleep(1)
    msg = f"run (none was made) of {dag_id} did not end: the scheduler made none for {seconds:.0f} s"
    raise DemoError(msg)


def follow(
    api: AirflowApi, dag_id: str, run_id: str, say: Callable[[str], None], *, seconds: float,
    may_skip: Collection[str] | None = (),
) -> float:  # fmt: skip
    """Follow a run to its end and return its seconds.

    Args:
        api: the Airflow.
        dag_id: the DAG.
        run_id: the run.
        say: prints a line after each change of a task's state.
        seconds: the longest time without such a change.
        may_skip: the tasks that may be skipped; None if all may be.

    Raises:
        DemoError: the run failed, skipped its work, or did not change any more.
    """
    began, last = time.monotonic(), ""
    changed = began
    while time.monotonic() - changed < seconds:
        with _patience():
            state, tasks = dict(api.runs(dag_id)).get(run_id, "queued"), api.tasks(dag_id, run_id)
            now = describe(tasks)
            if now != last:
                changed, last = time.monotonic(), now
                say(now)
            if state in _ENDED:
                _judge(api, dag_id, run_id, state, tasks, may_skip)
                return time.monotonic() - began
        time.sleep(1)
    msg = f"run {run_id} of {dag_id} did not end: no change for {seconds:.0f} s after: {last}"
    raise DemoError(msg)


def make_run(
    api: AirflowApi, dag_id: str, conf: dict[str, Any], *, seconds: float, logical_date: datetime | None = None
) -> str:
    """Start a run by hand, and return its id; ask again while Airflow, or its SQLite, is busy.

    Airflow may answer with an error after it has made the run. So the run has an id of ours: it is made once.

    Args:
        api: the Airflow.
        dag_id: the DAG.
        conf: the Params.
        seconds: the longest time until Airflow makes the run.
        logical_date: the logical date of the run, if it has one.

    Raises:
        ApiError: Airflow refuses the run, or is busy for too long.
    """
    run_id = f"manual__{datetime.now(UTC).isoformat()}"

    def make() -> str:
        made = run_id in dict(api.runs(dag_id))
        return run_id if made else api.trigger(dag_id, conf, logical_date, run_id)

    return ask_again(make, seconds=seconds)


def ask_again(ask: Callable[[], _Answer], *, seconds: float) -> _Answer:
    """Return Airflow's answer; ask again while it, or its SQLite, is busy.

    Raises:
        ApiError: Airflow refuses the question, or is busy for too long.
    """
    until = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except ApiError as error:
            if not error.passing or time.monotonic() > until:
                raise
        time.sleep(1)


def describe(tasks: Sequence[TaskInstance]) -> str:
    """Return one line about a run: the tasks under way, with mapped tasks counted by state, and how many are done."""
    names = sorted({task.task_id for task in tasks}, key=lambda n: (_ORDER.index(n) if n in _ORDER else len(_ORDER), n))
    words, done = [], 0
    for name in names:
        states = Counter(task.state for task in tasks if task.task_id == name)
        if states.keys() == {_DONE}:
            done += 1
        elif sum(states.values()) > 1:
            words.append(f"{name} " + ", ".join(f"{count} {state}" for state, count in sorted(states.items())))
        elif _WAITING not in states:
            words.append(f"{name} {next(iter(states))}")
    if done:
        words.append(f"{done} of {len(names)} tasks done")
    return " · ".join(words) or "waiting for the scheduler"


def _wait_until_parsed(api: AirflowApi, dag_id: str) -> None:
    until = time.monotonic() + _PARSE_SECONDS
    while not api.is_dag_known(dag_id):
        errors: list[str] = []
        with _patience():
            errors = api.import_errors()
        if errors or time.monotonic() > until:
            why = "\n".join(errors) or f"not parsed within {_PARSE_SECONDS:.0f} s"
            msg = f"Airflow has no DAG {dag_id}:\n{why}"
            raise DemoError(msg)
        time.sleep(1)


@contextmanager
def _patience() -> Iterator[None]:
    """Leave the block if Airflow cannot answer at the moment: ask again later."""
    try:
        yield
    except ApiError as error:
        if not error.passing:
            raise


def _judge(
    api: AirflowApi, dag_id: str, run_id: str, state: str, tasks: Sequence[TaskInstance],
    may_skip: Collection[str] | None,
) -> None:  # fmt: skip
    """Raise `DemoError` with the end of the logs if a run failed, or skipped work that it may not skip."""
    skipped = [
        task.task_id
        for task in tasks
        if task.state == "skipped" and may_skip is not None and task.task_id not in may_skip
    ]
    if state == "success" and not skipped:
        return
    lines = [f"run {run_id} of {dag_id} ended as {state}" + (f", skipped: {', '.join(skipped)}" if skipped else "")]
    for task in tasks:
        if task.state in _BROKEN and task.try_number:
            lines.append(f"--- {task.task_id} {task.label or ''} (try {task.try_number}), the end of its log:")
            lines.extend(api.log(dag_id, run_id, task)[-_LOG_LINES:])
    raise DemoError("\n".join(lines))
