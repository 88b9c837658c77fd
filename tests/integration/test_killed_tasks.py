"""Kill task processes while Airflow's scheduler runs the DAG: the lake is exact.

PISMO_FEED_MEGABYTES=60 makes the feed larger (`make soak`).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.killer import LANDING_TASK, Killer

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
    assert set(killer.killed) == {"landing", "indexing", "building"}
    tries = [str(path) for path in (home / "airflow" / "logs").rglob("attempt=4.log")]
    assert any(f"/task_id={LANDING_TASK}/" in log for log in tries)
