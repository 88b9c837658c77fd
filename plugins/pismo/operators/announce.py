"""Tell Airflow's assets and the delivery's alerts the changes of a run.

These tasks come last, as teardowns: they run also if other tasks failed, and do not decide the state of the run.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from pismo.operators.delivery import DeliveryOperator
from pismo.runs.window import day_of
from pismo.signals.assets import days_asset, extra_of, lake_asset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from pismo_lake.settings.deliveries import Delivery

CHANGES = "contract_changes"
"""The XCom key of the contract changes that an index task found, by event type and kind."""


class _AnnounceOperator(DeliveryOperator):
    """Send an alert about contract changes."""

    ui_color = "#ead9f2"
    template_fields = (*DeliveryOperator.template_fields, "index_task_id")

    def __init__(self, *, index_task_id: str | Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.index_task_id = index_task_id

    def alert_changes(self, context: Context, delivery: Delivery) -> None:
        """Send one alert about the contract changes of all tasks of the run that index files."""
        from pismo.notifications import send_alert
        from pismo.signals.alerts import alert_contracts

        changes: dict[str, Counter[str]] = {}
        names = self.index_task_id
        for task_id in [names] if isinstance(names, str) else names:
            found = context["ti"].xcom_pull(task_ids=task_id, key=CHANGES) or []
            for by_type in [found] if isinstance(found, dict) else found:
                for event_type, kinds in (by_type or {}).items():
                    changes.setdefault(event_type, Counter()).update(kinds)
        if changes:
            send_alert(delivery, alert_contracts(delivery, changes), dict(context))


class AnnounceRowsOperator(_AnnounceOperator):
    """Update the asset of the delivery's rows once for a run, with the counts of the run.

    If the run has written nothing, the task ends as skipped, and the asset is not updated.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(outlets=[lake_asset(kwargs["delivery_name"])], **kwargs)

    def execute(self, context: Context) -> dict[str, Any]:
        """Return the changes, which are the event's extra too."""
        from pismo.connect.ledger import run_of
        from pismo_lake.build.changes import changes_of_run

        with self.open_delivery(context) as (delivery, ledger):
            changes = changes_of_run(delivery.settings, ledger, run_of(context))
            extra = extra_of(delivery, ledger, changes) if changes.units else {}
        self.alert_changes(context, delivery)
        if not changes.units:
            raise AirflowSkipException("this run has written nothing")
        context["outlet_events"][self.outlets[0]].extra = extra
        return extra


class AnnounceDayOperator(_AnnounceOperator):
    """Update the asset of complete days: one event for each event date of the closed day.

    If the day is not complete, the task ends as skipped. Then no event without a date is sent either.
    """

    template_fields = (*_AnnounceOperator.template_fields, "report_task_id")

    def __init__(self, *, report_task_id: str, **kwargs: Any) -> None:
        super().__init__(outlets=[days_asset(kwargs["delivery_name"])], **kwargs)
        self.report_task_id = report_task_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Return the changes, which are the extra of each event too."""
        from pismo_lake.build.changes import MOST_NAMES, changes_of_day
        from pismo_lake.report.model import DayVerdict

        delivery = self.read_delivery()
        self.alert_changes(context, delivery)
        report = context["ti"].xcom_pull(task_ids=self.report_task_id, key="report") or {}
        if report.get("verdict") != DayVerdict.COMPLETE:
            raise AirflowSkipException("the day is not complete")
        day = day_of(context)
        with self.open_delivery(context) as (delivery, ledger):
            changes = changes_of_day(delivery.settings, ledger, day)
            extra = {"publish_date": str(day), **extra_of(delivery, ledger, changes)} if changes.dates else {}
        if not changes.dates:
            raise AirflowSkipException("the day has no rows")
        left_out = len(changes.dates) - MOST_NAMES
        if left_out > 0:
            # events of odd times must not start thousands of runs
            self.log.warning("the oldest %d event dates of %s are not announced", left_out, day)
        event = context["outlet_events"][self.outlets[0]]
        event.extra = extra
        event.add_partitions(extra["event_dates"])
        return extra
