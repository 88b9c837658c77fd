"""Land the new event files of a run's window: raw bytes, and a row in the ledger."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from pismo.operators.delivery import DeliveryOperator
from pismo.runs.window import LONGEST_HOURS, day_of, day_window, window_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from pismo.runs.land import Landed
    from pismo.runs.window import Window
    from pismo_lake.ledger import Ledger
    from pismo_lake.settings.deliveries import Delivery


class LandEventFilesOperator(DeliveryOperator):
    """Fetch files side by side, check their size, and push the units (publish hours, closed days) to look at.

    These units have files without an index, or wait for a build.
    """

    ui_color = "#fdf3dc"

    def execute(self, context: Context) -> list[str]:
        """Drain the notices, list further files, and land; a file that fails does not keep others from landing."""
        from pismo.runs.find import resolve_events
        from pismo.runs.land import land_window
        from pismo_lake.errors import landing_error

        with self.open_delivery(context) as (delivery, ledger):
            window = resolve_events(self._window(context, delivery), delivery, ledger)
            landed = land_window(delivery, ledger, window, self.task_log)
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
    """Land the missing files of a publish day and of the hours beside it; push the hours to index.

    If listing is denied, or switched off for the run, the day consists of the files that notices and the ledger know.
    """

    def _window(self, context: Context, delivery: Delivery) -> Window:  # noqa: ARG002 - the signature is the other's
        return day_window(context)

    def _units(
        self, context: Context, delivery: Delivery, ledger: Ledger, window: Window, landed: Landed  # noqa: ARG002
    ) -> set[str]:  # fmt: skip
        from pismo_lake.ledger import RawLedger

        # beside the day only what this landing touched: thirty days at once must not each do what the others land
        left = RawLedger(ledger, delivery.lake, delivery.name).hours_of_day(str(day_of(context)))
        return {*left, *landed.summary.publish_hours}
