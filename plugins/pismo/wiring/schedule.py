"""Schedule a delivery's ingestion: by the clock, and also by notices if it has any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetOrTimeSchedule, AssetWatcher, CronDataIntervalTimetable

from pismo.triggers.notices_waiting import NoticesWaitingTrigger
from pismo_lake.settings.delivery import CONTINUOUS

if TYPE_CHECKING:
    from pismo_lake.settings.deliveries import Delivery


def schedule_of(delivery: Delivery, deliveries_file: str) -> Any:
    """Return the DAG's schedule: the clock, and also the doorbell if the delivery has notices.

    The clock stays, because only listing finds a file if its notice is lost. Airflow knows `@continuous` itself.
    """
    if delivery.schedule == CONTINUOUS:
        return CONTINUOUS
    clock = CronDataIntervalTimetable(delivery.schedule, timezone="UTC")
    if delivery.notices is None:
        return clock
    trigger = NoticesWaitingTrigger(deliveries_file, delivery.name, delivery.notices.pause_seconds)
    bell = Asset(f"pismo_notices_{delivery.name}", watchers=[AssetWatcher(name="notices", trigger=trigger)])
    return AssetOrTimeSchedule(timetable=clock, assets=[bell])
