"""Lands the new event files of a run's window: raw bytes, and a row in the ledger."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import BaseOperator

from pismo.runs.window import LONGEST_HOURS, day_of, day_window, window_of

if TYPE_CHECKING:
    import logging

    from airflow.sdk import Context

    from pismo.runs.land import Landed
    from pismo.runs.window import Window
    from pismo_lake.ledger import Ledger
    from pismo_lake.settings.deliveries import Delivery


class LandEventFilesOperator(BaseOperator):
    """Streams files side by side, checks their size, and pushes the units (publish hours, closed days) to look at.

    These have files without an index, or wait for a build.
    """

    ui_color = "#fdf3dc"
    template_fields = ("delivery_name", "deliveries_file")

    def __init__(self, *, delivery_name: str, deliveries_file: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.delivery_name, self.deliveries_file = delivery_name, deliveries_file

    def execute(self, context: Context) -> list[str]:
        """Drain the notices, list what they did not tell, land; files that fail do not keep the others from landing."""
        from pismo.connect.ledger import ledger_of
        from pismo.runs.find import resolved
        from pismo.runs.land import land_window
        from pismo_lake.errors import landing_error
        from pismo_lake.settings.deliveries import find_delivery

        delivery = find_delivery(self.deliveries_file, self.delivery_name)
        with ledger_of(delivery, context) as ledger:
            window = resolved(self._window(context, delivery), delivery, ledger)
            landed = land_window(delivery, ledger, window, cast("logging.Logger", self.log))
            if landed.failures:
                raise landing_error(landed.failures)
            units = self._units(context, delivery, ledger, window, landed)
        if len(units) > LONGEST_HOURS:
            self.log.warning("%d units to build, %d now, the others in the next run", len(units), LONGEST_HOURS)
        counts = landed.counts | asdict(landed.summary)
        context["ti"].xcom_push(key="counts", value=counts | {"publish_hours": len(units), "listed": landed.listed})
        # the newest first: a backlog of hours to build anew must not keep fresh events waiting
        return sorted(sorted(units, reverse=True)[:LONGEST_HOURS])

    def _window(self, context: Context, delivery: Delivery) -> Window:
        return window_of(context, delivery)

    def _units(
        self, context: Context, delivery: Delivery, ledger: Ledger, window: Window, landed: Landed  # noqa: ARG002
    ) -> set[str]:  # fmt: skip
        """Return the units that wait for an index or a build, also after a crash, and those that `force` asks for."""
        from pismo.runs.find import forced_units
        from pismo_lake.ledger import FileLedger

        files = FileLedger(ledger, delivery.lake, delivery.name)
        return {*files.unbuilt_units(), *forced_units(files, window)}


class LandPublishDayOperator(LandEventFilesOperator):
    """Lands what is missing of a publish day and of the hours beside it; pushes the hours to index.

    Where listing is denied, or the run does not want it, the day is what notices and the ledger know.
    """

    def _window(self, context: Context, delivery: Delivery) -> Window:  # noqa: ARG002 - the signature is the other's
        return day_window(context)

    def _units(
        self, context: Context, delivery: Delivery, ledger: Ledger, window: Window, landed: Landed  # noqa: ARG002
    ) -> set[str]:  # fmt: skip
        from pismo_lake.ledger.raw_files import RawLedger

        # beside the day only what this landing touched: thirty days at once must not each do what the others land
        left = RawLedger(ledger, delivery.lake, delivery.name).hours_of_day(str(day_of(context)))
        return {*left, *landed.summary.publish_hours}
