"""Make the ingest DAG of each delivery; Airflow runs it every 15 minutes, or on a notice.

    find_new_files >> land_event_files >> index_publish_hour >> share_out_units >> flatten_publish_hour >> announce_rows
                      land_event_files >> check_landing

`pismo.dags.ingest` puts the tasks together.
"""

from __future__ import annotations

import os
from pathlib import Path

from pismo.dags import ingest_dag
from pismo.wiring import checked_deliveries, invalid_delivery_dag
from pismo_lake.settings import InvalidDelivery

ROOT = Path(__file__).resolve().parent.parent
DELIVERIES = os.environ.get("PISMO_DELIVERIES", str(ROOT / "config" / "deliveries.yaml"))

for delivery in checked_deliveries(DELIVERIES):
    dag = invalid_delivery_dag(delivery) if isinstance(delivery, InvalidDelivery) else ingest_dag(delivery, DELIVERIES)
    globals()[dag.dag_id] = dag
