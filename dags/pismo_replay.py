"""Make the replay DAG of each delivery that has a consumer to send missed events to; Airflow runs it by hand.

    plan_replay >> send_events

`pismo.dags.replay` puts the tasks together.
"""

from __future__ import annotations

import os
from pathlib import Path

from pismo.dags import replay_dag
from pismo.wiring import checked_deliveries
from pismo_lake.settings import InvalidDelivery

ROOT = Path(__file__).resolve().parent.parent
DELIVERIES = os.environ.get("PISMO_DELIVERIES", str(ROOT / "config" / "deliveries.yaml"))

for delivery in checked_deliveries(DELIVERIES):
    if isinstance(delivery, InvalidDelivery) or delivery.replay is None:
        continue  # the ingest DAG of an invalid delivery shows its error
    dag = replay_dag(delivery, DELIVERIES)
    globals()[dag.dag_id] = dag
