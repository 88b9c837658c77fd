"""Make the DAG that closes publish days: by the calendar, by a backfill, or by hand."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.sdk import DAG, CronDataIntervalTimetable, Param, TriggerRule

from pismo.dags.forms import switch
from pismo.names import CLOSE, FIRST_MOMENT
from pismo.notifications import DeliveryNotifier, deadline_of
from pismo.operators import (
    AnnounceDayOperator,
    BuildUnitsOperator,
    CheckLandingOperator,
    ClosePublishDayOperator,
    IndexPublishDayOperator,
    LandPublishDayOperator,
    PlanCloseOperator,
    PullSchemasOperator,
    ReportPublishDayOperator,
    WriteDayFilesOperator,
)
from pismo.sensors import DaySettledSensor
from pismo.wiring import TASK_DEFAULTS, facts_of

if TYPE_CHECKING:
    from pismo_lake.settings import Delivery

DOC = """
### Close publish days: `{name}`
A run is one publish day: its logical date. After the day has settled ({after:g} h after its end), the run lands missing
files, rebuilds the day from the raw files into a few large files, and writes the day report. An unchanged day is not
rebuilt. The report says *complete*, *incomplete* with the reasons, or *no files*.{pull}

{facts}

**Run it by hand** (*Trigger*): name a `publish_day`. With `dry_run` the first task only logs its plan.

**Backfill**: *Missing runs* closes the days that have no run. *All runs* also closes the others again: do that after a
change of the settings. The days before the first file get the verdict *no files*.
"""
PULL_DOC = """ At the end it pulls the
schemas that Pismo publishes: `pull_schemas` logs what is new. A schema that would change the type of a column is held
back. If the pull fails, the day is closed all the same."""
PARAMS = {
    "publish_day": Param(
        None,
        type=["null", "string"],
        format="date",
        title="publish_day: the day to close",
        description_md="In UTC. Empty: the day of the run's logical date. A day that you name is closed at once.",
        section="Day",
        examples=["2026-03-01"],
    ),
    "dry_run": switch(
        "dry_run",
        "only show the plan",
        "The log of `await_settled_day` names the files to land, to build and to remove.",
    ),
    "relist": switch(
        "relist",
        "look for missing files at Pismo",
        "Off: the run does not contact Pismo, and closes the day with the landed files.",
        on=True,
    ),
    "force": switch("force", "build the day again", "Builds the day even if nothing has changed."),
}


def close_dag(delivery: Delivery, deliveries_file: str) -> DAG:
    """Return the close DAG of a delivery; a run closes one publish day."""
    common = {"delivery_name": delivery.name, "deliveries_file": deliveries_file}
    with DAG(
        dag_id=f"{CLOSE}{delivery.name}",
        description=f"Closes each publish day of {delivery.name}: few large files, and the day report",
        schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
        start_date=FIRST_MOMENT,
        catchup=False,
        max_active_runs=3,
        dagrun_timeout=timedelta(hours=24 + delivery.close_after_hours),
        params=PARAMS,
        tags=["pismo", "close", delivery.environment.value, delivery.channel.value],
        doc_md=DOC.format(
            name=delivery.name,
            after=delivery.close_after_hours,
            facts=facts_of(delivery),
            pull=PULL_DOC if delivery.contracts.pull else "",
        ),
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
        close = _close_tasks(delivery, index, common)
        report = ReportPublishDayOperator(
            task_id="report_publish_day",
            landing_task_id="land_missing_files",
            asset_name=f"pismo_lake_{delivery.name}",
            pool=delivery.pool,
            **common,
        )
        check = CheckLandingOperator(task_id="check_landing", landing_task_id="land_missing_files", **common)
        settled >> land >> index >> flatten
        announce = AnnounceDayOperator(
            task_id="announce_day", index_task_id="index_missing_files", report_task_id="report_publish_day", **common
        )
        # the announcement cannot hide that a task failed
        close >> report >> announce.as_teardown()
        land >> check
        if delivery.contracts.pull is not None:
            # after the close, so that all parts of a day are built with the same schemas; a failure fails no day
            pull = PullSchemasOperator(
                task_id="pull_schemas",
                execution_timeout=timedelta(minutes=30),
                on_failure_callback=DeliveryNotifier(**common, what="pulling schemas failed, the day is not affected"),
                **common,
            )
            report >> pull.as_teardown()
    return dag


def _close_tasks(delivery: Delivery, index: IndexPublishDayOperator, common: dict[str, str]) -> ClosePublishDayOperator:
    """Add the tasks that close the day after its files are indexed, and return the last one."""
    if delivery.close_tasks == 1:
        close = ClosePublishDayOperator(task_id="close_publish_day", **common)
        index >> close
        return close
    plan = PlanCloseOperator(task_id="plan_close", **common)
    write = WriteDayFilesOperator.partial(task_id="write_day_files", map_index_template="{{ task.part }}", **common)
    # a small day has no tasks between its plan and its close; a run that was skipped before closes nothing
    close = ClosePublishDayOperator(
        task_id="close_publish_day", parts=plan.output, trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS, **common
    )
    index >> plan >> write.expand(part=plan.output) >> close
    return close
