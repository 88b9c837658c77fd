"""Make the close DAG of each delivery; Airflow runs it daily, for a backfill, or by hand.

    await_settled_day >> land_missing_files >> index_missing_files >> flatten_other_hours >> close_publish_day
                         close_publish_day >> report_publish_day >> announce_day
                         land_missing_files >> check_landing

`pismo.dags.close` puts the tasks together.
"""

from __future__ import annotations

import os
from pathlib import Path

from pismo.dags import close_dag
from pismo.wiring import checked_deliveries
from pismo_lake.settings import InvalidDelivery

ROOT = Path(__file__).resolve().parent.parent
DELIVERIES = os.environ.get("PISMO_DELIVERIES", str(ROOT / "config" / "deliveries.yaml"))

for delivery in checked_deliveries(DELIVERIES):
    if isinstance(delivery, InvalidDelivery):
        continue  # its ingest DAG shows the error
    dag = close_dag(delivery, DELIVERIES)
    globals()[dag.dag_id] = dag
