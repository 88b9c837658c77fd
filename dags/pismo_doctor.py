"""Make the DAG that checks rights, keys and settings of each delivery; Airflow runs it by hand.

    examine_delivery (one mapped task for each delivery)

`pismo.dags.doctor` has the task.
"""

from __future__ import annotations

import os
from pathlib import Path

from pismo.dags import doctor_dag
from pismo.wiring import checked_deliveries
from pismo_lake.settings import InvalidDelivery

ROOT = Path(__file__).resolve().parent.parent
DELIVERIES = os.environ.get("PISMO_DELIVERIES", str(ROOT / "config" / "deliveries.yaml"))

# the ingest DAG of an invalid delivery shows its error
deliveries = [one for one in checked_deliveries(DELIVERIES) if not isinstance(one, InvalidDelivery)]
dag = doctor_dag(deliveries, DELIVERIES)
