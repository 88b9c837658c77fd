"""Run DAGs with `dag.test`, one after another; each line of standard input is a run as JSON.

A line is a list of the DAG's id, the run's Params, and how many days ago its logical date is. The answer is a line
RESULT with the path of a JSON file. Airflow is loaded once for all runs.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.dag_processing.dagbag import DagBag

result = Path(os.environ["AIRFLOW_HOME"]) / "result.json"
for line in sys.stdin:
    dag_id, conf, days = json.loads(line)
    # new objects each time: a run renders templates into its own tasks
    dag = DagBag(sys.argv[1]).dags[dag_id]
    # dag.test of Airflow 3.3.2 cannot store a deadline; the scheduler's runs have it (test_backfill.py)
    dag.deadline = None
    for task in dag.tasks:
        if not task.is_mapped:
            task.retries = 0
    run = dag.test(logical_date=datetime.now(UTC) - timedelta(days=days), run_conf=conf)
    states = {f"{ti.task_id}[{ti.map_index}]": str(ti.state) for ti in run.get_task_instances()}
    sys.stderr.flush()
    sys.stdout.flush()
    result.write_text(json.dumps({"state": str(run.state), "tasks": states}))
    # in one short write, and on a line of its own: a listener's process may have written half a line
    os.write(1, f"\nRESULT {result}\n".encode())
sys.stderr.flush()
# a listener's pool would outlive this process, and hold its output open
for child in multiprocessing.active_children():
    child.kill()
# nothing is left to do; pyarrow's idle threads abort the interpreter's own way out once in a while
os._exit(0)
