"""When a delivery's ingestion runs: by the clock, and where there are notices also when they ring."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetOrTimeSchedule, AssetWatcher, CronDataIntervalTimetable

from pismo.triggers.notices_waiting import NoticesWaitingTrigger

if TYPE_CHECKING:
    from pismo_lake.settings.deliveries import Delivery


def schedule_of(delivery: Delivery, deliveries_file: str) -> Any:
    """The DAG's schedule; the clock stays where there is a bell: a notice that never comes is found by listing."""
    clock = CronDataIntervalTimetable(delivery.schedule, timezone="UTC")
    if delivery.notices is None:
        return clock
    trigger = NoticesWaitingTrigger(deliveries_file, delivery.name, delivery.notices.poll_seconds)
    bell = Asset(f"pismo_notices_{delivery.name}", watchers=[AssetWatcher(name="notices", trigger=trigger)])
    return AssetOrTimeSchedule(timetable=clock, assets=[bell])
