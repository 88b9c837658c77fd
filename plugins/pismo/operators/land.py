"""Lands the new event files of a run's window: raw bytes, index, contracts, ledger."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import BaseOperator

from pismo.windows import LONGEST_HOURS, window_of

if TYPE_CHECKING:
    import logging
    from collections.abc import Sequence

    from airflow.sdk import Context

    from pismo.windows import Window
    from pismo_lake.deliveries import Delivery
    from pismo_lake.errors import PismoError
    from pismo_lake.landing import LandSummary, RemoteFile
    from pismo_lake.ledger import Ledger


class LandEventFilesOperator(BaseOperator):
    """Streams files side by side, checks their size, and pushes the publish hours that need a build."""

    ui_color = "#fdf3dc"
    template_fields = ("delivery_name", "deliveries_file")

    def __init__(self, *, delivery_name: str, deliveries_file: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.delivery_name, self.deliveries_file = delivery_name, deliveries_file

    def execute(self, context: Context) -> list[str]:
        """Drain the notices, list what they did not tell, land; files that fail do not keep the others from landing."""
        from pismo.stores import configure_storage, open_ledger
        from pismo_lake.deliveries import find_delivery

        delivery = find_delivery(self.deliveries_file, self.delivery_name)
        configure_storage(delivery)
        window = window_of(context, delivery)
        ledger = open_ledger(delivery)
        try:
            landed, counts = self._land(delivery, ledger, window)
            # what a crash left between landing and building is taken along
            units = set(ledger.unbuilt_units(delivery.name, delivery.lake))
            if window.force:
                hours = {*map(str, window.hours), *ledger.hours_of_keys(delivery.name, window.object_keys)}
                units |= set(ledger.units_of(delivery.name, delivery.lake, hours))
        finally:
            ledger.close()
        if len(units) > LONGEST_HOURS:
            self.log.warning("%d publish hours to build, %d now, the others in the next run", len(units), LONGEST_HOURS)
        counts |= asdict(landed) | {"publish_hours": len(units), "unreadable": len(landed.unreadable)}
        context["ti"].xcom_push(key="counts", value=counts)
        # the newest first: a backlog of hours to build anew must not keep fresh events waiting
        return sorted(sorted(units, reverse=True)[:LONGEST_HOURS])

    def _land(self, delivery: Delivery, ledger: Ledger, window: Window) -> tuple[LandSummary, dict[str, Any]]:
        from contextlib import closing

        from pismo.drain import drain
        from pismo.finding import find_files
        from pismo.queues.queue import open_queue
        from pismo.sources import source_of
        from pismo_lake.errors import LandingIncompleteError
        from pismo_lake.landing import incomplete, land_files, merged
        from pismo_lake.later_copies import LaterCopies

        log = cast("logging.Logger", self.log)
        summaries: list[LandSummary] = []
        failures: dict[str, PismoError] = {}
        counts: dict[str, Any] = {}
        later = LaterCopies(delivery.settings, ledger)
        with source_of(delivery) as source:

            def land(files: Sequence[RemoteFile]) -> LandSummary:
                return land_files(
                    delivery.settings, ledger, files, source.fetch,
                    parallel=delivery.parallel_downloads, later=later, log=log,
                )  # fmt: skip

            if delivery.notices is not None and not window.object_keys:
                with closing(open_queue(delivery)) as queue:
                    drained = drain(delivery, delivery.notices, queue, source, ledger, land, log)
                summaries, failures, counts = drained.summaries, drained.failures, {"notices": drained.counts()}
            found = find_files(source, ledger, delivery, window)
            if found.unlisted is not None:
                log.info("nothing was listed: %s; notices alone tell of new files", found.unlisted)
            try:
                summaries.append(land(found.files))
            except LandingIncompleteError as error:
                summaries.append(error.summary)
                failures |= error.failures
        landed = merged(summaries)
        if failures:
            raise incomplete(list(failures.items()), landed)
        return landed, counts
