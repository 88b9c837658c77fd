"""Pull the schemas that Pismo publishes, after a close."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowSkipException

from pismo.operators.delivery import DeliveryOperator
from pismo.runs.window import day_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from pismo_lake.hours import PublishDay
    from pismo_lake.schemas import Pull


class PullSchemasOperator(DeliveryOperator):
    """Pull schemas into the delivery's folder of contracts, and send an alert about those that are news.

    It comes last, as a teardown: a failure is red here, and does not decide the state of the run.
    """

    ui_color = "#ead9f2"

    def execute(self, context: Context) -> dict[str, int]:
        """Return the number of schemas by state."""
        from pismo.notifications import send_alert
        from pismo.signals.alerts import alert_schemas

        dry_run = bool(context["params"].get("dry_run"))
        pulled = self._pull(context, day_of(context), dry_run=dry_run)
        for schema in pulled.schemas:
            is_done = schema.fate in {"written", "kept"}
            (self.log.info if is_done else self.log.warning)("%s", "\n  ".join([str(schema), *schema.meanings()]))
        self.log.info("%s", pulled)
        if dry_run:
            raise AirflowSkipException("dry run: nothing was pulled")
        if pulled.news:
            send_alert(self.read_delivery(), alert_schemas(self.delivery_name, pulled), dict(context))
        return pulled.counts()

    def _pull(self, context: Context, day: PublishDay, *, dry_run: bool) -> Pull:
        from pismo.connect.schemas import lakes_of_folder, schema_source
        from pismo_lake.report.announced import schemas_of_day
        from pismo_lake.schemas import pull_schemas
        from pismo_lake.settings.schema_pull import Announced, TypeChanges

        with self.open_delivery(context) as (delivery, ledger):
            rules = delivery.contracts.pull
            if rules is None:
                raise AirflowSkipException("the delivery pulls no schemas any more")
            settings = delivery.settings
            is_applied = rules.announced is Announced.APPLY
            return pull_schemas(
                settings,
                ledger,
                schema_source(delivery),
                announced=schemas_of_day(settings, ledger, str(day)) if is_applied else (),
                apply_types=rules.type_changes is TypeChanges.APPLY,
                lakes=lakes_of_folder(delivery, self.deliveries_file),
                dry_run=dry_run,
            )
