"""Finds event files that are not landed yet; waits deferred, and ends skipped where there is nothing to do."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from pismo.runs.window import window_of

if TYPE_CHECKING:
    import logging

    from airflow.sdk import Context

    from pismo.runs.window import Window
    from pismo_lake.settings.deliveries import Delivery


class NewFilesSensor(BaseOperator):
    """Looks once in the worker, then waits in the triggerer for up to the delivery's `wait_minutes`.

    For a window that is over, as a backfill's, nothing is waited for.
    Pushes publish hours and counts. A denied listing is no fault where there are notices or the run was given object
    keys. A dry run ends here, skipped, after it has said what it would do.
    """

    ui_color = "#e8f1fb"
    template_fields = ("delivery_name", "deliveries_file")

    def __init__(self, *, delivery_name: str, deliveries_file: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.delivery_name, self.deliveries_file = delivery_name, deliveries_file

    def execute(self, context: Context) -> dict[str, object]:
        """Look once; defer where nothing is there yet."""
        from pismo.triggers.new_files import NewFilesTrigger
        from pismo_lake.settings.deliveries import find_delivery

        delivery = find_delivery(self.deliveries_file, self.delivery_name)
        window = window_of(context, delivery)
        if context["params"].get("dry_run"):
            self._tell(delivery, window, context)
            raise AirflowSkipException("dry run")
        report = self._look(delivery, window, context)
        if report is not None:
            return report
        past = not window.hours or window.hours[-1].plus(1).start <= datetime.now(UTC)
        if past or delivery.wait_minutes <= 0:
            # a backfill of hours long over would only wait for what late files' own runs find
            raise AirflowSkipException("nothing new")
        hours = [str(hour) for hour in window.hours]
        deadline = time.time() + delivery.wait_minutes * 60
        self.log.info("nothing new in %s to %s yet, waiting %s min", hours[0], hours[-1], delivery.wait_minutes)
        trigger = NewFilesTrigger(self.deliveries_file, self.delivery_name, hours, deadline)
        self.defer(trigger=trigger, method_name="resume")
        raise AssertionError("defer() does not return")

    def resume(self, context: Context, event: dict[str, Any]) -> dict[str, object]:
        """Back from the triggerer: look once more where it saw files, skip where it did not."""
        from pismo_lake.settings.deliveries import find_delivery

        if event["status"] == "error":
            # the worker's own look raises what is wrong by its name
            self.log.warning("the triggerer stopped looking: %s", event["message"])
        delivery = find_delivery(self.deliveries_file, self.delivery_name)
        report = None if event["status"] == "nothing" else self._look(delivery, window_of(context, delivery), context)
        if report is None:
            raise AirflowSkipException("nothing new")
        return report

    def _look(self, delivery: Delivery, window: Window, context: Context) -> dict[str, object] | None:
        """What there is to do, None where there is nothing."""
        from pismo.connect.ledger import ledger_of
        from pismo.runs.find import look, resolved
        from pismo_lake.ledger import FileLedger

        with ledger_of(delivery, context) as ledger:
            unbuilt = FileLedger(ledger, delivery.lake, delivery.name).unbuilt_units()
            found = look(delivery, ledger, resolved(window, delivery, ledger))
        if not (found or unbuilt or window.force):
            return None
        self.log.info(
            "%d new file(s), about %d notice(s), %d hour(s) or day(s) waiting to be built",
            len(found.files), found.notices, len(unbuilt),
        )  # fmt: skip
        return found.summary(unbuilt)

    def _tell(self, delivery: Delivery, window: Window, context: Context) -> None:
        from pismo.connect.ledger import ledger_of
        from pismo.runs.dry_run import tell_plan
        from pismo.runs.find import forced_units, look, resolved
        from pismo_lake.ledger import FileLedger

        with ledger_of(delivery, context) as ledger:
            window = resolved(window, delivery, ledger)
            files = FileLedger(ledger, delivery.lake, delivery.name)
            units = {*files.unbuilt_units(), *forced_units(files, window)}
            found = look(delivery, ledger, window)
            tell_plan(delivery, ledger, found, units, force=window.force, log=cast("logging.Logger", self.log))
