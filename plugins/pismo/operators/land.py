"""Land the new event files of a run's window: raw bytes, and a row in the ledger."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pismo.operators.delivery import DeliveryOperator
from pismo.runs.window import LONGEST_HOURS, day_of, day_window, window_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from pismo.runs.land import Landed
    from pismo.runs.window import Window
    from pismo_lake.ledger import Ledger
    from pismo_lake.settings.deliveries import Delivery

FAILURES = "failures"
"""The XCom key of the files that could not be landed."""


class LandEventFilesOperator(DeliveryOperator):
    """Fetch files in parallel, check their sizes, and push the units to index or build.

    A unit is a publish hour or a closed day.
    """

    ui_color = "#fdf3dc"

    def execute(self, context: Context) -> list[str]:
        """Drain the notices, list further files, and land all of them.

        A file that fails does not stop the others: the task succeeds, and `CheckLandingOperator` names the failed
        files. Airflow retries this task only if the run has nothing else to do and a retry may help.
        """
        from pismo.notifications import send_alert
        from pismo.runs.failures import count_failures, failures_for_xcom
        from pismo.runs.find import resolve_events
        from pismo.runs.land import land_window
        from pismo.signals.alerts import alerts_of_landing
        from pismo.signals.lineage import is_wanted, lineage_of_landing
        from pismo.signals.metrics import time_step
        from pismo_lake.errors import landing_error

        with self.open_delivery(context) as (delivery, ledger):
            window = resolve_events(self._window(context, delivery), delivery, ledger)
            with time_step(delivery.name, "land"):
                landed = land_window(delivery, ledger, window, self.task_log)
            if is_wanted():
                self.lineage = lineage_of_landing(delivery, landed.summary.files, landed.summary.bytes)
            units = self._units(context, delivery, ledger, window, landed)
            if landed.failures and not units and _may_try_again(context):
                error = landing_error(landed.failures)
                if not error.permanent:
                    raise error
            failed = count_failures(delivery, ledger, window, landed)
            for alert in alerts_of_landing(delivery, landed, failed):
                send_alert(delivery, alert, dict(context))
        if len(units) > LONGEST_HOURS:
            self.log.warning("%d units to build, %d now, the others in the next run", len(units), LONGEST_HOURS)
        counts = landed.counts | asdict(landed.summary) | {"failed": len(landed.failures)}
        context["ti"].xcom_push(key="counts", value=counts | {"publish_hours": len(units), "listed": landed.listed})
        context["ti"].xcom_push(key=FAILURES, value=failures_for_xcom(failed))
        # the newest first: a backlog of old hours must not delay fresh events
        return sorted(sorted(units, reverse=True)[:LONGEST_HOURS])

    def _window(self, context: Context, delivery: Delivery) -> Window:
        return window_of(context, delivery)

    def _units(
        self, context: Context, delivery: Delivery, ledger: Ledger, window: Window, landed: Landed  # noqa: ARG002
    ) -> set[str]:  # fmt: skip
        """Return the units that need an index or a build, also after a crash, and forced ones."""
        from pismo.runs.find import find_forced_units
        from pismo_lake.ledger import FileLedger

        files = FileLedger(ledger, delivery.lake, delivery.name)
        return {*files.unbuilt_units(), *find_forced_units(files, window)}


class LandPublishDayOperator(LandEventFilesOperator):
    """Land missing files of a publish day and of the hours beside it; push the hours to index.

    If listing is denied, or switched off for the run, the day has only the files that notices and the ledger name.
    """

    def _window(self, context: Context, delivery: Delivery) -> Window:  # noqa: ARG002 - the signature is the other's
        return day_window(context)

    def _units(
        self, context: Context, delivery: Delivery, ledger: Ledger, window: Window, landed: Landed  # noqa: ARG002
    ) -> set[str]:  # fmt: skip
        from pismo_lake.ledger import RawLedger

        # outside the day only the hours of this landing: else each of thirty days would do the work of the others
        left = RawLedger(ledger, delivery.lake, delivery.name).hours_of_day(str(day_of(context)))
        return {*left, *landed.summary.publish_hours}


class CheckLandingOperator(DeliveryOperator):
    """Fail if files could not be landed, and name each with its reason.

    The other files are indexed and built meanwhile. A retry of this task cannot help: the next run tries the files
    again, until they are quarantined.
    """

    ui_color = "#fdf3dc"
    template_fields = (*DeliveryOperator.template_fields, "landing_task_id")

    def __init__(self, *, landing_task_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.landing_task_id = landing_task_id

    def execute(self, context: Context) -> None:
        """Raise `LandingRefusedError` with the files that the landing task could not land."""
        from pismo.runs.failures import refusal_of

        failed = context["ti"].xcom_pull(task_ids=self.landing_task_id, key=FAILURES) or []
        error = refusal_of(failed)
        if error is None:
            return
        for key, problem in error.failures.items():
            self.log.error("not landed: %s: %s", key, problem)
        raise error


def _may_try_again(context: Context) -> bool:
    task_instance = context["ti"]
    return task_instance.try_number <= task_instance.max_tries
