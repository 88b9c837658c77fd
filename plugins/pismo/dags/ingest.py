"""Make the DAG that finds, lands, indexes and flattens the new event files of a delivery."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from airflow.sdk import DAG, Asset, Param

from pismo.notifications import DeliveryNotifier
from pismo.operators import (
    BuildUnitsOperator,
    CheckLandingOperator,
    IndexUnitOperator,
    LandEventFilesOperator,
    ShareOutUnitsOperator,
)
from pismo.sensors import NewFilesSensor
from pismo.wiring import TASK_DEFAULTS, schedule_of

if TYPE_CHECKING:
    from pismo_lake.settings import Delivery

DOC = """
### Pismo event files of `{name}` to the lake
Finds the event files of the run's publish hours that are not landed yet, lands them unchanged, indexes their events,
and flattens every publish hour they belong to into `{lake}`. A second run changes nothing.

**Manual run**: give a window of publish time, or object keys, or event ids (their files are landed and built again).
`force` rebuilds unchanged hours. With `dry_run` the first task logs the plan, and nothing is changed.
"""
PARAMS = {
    "window_start": Param(None, type=["null", "string"], format="date-time", title="Window start (publish time)"),
    "window_end": Param(None, type=["null", "string"], format="date-time", title="Window end (publish time)"),
    "object_keys": Param([], type=["null", "array"], title="Object keys, one a line (instead of a window)"),
    "event_ids": Param([], type=["null", "array"], title="Event ids, one a line (land and build their files again)"),
    "force": Param(False, type="boolean", title="Land and build again, even if nothing has changed"),
    "retry_failed": Param(False, type="boolean", title="Try every quarantined file again"),
    "dry_run": Param(False, type="boolean", title="Only log the files to land, to build and to remove"),
}


def ingest_dag(delivery: Delivery, deliveries_file: str) -> DAG:
    """Return the ingest DAG of a delivery; each run loads the event files that are new."""
    common = {"delivery_name": delivery.name, "deliveries_file": deliveries_file}
    with DAG(
        dag_id=f"pismo_ingest_{delivery.name}",
        schedule=schedule_of(delivery, deliveries_file),
        start_date=datetime(2020, 1, 1),  # noqa: DTZ001 - Airflow reads it in the timetable's zone
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=timedelta(hours=6),
        params=PARAMS,
        tags=["pismo", "ingest", delivery.environment.value, delivery.channel.value],
        doc_md=DOC.format(name=delivery.name, lake=delivery.lake),
        on_failure_callback=DeliveryNotifier(**common, what="ingestion failed"),
        default_args=TASK_DEFAULTS,
    ) as dag:
        find = NewFilesSensor(task_id="find_new_files", pool=delivery.pool, **common)
        land = LandEventFilesOperator(task_id="land_event_files", pool=delivery.pool, **common)
        index = IndexUnitOperator.partial(
            task_id="index_publish_hour",
            map_index_template="{{ task.unit }}",
            max_active_tis_per_dagrun=4,
            **common,
        ).expand(unit=land.output)
        shared = ShareOutUnitsOperator(task_id="share_out_units", lists=index.output, **common)
        flatten = BuildUnitsOperator.partial(
            task_id="flatten_publish_hour",
            map_index_template="{{ task.units | join(', ') }}",
            # a name without a URI: for a scheme, Airflow would load every provider at each parse
            outlets=[Asset(f"pismo_lake_{delivery.name}")],
            max_active_tis_per_dagrun=4,
            **common,
        ).expand(units=shared.output)
        check = CheckLandingOperator(task_id="check_landing", landing_task_id="land_event_files", **common)
        find >> land >> index >> shared >> flatten
        land >> check
    return dag
