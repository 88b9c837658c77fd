"""Wait in the triggerer until a publish day has settled, so that late files can arrive."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from pismo.operators.delivery import DeliverySensor
from pismo.runs.refused import refuse_wrong_params
from pismo.runs.window import day_of, day_window

if TYPE_CHECKING:
    from airflow.sdk import Context


class DaySettledSensor(DeliverySensor):
    """Wait until the delivery's `close_after_hours` after the end of the run's publish day.

    If the run names its day, it does not wait. A dry run logs its plan here and ends as skipped.
    """

    ui_color = "#e8f1fb"

    def execute(self, context: Context) -> str:
        """Return the publish day, YYYY-MM-DD, once it has settled."""
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger

        with refuse_wrong_params(self.task_log):
            day_of(context)
        if context["params"].get("dry_run"):
            self._log_plan(context)
            raise AirflowSkipException("dry run")
        if self.poke(context):
            return str(day_of(context))
        settled = self._settled_at(context)
        self.log.info("%s settles at %s, waiting", day_of(context), settled.isoformat())
        self.defer(trigger=DateTimeTrigger(moment=settled), method_name="resume")
        raise AssertionError("defer() does not return")

    def resume(self, context: Context, event: Any = None) -> str:  # noqa: ARG002 - the signature is Airflow's
        """Return the publish day after the triggerer's wait."""
        return str(day_of(context))

    def poke(self, context: Context) -> bool:
        """Return whether the day has settled, or the run names it."""
        return bool(context["params"].get("publish_day")) or self._settled_at(context) <= datetime.now(UTC)

    def _settled_at(self, context: Context) -> datetime:
        return day_of(context).start + timedelta(days=1, hours=self.read_delivery().close_after_hours)

    def _log_plan(self, context: Context) -> None:
        from pismo.runs.dry_run import log_plan
        from pismo.runs.find import look

        with self.open_delivery(context) as (delivery, ledger):
            found = look(delivery, ledger, day_window(context))
            force = bool(context["params"].get("force"))
            log_plan(delivery, ledger, found, [str(day_of(context))], force=force, log=self.task_log)
