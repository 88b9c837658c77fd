"""Writes the day report, and fails where the day's control totals do not balance."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pismo.operators.delivery import DeliveryOperator
from pismo.runs.window import day_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from pismo_lake.hours import PublishDay
    from pismo_lake.report.model import AccountingLine, DayReport
    from pismo_lake.settings.deliveries import Delivery


class ReportPublishDayOperator(DeliveryOperator):
    """Reconciles the run's publish day and writes its report: JSON, Parquet, and a page for people.

    Control totals that do not balance fail the task, naming each difference. A day that balances and is not complete
    (gaps, files that never came) is told to the delivery's alerts; more of it may yet come.
    """

    ui_color = "#ead9f2"
    template_fields = (*DeliveryOperator.template_fields, "landing_task_id")

    def __init__(self, *, landing_task_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.landing_task_id = landing_task_id

    def execute(self, context: Context) -> dict[str, Any]:
        """The report's figures and where it stands."""
        from pismo.connect.ledger import settings_of
        from pismo.notifications.delivery import tell
        from pismo_lake.errors import UnbalancedError
        from pismo_lake.hours import PublishHour
        from pismo_lake.report.reconcile import reconcile
        from pismo_lake.report.write import write_report

        day = day_of(context)
        counts = context["ti"].xcom_pull(task_ids=self.landing_task_id, key="counts") or {}
        with self.open_delivery(context) as (delivery, ledger):
            report = reconcile(
                settings_of(delivery),
                ledger,
                day,
                organisation=delivery.organisation,
                environment=delivery.environment.value,
                listed=counts.get("listed", "not looked at"),
                accounting=self._accounting(delivery, day) if delivery.accounting_reports else None,
                until=PublishHour.containing(datetime.now(UTC)),
            )
            places = write_report(delivery.lake, report)
        self.log.info("report of %s: %s", day, places[-1])
        differing = [total for total in report.totals if total.difference]
        if differing:
            told = "; ".join(f"{total.what}: {total.left} and {total.right}" for total in differing)
            msg = f"{delivery.name} {day} does not balance: {told}"
            raise UnbalancedError(msg)
        if not report.complete:
            told = "; ".join(report.reasons)
            self.log.error("%s is not complete: %s", day, told)
            tell(delivery, f"{delivery.name}: {day} is closed and not complete", f"{told}\n{places[-1]}")
        return _figures(report) | {"report": places[-1]}

    def _accounting(self, delivery: Delivery, day: PublishDay) -> tuple[AccountingLine, ...] | None:
        """Pismo's own report of the day beside the lake; None where Pismo has written none."""
        from pismo.connect.ledger import settings_of
        from pismo.connect.source import source_of
        from pismo_lake.errors import ListingDenied
        from pismo_lake.report.accounting import compare, report_prefixes

        with source_of(delivery) as source:
            try:
                files = [file for prefix in report_prefixes(str(day)) for file in source.list_prefix(prefix)]
            except ListingDenied as error:
                self.log.warning("Pismo's accounting report cannot be looked for: %s", error)
                return None
            reports = []
            for file in files:
                with source.fetch(file) as chunks:
                    reports.append(b"".join(chunks))
        if not reports:
            self.log.info("Pismo has no accounting report for %s", day)
            return None
        return compare(delivery.lake, str(day), reports, delivery.organisation, settings_of(delivery).key)


def _figures(report: DayReport) -> dict[str, Any]:
    names = ("files", "events", "rows", "duplicates", "conflicts", "rejects", "lake_files", "complete", "balanced")
    return {name: getattr(report, name) for name in names} | {"gaps": len(report.gaps)}
