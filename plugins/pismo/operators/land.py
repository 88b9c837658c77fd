"""Lands the new event files of a run's window: raw bytes, index, contracts, ledger."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import BaseOperator

from pismo.windows import LONGEST_HOURS, window_of

if TYPE_CHECKING:
    import logging

    from airflow.sdk import Context


class LandEventFilesOperator(BaseOperator):
    """Streams files side by side, checks their size, and pushes the publish hours that need a build."""

    ui_color = "#fdf3dc"
    template_fields = ("delivery_name", "deliveries_file")

    def __init__(self, *, delivery_name: str, deliveries_file: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.delivery_name, self.deliveries_file = delivery_name, deliveries_file

    def execute(self, context: Context) -> list[str]:
        """Find again, land, report; files that fail do not keep the others from landing."""
        from pismo.finding import find_files
        from pismo.hooks.s3 import PismoS3Hook
        from pismo.stores import configure_storage, open_ledger
        from pismo_lake.deliveries import find_delivery
        from pismo_lake.landing import land_files

        delivery = find_delivery(self.deliveries_file, self.delivery_name)
        configure_storage(delivery)
        window = window_of(context, delivery)
        hook, ledger = PismoS3Hook(delivery), open_ledger(delivery)
        try:
            files = find_files(hook, ledger, delivery, window)
            landed = land_files(
                delivery.settings,
                ledger,
                files,
                hook.fetch,
                parallel=delivery.parallel_downloads,
                log=cast("logging.Logger", self.log),
            )
            hours = set(landed.publish_hours)
            if window.force:
                hours |= ledger.hours_with_files(delivery.name, delivery.lake, map(str, window.hours))
                hours |= ledger.hours_of_keys(delivery.name, window.object_keys)
        finally:
            ledger.close()
        if len(hours) > LONGEST_HOURS:
            self.log.warning("%d publish hours to build, %d now, the others in the next run", len(hours), LONGEST_HOURS)
        counts = asdict(landed)
        counts |= {"publish_hours": len(hours), "unreadable": len(landed.unreadable)}
        context["ti"].xcom_push(key="counts", value=counts)
        # the newest first: a backlog of hours to build anew must not keep fresh events waiting
        return sorted(sorted(hours, reverse=True)[:LONGEST_HOURS])
