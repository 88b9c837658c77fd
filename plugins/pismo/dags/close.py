"""Make the DAG that closes publish days: by the calendar, by a backfill, or by hand."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from airflow.sdk import DAG, CronDataIntervalTimetable, Param

from pismo.notifications import DeliveryNotifier, deadline_of
from pismo.operators import (
    BuildUnitsOperator,
    CheckLandingOperator,
    ClosePublishDayOperator,
    IndexPublishDayOperator,
    LandPublishDayOperator,
    ReportPublishDayOperator,
)
from pismo.sensors import DaySettledSensor
from pismo.wiring import TASK_DEFAULTS

if TYPE_CHECKING:
    from pismo_lake.settings import Delivery

DOC = """
### Close publish days of `{name}`
Once a publish day has settled ({after:g} h after its end): lists and lands missing files, rebuilds the day from the
raw files into a few large files that replace the hourly ones, and writes the day report to
`{lake}/reports/publish_date=<day>/{name}.html`. A run is one day: its logical date. An unchanged day is not rebuilt.

**Reload a date**: backfill it here, or trigger with `publish_day`. `force` rebuilds an unchanged day. Without `relist`
the run does not contact Pismo. With `dry_run` the first task logs the plan, and nothing is changed.
"""
PARAMS = {
    "publish_day": Param(None, type=["null", "string"], format="date", title="Publish day (default: the run's day)"),
    "relist": Param(True, type="boolean", title="List missing files at Pismo (off: use only landed files)"),
    "force": Param(False, type="boolean", title="Rebuild the day even if nothing has changed"),
    "dry_run": Param(False, type="boolean", title="Only log the files to land, to build and to remove"),
}


def close_dag(delivery: Delivery, deliveries_file: str) -> DAG:
    """Return the close DAG of a delivery; a run closes one publish day."""
    common = {"delivery_name": delivery.name, "deliveries_file": deliveries_file}
    with DAG(
        dag_id=f"pismo_close_{delivery.name}",
        schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
        start_date=datetime(2020, 1, 1),  # noqa: DTZ001 - Airflow reads it in the timetable's zone
        catchup=False,
        max_active_runs=3,
        dagrun_timeout=timedelta(hours=24 + delivery.close_after_hours),
        params=PARAMS,
        tags=["pismo", "close", delivery.environment.value, delivery.channel.value],
        doc_md=DOC.format(name=delivery.name, lake=delivery.lake, after=delivery.close_after_hours),
        deadline=deadline_of(delivery, deliveries_file),
        on_failure_callback=DeliveryNotifier(**common, what="closing a publish day failed"),
        default_args=TASK_DEFAULTS,
    ) as dag:
        settled = DaySettledSensor(task_id="await_settled_day", **common)
        land = LandPublishDayOperator(task_id="land_missing_files", pool=delivery.pool, **common)
        index = IndexPublishDayOperator(task_id="index_missing_files", publish_hours=land.output, **common)
        # an hour of another day that cannot be built keeps no day from its close
        flatten = BuildUnitsOperator.partial(
            task_id="flatten_other_hours", map_index_template="{{ task.units | join(', ') }}", **common
        ).expand(units=index.output)
        close = ClosePublishDayOperator(task_id="close_publish_day", **common)
        report = ReportPublishDayOperator(
            task_id="report_publish_day",
            landing_task_id="land_missing_files",
            asset_name=f"pismo_lake_{delivery.name}",
            pool=delivery.pool,
            **common,
        )
        check = CheckLandingOperator(task_id="check_landing", landing_task_id="land_missing_files", **common)
        settled >> land >> index >> [flatten, close]
        close >> report
        land >> check
    return dag
