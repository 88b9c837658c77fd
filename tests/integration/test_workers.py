"""Run the stack of docker-compose.yaml natively, and kill or cut each service once."""

from __future__ import annotations

import shutil
import signal
import time
from typing import TYPE_CHECKING

import pytest
from tests.killer import NOTICED_SOON
from tests.stack import DAG, Options, running_stack

from pismo_sandbox.check.verify import verify

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("redis-server"), reason="no Redis: scripts/redis installs it"),
]
QUICK = NOTICED_SOON | {
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
}


def test_the_composed_stack_ends_in_the_exact_lake_whatever_is_killed(tmp_path: Path) -> None:
    with running_stack(tmp_path, Options(variables=QUICK)) as stack:
        stack.api.unpause(DAG)
        stack.until(lambda: stack.api.runs(DAG), "the first scheduled run is made")
        run, _ = stack.api.runs(DAG)[0]

        def tries(task: str) -> list[tuple[str, int]]:
            return [(item.state, item.try_number) for item in stack.api.tasks(DAG, run) if item.task_id == task]

        # a worker in the midst of landing
        stack.until(lambda: stack.at_work("land_event_files"), "landing begins")
        stack.until(stack.has_landed, "a file is landed")
        stack.end(stack.at_work("land_event_files") or "worker-1", signal.SIGKILL)
        stack.start_worker("worker-3")
        # the scheduler, before any service notices the loss
        stack.end("scheduler")
        stack.start("scheduler")
        stack.until(lambda: stack.at_work("land_event_files"), "landing again")
        # Redis and PostgreSQL, during the run
        stack.end("redis", signal.SIGKILL)
        stack.postgres.stop()
        time.sleep(4)
        stack.postgres.start()
        stack.start_redis()
        stack.until(lambda: dict(stack.api.runs(DAG))[run] in {"success", "failed"}, "the run is over")
        assert dict(stack.api.runs(DAG))[run] == "success", stack.said()
        assert max(number for _, number in tries("land_event_files")) >= 2
        found = verify(stack.lake(tmp_path / "copy"), stack.truth)
        assert found.problems == []
        assert found.rows > 50_000
