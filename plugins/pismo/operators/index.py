"""Index landed files: find their events and copies, and learn the columns of their types."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from pismo.operators.announce import CHANGES
from pismo.operators.delivery import DeliveryOperator
from pismo.runs.window import day_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context, XComArg

    from pismo_lake.index.indexer import IndexSummary


class _IndexOperator(DeliveryOperator):
    """Index the files of publish hours."""

    ui_color = "#f3ecd2"

    def index_hours(self, context: Context, hours: Sequence[str]) -> set[str]:
        """Index the files of these hours, push the counts, and return the units to build."""
        from pismo.connect.ledger import settings_of
        from pismo.signals.metrics import publish_changes, time_step
        from pismo_lake.index.run import index_landed
        from pismo_lake.ledger import FileLedger, RawLedger

        with self.open_delivery(context) as (delivery, ledger):
            names = [file.name for file in RawLedger(ledger, delivery.lake, delivery.name).list_waiting(hours)]
            with time_step(delivery.name, "index"):
                done = index_landed(settings_of(delivery), ledger, hours, log=self.task_log)
            if changes := publish_changes(delivery, ledger, names):
                context["ti"].xcom_push(key=CHANGES, value=changes)
            for name, problem in done.failures:
                self.log.error("landed, but not in the lake, because it could not be indexed: %s: %s", name, problem)
            context["ti"].xcom_push(key="counts", value=_counts(done))
            files = FileLedger(ledger, delivery.lake, delivery.name)
            return set(files.units_of_hours(done.publish_hours)) & set(files.unbuilt_units())


class IndexUnitOperator(_IndexOperator):
    """Index a unit's files; push the units to build.

    These are the unit itself, and later units that hold a copy which now loses. If a file cannot be indexed, the
    others of its hour and other hours are still indexed; the build of its own hour fails and names it. A closed day
    has no files without an index: its unit is passed on.
    """

    template_fields = (*DeliveryOperator.template_fields, "unit")

    def __init__(self, *, unit: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.unit = unit

    def execute(self, context: Context) -> list[str]:
        """Index the unit's files and return the units to build, oldest first."""
        return sorted({self.unit} | self.index_hours(context, [self.unit]))


class IndexPublishDayOperator(_IndexOperator):
    """Index the files that a closing run has landed; push the units outside its day to build."""

    template_fields = (*DeliveryOperator.template_fields, "publish_hours")

    def __init__(self, *, publish_hours: Sequence[str] | XComArg, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.publish_hours = publish_hours

    def execute(self, context: Context) -> list[list[str]]:
        """Index the files of the hours; the day's report names each file that cannot be indexed."""
        day = str(day_of(context))
        touched = self.index_hours(context, cast("Sequence[str]", self.publish_hours))
        return [[unit] for unit in sorted(touched) if unit[: len(day)] != day]


def _counts(done: IndexSummary) -> dict[str, Any]:
    """Return the counts for XCom."""
    return asdict(done) | {"unreadable": len(done.unreadable), "failures": len(done.failures)}
