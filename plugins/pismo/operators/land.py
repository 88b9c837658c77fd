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
    """Fetch files side by side, check their size, and push the units (publish hours, closed days) to look at.

    These units have files without an index, or wait for a build.
    """

    ui_color = "#fdf3dc"

    def execute(self, context: Context) -> list[str]:
        """Drain the notices, list further files, and land.

        Files that fail stop no other file: the task ends well, and `CheckLandingOperator` names them. Only if the run
        has nothing else to do, and another try may help, does Airflow try this task again.
        """
        from pismo.runs.failures import count_failures, failures_for_xcom
        from pismo.runs.find import resolve_events
        from pismo.runs.land import land_window
        from pismo_lake.errors import landing_error

        with self.open_delivery(context) as (delivery, ledger):
            window = resolve_events(self._window(context, delivery), delivery, ledger)
            landed = land_window(delivery, ledger, window, self.task_log)
            units = self._units(context, delivery, ledger, window, landed)
            if landed.failures and not units and _may_try_again(context):
                error = landing_error(landed.failures)
                if not error.permanent:
                    raise error
            failed = count_failures(delivery, ledger, window, landed)
        if len(units) > LONGEST_HOURS:
            self.log.warning("%d units to build, %d now, the others in the next run", len(units), LONGEST_HOURS)
        counts = landed.counts | asdict(landed.summary) | {"failed": len(landed.failures)}
        context["ti"].xcom_push(key="counts", value=counts | {"publish_hours": len(units), "listed": landed.listed})
        context["ti"].xcom_push(key=FAILURES, value=failures_for_xcom(failed))
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


class CheckLandingOperator(DeliveryOperator):
    """Fail if files could not be landed, naming each with its reason; all other files go their way meanwhile.

    Another try cannot help: the next run tries the files again, until they are quarantined.
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
