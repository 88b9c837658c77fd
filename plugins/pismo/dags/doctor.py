"""Make the DAG that checks the rights and keys of all deliveries, on the machines that run tasks."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.sdk import DAG, Param

from pismo.names import DOCTOR, FIRST_MOMENT
from pismo.operators import ExamineDeliveryOperator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pismo_lake.settings import Delivery

DOC = """
### Is each delivery set up well?
Checks rights, keys, queue, ledger, storage, contracts and privacy of each delivery, one task for each, and logs a table
of the checks. The machines that run tasks do this, with their own credentials and network. Nothing is landed, no
message is taken, no file is left behind.

Run it after the set-up, after a change of rights or keys, and if a run fails with a missing right. `pismo-lake doctor
DELIVERY --letter` writes the text to send to Pismo.
"""
PARAMS = {
    "object_key": Param(
        None,
        type=["null", "string"],
        title="object_key: an event file to read",
        description_md="Needed only if Pismo does not let you **list** the bucket, and nothing is landed yet.",
        section="If a check needs it",
        examples=["main_stream/2026/3/1/12/0a1b2c"],
    ),
    "other_host": Param(
        None,
        type=["null", "string"],
        title="other_host: the other environment's SFTP server",
        description_md="SFTP only, as `host:port`. It must show **another** host key than your server.",
        section="If a check needs it",
        examples=["sftp.example.com:22"],
    ),
}


def doctor_dag(deliveries: Sequence[Delivery], deliveries_file: str, dag_id: str = DOCTOR) -> DAG:
    """Return the DAG that checks some deliveries; it has no schedule."""
    with DAG(
        dag_id=dag_id,
        description="Checks the rights, keys and settings of each delivery where the tasks run",
        schedule=None,
        start_date=FIRST_MOMENT,
        catchup=False,
        dagrun_timeout=timedelta(hours=1),
        params=PARAMS,
        tags=["pismo", "doctor"],
        doc_md=DOC,
        default_args={"owner": "pismo", "retries": 0},
    ) as dag:
        ExamineDeliveryOperator.partial(
            task_id="examine_delivery",
            map_index_template="{{ task.delivery_name }}",
            deliveries_file=deliveries_file,
        ).expand(delivery_name=[delivery.name for delivery in deliveries])
    return dag
