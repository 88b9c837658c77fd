"""Index landed files: where their events are, which are copies, what they teach the contracts."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import BaseOperator

from pismo.runs.window import day_of

if TYPE_CHECKING:
    import logging
    from collections.abc import Sequence

    from airflow.sdk import Context, XComArg

    from pismo_lake.index.run import IndexSummary
    from pismo_lake.ledger import Ledger
    from pismo_lake.settings.deliveries import Delivery


class IndexPublishHourOperator(BaseOperator):
    """Mapped over units; pushes for each the units to build: itself, and later ones that hold a copy which loses now.

    A file that cannot be indexed keeps neither the others of its hour waiting nor other hours: it turns the build of
    its own hour red. A closed day has no files without an index and is handed on.
    """

    ui_color = "#f3ecd2"
    template_fields = ("delivery_name", "deliveries_file", "publish_hour")

    def __init__(self, *, delivery_name: str, deliveries_file: str, publish_hour: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.delivery_name, self.deliveries_file, self.publish_hour = delivery_name, deliveries_file, publish_hour

    def execute(self, context: Context) -> list[str]:
        """Index the hour's files; the units to build."""
        from pismo.connect.ledger import ledger_of
        from pismo_lake.settings.deliveries import find_delivery

        delivery = find_delivery(self.deliveries_file, self.delivery_name)
        with ledger_of(delivery, context) as ledger:
            touched = indexed(delivery, ledger, [self.publish_hour], context, cast("logging.Logger", self.log))
        return sorted({self.publish_hour} | touched)


class IndexPublishDayOperator(BaseOperator):
    """Indexes what a closing day has landed; pushes the units outside the day to build, a list each."""

    ui_color = "#f3ecd2"
    template_fields = ("delivery_name", "deliveries_file", "publish_hours")

    def __init__(
        self, *, delivery_name: str, deliveries_file: str, publish_hours: Sequence[str] | XComArg, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.delivery_name, self.deliveries_file, self.publish_hours = delivery_name, deliveries_file, publish_hours

    def execute(self, context: Context) -> list[list[str]]:
        """Index the hours' files; a file that cannot be indexed is named by the day's report."""
        from pismo.connect.ledger import ledger_of
        from pismo_lake.settings.deliveries import find_delivery

        delivery, day = find_delivery(self.deliveries_file, self.delivery_name), str(day_of(context))
        with ledger_of(delivery, context) as ledger:
            hours = cast("Sequence[str]", self.publish_hours)
            touched = indexed(delivery, ledger, hours, context, cast("logging.Logger", self.log))
        return [[unit] for unit in sorted(touched) if unit[: len(day)] != day]


def indexed(
    delivery: Delivery, ledger: Ledger, hours: Sequence[str], context: Context, log: logging.Logger
) -> set[str]:
    """The units that have to be built for it."""
    from pismo.connect.ledger import settings_of
    from pismo_lake.index.run import index_landed
    from pismo_lake.ledger import FileLedger

    done = index_landed(settings_of(delivery), ledger, hours, log=log)
    for name, problem in done.failures:
        log.error("landed, and not in the lake, since it could not be indexed: %s: %s", name, problem)
    context["ti"].xcom_push(key="counts", value=_counts(done))
    files = FileLedger(ledger, delivery.lake, delivery.name)
    units = files.units_of_hours(done.publish_hours)
    return set(units) & set(files.unbuilt_units())


def _counts(done: IndexSummary) -> dict[str, Any]:
    """For XCom."""
    return asdict(done) | {"unreadable": len(done.unreadable), "failures": len(done.failures)}
