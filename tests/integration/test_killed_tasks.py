"""Kill task processes while Airflow's scheduler runs the DAG: the lake is exact.

PISMO_FEED_MEGABYTES=60 makes the feed larger (`make soak`).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.killer import Killer

from pismo_demo.demo import up
from pismo_demo.options import Options

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.slow]
MEGABYTES = int(os.environ.get("PISMO_FEED_MEGABYTES", "12"))


@pytest.mark.usefixtures("retried_soon")
def test_tasks_killed_while_they_work_are_retried_to_the_exact_lake(tmp_path: Path) -> None:
    home = tmp_path / "demo"
    killer = Killer(home, seed=3)
    killer.start()
    try:
        # compares the lake with the published events, and raises if they differ
        up(Options(hours=1, megabytes=MEGABYTES, seed=11, close=False, home=home))
    finally:
        killer.end()
    assert {"land_event_files", "index_publish_hour", "flatten_publish_hour"} <= set(killer.killed)
    second_tries = [str(path) for path in (home / "airflow" / "logs").rglob("attempt=2.log")]
    assert all(any(f"/task_id={task}/" in log for log in second_tries) for task in killer.killed)
