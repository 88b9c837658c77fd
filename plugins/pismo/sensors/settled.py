"""Waits, in the triggerer, until a publish day has settled: late files have had their time to come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from pismo.runs.window import day_of, day_window

if TYPE_CHECKING:
    import logging

    from airflow.sdk import Context

    from pismo_lake.settings.deliveries import Delivery


class DaySettledSensor(BaseOperator):
    """Waits until the delivery's `close_after_hours` after the end of the run's publish day.

    A day that was asked for by name is not waited for. A dry run ends here, skipped, after it has said what it would
    do.
    """

    ui_color = "#e8f1fb"
    template_fields = ("delivery_name", "deliveries_file")

    def __init__(self, *, delivery_name: str, deliveries_file: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.delivery_name, self.deliveries_file = delivery_name, deliveries_file

    def execute(self, context: Context) -> str:
        """The publish day, YYYY-MM-DD, once it has settled."""
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger

        from pismo_lake.settings.deliveries import find_delivery

        delivery = find_delivery(self.deliveries_file, self.delivery_name)
        day = day_of(context)
        if context["params"].get("dry_run"):
            self._tell(delivery, context)
            raise AirflowSkipException("dry run")
        settled = day.start + timedelta(days=1, hours=delivery.close_after_hours)
        if context["params"].get("publish_day") or settled <= datetime.now(UTC):
            return str(day)
        self.log.info("%s has settled at %s, waiting", day, settled.isoformat())
        self.defer(trigger=DateTimeTrigger(moment=settled), method_name="resume")
        raise AssertionError("defer() does not return")

    def resume(self, context: Context, event: Any = None) -> str:  # noqa: ARG002 - the signature is Airflow's
        """Back from the triggerer."""
        return str(day_of(context))

    def _tell(self, delivery: Delivery, context: Context) -> None:
        from pismo.connect.ledger import ledger_of
        from pismo.runs.dry_run import tell_plan
        from pismo.runs.find import look

        with ledger_of(delivery, context) as ledger:
            found = look(delivery, ledger, day_window(context))
            force, log = bool(context["params"].get("force")), cast("logging.Logger", self.log)
            tell_plan(delivery, ledger, found, [str(day_of(context))], force=force, log=log)
