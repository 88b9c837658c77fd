"""Index landed files: find their events and copies, and learn the columns of their types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from pismo.operators.announce import CHANGES
from pismo.operators.delivery import DeliveryOperator
from pismo.runs.window import day_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context, XComArg


class _IndexOperator(DeliveryOperator):
    """Index the files of publish hours."""

    ui_color = "#f3ecd2"

    def index_hours(self, context: Context, hours: Sequence[str]) -> set[str]:
        """Index the files of these hours, push the counts, and return the units to build."""
        from pismo.operators.steps import index_files
        from pismo_lake.ledger import FileLedger

        with self.open_delivery(context) as (delivery, ledger):
            indexed = index_files(delivery, ledger, hours, log=self.task_log)
            if indexed.changes:
                context["ti"].xcom_push(key=CHANGES, value=indexed.changes)
            context["ti"].xcom_push(key="counts", value=indexed.counts())
            files = FileLedger(ledger, delivery.lake, delivery.name)
            return set(files.units_of_hours(indexed.summary.publish_hours)) & set(files.unbuilt_units())


class IndexUnitOperator(_IndexOperator):
    """Index the files of units that a landing task left; push the units to build.

    These are the units themselves, and later units that hold a copy which now loses. If a file cannot be indexed, the
    others of its hour and other hours are still indexed; the build of its own hour fails and names it. A closed day
    has no files without an index: its unit is passed on.
    """

    template_fields = (*DeliveryOperator.template_fields, "unit")

    def __init__(self, *, unit: str | Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.unit = unit

    @property
    def units(self) -> list[str]:
        """Return the units, also if there is only one."""
        return [self.unit] if isinstance(self.unit, str) else list(self.unit)

    def execute(self, context: Context) -> list[str]:
        """Index the files of the units and return the units to build, oldest first."""
        return sorted({*self.units, *self.index_hours(context, self.units)})


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
