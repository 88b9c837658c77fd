"""Make all DAGs of a deliveries file."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING

from pismo.dags.close import close_dag
from pismo.dags.doctor import doctor_dag
from pismo.dags.ingest import ingest_dag
from pismo.dags.replay import replay_dag
from pismo.names import DOCTOR
from pismo.wiring import checked_deliveries, invalid_delivery_dag
from pismo_lake.settings import InvalidDelivery

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from pismo_lake.settings import Delivery


def build_dags(path: str | Path, doctor: str = DOCTOR) -> dict[str, DAG]:
    """Return the ingest, close and replay DAG of each delivery, and the doctor's DAG, for a DAG file's globals.

    The file passes them to ``globals().update(…)``. Airflow reads only files that have the words *airflow* and *dag*:
    begin the file with a docstring or a comment that has both. A delivery with wrong settings becomes one DAG that
    fails with the error.

    Args:
        path: The deliveries file. A relative path begins at the folder of the calling file, wherever Airflow runs.
        doctor: The id of the doctor's DAG. Each deliveries file of one Airflow needs another one.
    """
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    caller = Path(frame.f_back.f_globals["__file__"])
    deliveries_file = str((caller.parent / path).resolve())
    dags: list[DAG] = []
    sound: list[Delivery] = []
    for delivery in checked_deliveries(deliveries_file):
        if isinstance(delivery, InvalidDelivery):
            dags.append(invalid_delivery_dag(delivery))
        else:
            sound.append(delivery)
            dags += [ingest_dag(delivery, deliveries_file), close_dag(delivery, deliveries_file)]
            if delivery.replay is not None:
                dags.append(replay_dag(delivery, deliveries_file))
    dags.append(doctor_dag(sound, deliveries_file, doctor))
    return {dag.dag_id: dag for dag in dags}
