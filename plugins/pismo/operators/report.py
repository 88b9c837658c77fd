"""Write the day report; fail if the day is incomplete or its control totals do not balance."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias

from pismo.operators.delivery import DeliveryOperator
from pismo.operators.links import DayReportLink
from pismo.runs.window import day_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from pismo_lake.hours import PublishDay
    from pismo_lake.ledger import Ledger
    from pismo_lake.report.model import AccountingLine, DayReport
    from pismo_lake.settings.deliveries import Delivery


class ReportPublishDayOperator(DeliveryOperator):
    """Reconcile the run's publish day and write its report: JSON, Parquet, and HTML.

    Only a complete day updates the asset. The outlet is an alias, because every success updates a plain outlet. The
    task fails if the day's control totals differ, or if files of the lake differ from the ledger. It also fails if the
    day is incomplete (gaps, or files that never arrived), unless the delivery's `fail_incomplete` is false. Both cases
    send the reasons to the delivery's alerts.
    """

    ui_color = "#ead9f2"
    operator_extra_links = (DayReportLink(),)
    template_fields = (*DeliveryOperator.template_fields, "landing_task_id")

    def __init__(self, *, landing_task_id: str, asset_name: str, **kwargs: Any) -> None:
        super().__init__(outlets=[AssetAlias(f"{asset_name}_complete_days")], **kwargs)
        self.landing_task_id, self.asset_name = landing_task_id, asset_name

    def execute(self, context: Context) -> dict[str, Any]:
        """Write the report; return its figures and its path.

        Raises:
            UnbalancedError: the control totals differ.
            DayIncompleteError: the day is incomplete, and the delivery's `fail_incomplete` is true.
        """
        from pismo.signals.lineage import is_wanted, lineage_of_report
        from pismo.signals.metrics import publish_day
        from pismo_lake.errors import DayIncompleteError
        from pismo_lake.report.model import DayVerdict

        day = day_of(context)
        delivery, report, place, changed = self._report(context, day)
        self.log.info("report of %s: %s", day, place)
        publish_day(report)
        if is_wanted():
            self.lineage = lineage_of_report(delivery, report, place)
        figures = _figures(report) | {"report": place}
        # push before the task can fail: other tasks read the verdict of an incomplete day too
        context["ti"].xcom_push(key="report", value=figures)
        _refuse_unbalanced(delivery, report)
        match report.verdict:
            case DayVerdict.COMPLETE:
                self.log.info("%s", report)
                extra = {"publish_date": str(day), "verdict": report.verdict.value, "report": place, **changed}
                context["outlet_events"][self.outlets[0]].add(Asset(self.asset_name), extra=extra)
            case DayVerdict.INCOMPLETE:
                self.log.warning("%s", report)
                self._alert(context, delivery, report, place)
                if delivery.fail_incomplete:
                    raise DayIncompleteError(str(report))
            case DayVerdict.NO_FILES:
                (self.log.info if report.ever else self.log.warning)("%s", report)
                self._alert(context, delivery, report, place)
        return figures

    def _report(self, context: Context, day: PublishDay) -> tuple[Delivery, DayReport, str, dict[str, Any]]:
        """Reconcile the day and write its report; return its page, and the content of a complete day, too."""
        from pismo.connect.ledger import settings_of
        from pismo.signals.assets import extra_of
        from pismo_lake.build.changes import changes_of_day
        from pismo_lake.hours import PublishHour
        from pismo_lake.report.reconcile import reconcile
        from pismo_lake.report.write import publish_report

        counts = context["ti"].xcom_pull(task_ids=self.landing_task_id, key="counts") or {}
        with self.open_delivery(context) as (delivery, ledger):
            settings = settings_of(delivery)
            report = reconcile(
                settings,
                ledger,
                day,
                organisation=delivery.organisation,
                environment=delivery.environment.value,
                listed=counts.get("listed", "not looked at"),
                accounting=self._accounting(delivery, ledger, day) if delivery.accounting_reports else None,
                until=PublishHour.of_moment(datetime.now(UTC)),
            )
            # only the event of a complete day carries it
            changed = {}
            if report.complete:
                changed = extra_of(delivery, ledger, changes_of_day(delivery.settings, ledger, day))
            written = publish_report(settings, ledger, report)
            return delivery, report, written[-1], changed

    def _alert(self, context: Context, delivery: Delivery, report: DayReport, place: str) -> None:
        from pismo.notifications import send_alert
        from pismo.signals.alerts import alert_day

        if alert := alert_day(report, place):
            send_alert(delivery, alert, dict(context))

    def _accounting(self, delivery: Delivery, ledger: Ledger, day: PublishDay) -> tuple[AccountingLine, ...] | None:
        """Compare the day with Pismo's own report; return None if Pismo has not written one."""
        from pismo.connect.ledger import settings_of
        from pismo.connect.source import source_of
        from pismo_lake.errors import ListingDenied
        from pismo_lake.ledger.known_files import kept_outputs
        from pismo_lake.report.accounting import compare, report_prefixes

        with source_of(delivery) as source:
            try:
                files = [file for prefix in report_prefixes(str(day)) for file in source.list_prefix(prefix)]
            except ListingDenied as error:
                self.log.warning("cannot look for Pismo's accounting report: %s", error)
                return None
            reports = []
            for file in files:
                with source.fetch(file) as chunks:
                    reports.append(b"".join(chunks))
        if not reports:
            self.log.info("Pismo has no accounting report for %s", day)
            return None
        kept = kept_outputs(ledger, delivery.lake)
        return compare(delivery.lake, str(day), reports, delivery.organisation, settings_of(delivery).key, kept)


def _refuse_unbalanced(delivery: Delivery, report: DayReport) -> None:
    """Raise `UnbalancedError` with each unequal control total and each stray file."""
    from pismo_lake.errors import UnbalancedError

    differing = [f"{file.path} ({file.state})" for file in report.stray_files]
    differing += [f"{total.what}: {total.left} and {total.right}" for total in report.totals if total.difference]
    if differing:
        msg = f"{delivery.name} {report.publish_date} does not balance: {'; '.join(differing)}"
        raise UnbalancedError(msg)


def _figures(report: DayReport) -> dict[str, Any]:
    names = ("files", "events", "rows", "duplicates", "conflicts", "rejects", "lake_files", "complete", "balanced")
    figures: dict[str, Any] = {name: getattr(report, name) for name in names}
    return figures | {"verdict": report.verdict.value, "reasons": list(report.reasons), "gaps": len(report.gaps)}
