"""Make the DAG that finds, lands, indexes and flattens the new event files of a delivery."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.sdk import DAG, Param

from pismo.dags.forms import switch
from pismo.names import FIRST_MOMENT, INGEST
from pismo.notifications import DeliveryNotifier
from pismo.operators import (
    AnnounceRowsOperator,
    BuildUnitsOperator,
    CheckLandingOperator,
    IndexUnitOperator,
    LandEventFilesOperator,
    ShareOutUnitsOperator,
)
from pismo.sensors import NewFilesSensor
from pismo.wiring import TASK_DEFAULTS, facts_of, schedule_of

if TYPE_CHECKING:
    from pismo_lake.settings import Delivery

DOC = """
### Event files of Pismo to the lake: `{name}`
Each run finds the event files that are not landed yet, and cuts them into chunks. A landing task lands the files of a
chunk unchanged, indexes their events, and builds the publish hours that they belong to. A second run changes nothing.

{facts}

**Run it by hand** (*Trigger*): give a window of publish time, or object keys, or event ids. With `dry_run` the first
task only logs its plan.

**Backfill**: *Missing runs* makes runs for the dates that have none. *All runs* also repeats the others: that is safe,
and lands only what is missing. A backfill does not wait for late files.
"""
PARAMS = {
    "window_start": Param(
        None,
        type=["null", "string"],
        format="date-time",
        title="window_start: first moment",
        description_md="Publish time in UTC. Empty: `lookback_hours` before the end.",
        section="Files of a time",
        examples=["2026-03-01T12:00:00Z"],
    ),
    "window_end": Param(
        None,
        type=["null", "string"],
        format="date-time",
        title="window_end: last moment",
        description_md="Publish time in UTC. Empty: now. One hour on each side is added.",
        section="Files of a time",
        examples=["2026-03-01T15:00:00Z"],
    ),
    "object_keys": Param(
        [],
        type=["null", "array"],
        title="object_keys: these objects, one a line",
        # with `examples`, Airflow's form offers these and no others
        description_md="**Instead of** a window. For example `main_stream/2026/3/1/12/0a1b2c`.",
        section="Certain files",
    ),
    "event_ids": Param(
        [],
        type=["null", "array"],
        title="event_ids: the files of these events, one a line",
        description_md="**Instead of** a window. Builds their hours again. "
        "For example `7928dfe3-9863-4a43-bb3a-051292397545`.",
        section="Certain files",
    ),
    "dry_run": switch(
        "dry_run", "only show the plan", "The log of `find_new_files` names the files to land, to build and to remove."
    ),
    "force": switch(
        "force",
        "build again",
        "Lands and builds even if nothing has changed. Needed only after a doubt about the lake.",
    ),
    "retry_failed": switch(
        "retry_failed",
        "try quarantined files again",
        "Files that failed to land in `quarantine_after` runs are tried only if you ask for it.",
    ),
}


def ingest_dag(delivery: Delivery, deliveries_file: str) -> DAG:
    """Return the ingest DAG of a delivery; each run loads the event files that are new."""
    common = {"delivery_name": delivery.name, "deliveries_file": deliveries_file}
    with DAG(
        dag_id=f"{INGEST}{delivery.name}",
        description=f"Lands Pismo's new event files of {delivery.name}, and builds their publish hours in the lake",
        schedule=schedule_of(delivery, deliveries_file),
        start_date=FIRST_MOMENT,
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=timedelta(hours=6),
        params=PARAMS,
        tags=["pismo", "ingest", delivery.environment.value, delivery.channel.value],
        doc_md=DOC.format(name=delivery.name, facts=facts_of(delivery)),
        on_failure_callback=DeliveryNotifier(**common, what="ingestion failed"),
        default_args=TASK_DEFAULTS,
    ) as dag:
        find = NewFilesSensor(task_id="find_new_files", pool=delivery.pool, **common)
        several = {"max_active_tis_per_dagrun": delivery.parallel_tasks, **common}
        land = LandEventFilesOperator.partial(
            task_id="land_event_files", map_index_template="{{ task.label }}", pool=delivery.pool,
            build_task_ids=["index_publish_hour", "share_out_units", "flatten_publish_hour"], **several,
        ).expand(chunk=find.output)  # fmt: skip
        check = CheckLandingOperator(task_id="check_landing", landing_task_id="land_event_files", **common)
        # a landing task takes its chunk to the lake; the next three tasks are skipped if all chunks are there
        index = IndexUnitOperator.partial(
            task_id="index_publish_hour", map_index_template="{{ task.units | join(', ') }}", **several
        ).expand(unit=land.output)
        shared = ShareOutUnitsOperator(task_id="share_out_units", lists=index.output, **common)
        flatten = BuildUnitsOperator.partial(
            task_id="flatten_publish_hour", map_index_template="{{ task.units | join(', ') }}", **several
        ).expand(units=shared.output)
        announce = AnnounceRowsOperator(
            task_id="announce_rows", index_task_id=["land_event_files", "index_publish_hour"], **common
        )
        find >> land >> index >> shared >> flatten >> announce
        # the announcement is skipped with the landing, and cannot hide that a task failed
        announce.as_teardown(setups=land)  # type: ignore[arg-type]  # it takes mapped tasks too
        land >> check
    return dag
