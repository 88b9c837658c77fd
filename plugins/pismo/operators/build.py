"""Build the lake's Parquet files of publish hours and publish days."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from pismo.operators.delivery import DeliveryOperator
from pismo.runs.units import share_out
from pismo.runs.window import day_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow.sdk import Context, XComArg

    from pismo_lake.build.summary import BuildSummary
    from pismo_lake.ledger import Ledger
    from pismo_lake.settings.deliveries import Delivery


class ShareOutUnitsOperator(DeliveryOperator):
    """Merge the lists of units of the index tasks, so that no two build tasks share a unit.

    Lists with few bytes become one, so that many small hours are not a task each.
    """

    ui_color = "#e3f4e6"
    template_fields = (*DeliveryOperator.template_fields, "lists")

    def __init__(self, *, lists: Iterable[Sequence[str]] | XComArg, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.lists = lists

    def execute(self, context: Context) -> list[list[str]]:
        """Return the lists of units."""
        from pismo.runs.chunks import pack
        from pismo_lake.ledger import FileLedger

        shared = share_out(cast("Iterable[Sequence[str]]", self.lists))
        with self.open_delivery(context) as (delivery, ledger):
            files = FileLedger(ledger, delivery.lake, delivery.name)
            sizes = files.sum_bytes(unit for units in shared for unit in units)
            return pack(shared, sizes, delivery.chunk_bytes)


class BuildUnitsOperator(DeliveryOperator):
    """Build a list of units, but leave unchanged parts alone unless the run sets `force`.

    A unit is a publish hour, or a closed day (YYYY-MM-DD) that has the hour.
    """

    ui_color = "#e3f4e6"
    template_fields = (*DeliveryOperator.template_fields, "units")

    def __init__(self, *, units: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units

    def execute(self, context: Context) -> dict[str, Any]:
        """Build the units; fail at the end if a file or a unit could not be read."""
        from pismo.operators.steps import build_units
        from pismo.signals.lineage import is_wanted, lineage_of_build
        from pismo_lake.build.units import refuse_unbuilt

        with self.open_delivery(context) as (delivery, ledger):
            built = build_units(delivery, ledger, self.units, force=must_force(context), log=self.task_log)
            if is_wanted():
                self.lineage = lineage_of_build(delivery, ledger, self.units)
            refuse_unbuilt(built.failures)
            _refuse_unindexed(delivery, ledger, self.units)
        _refuse_unreadable(built.summary)
        return built.counts()


class PlanCloseOperator(DeliveryOperator):
    """Claim and plan a large publish day, so that several tasks write its files."""

    ui_color = "#d9ead3"

    def execute(self, context: Context) -> list[str]:
        """Return the ids of the tasks, the plan's and a number; none if one task closes the day."""
        from pismo.connect.ledger import settings_of
        from pismo_lake.build.day import begin_close

        with self.open_delivery(context) as (delivery, ledger):
            most, least = delivery.close_tasks, delivery.close_task_bytes
            begun = begin_close(
                settings_of(delivery), ledger, day_of(context), most=most, least=least, force=must_force(context),
                log=self.task_log,
            )  # fmt: skip
        if begun is None:
            return []
        token, groups = begun
        return [f"{token}/{group}" for group in range(groups)]


class WriteDayFilesOperator(DeliveryOperator):
    """Write the files of some event types of a planned day; they count only after the day is closed."""

    ui_color = "#d9ead3"
    template_fields = (*DeliveryOperator.template_fields, "part")

    def __init__(self, *, part: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.part = part

    def execute(self, context: Context) -> None:
        """Write the files of one id of the plan; skip it if the plan is stale, as the close does without it."""
        from airflow.sdk.exceptions import AirflowSkipException

        from pismo.connect.ledger import settings_of
        from pismo.signals.metrics import time_step
        from pismo_lake.build.day_tasks import write_part
        from pismo_lake.errors import StalePlanError

        token, _, group = self.part.partition("/")
        with self.open_delivery(context) as (delivery, ledger), time_step(delivery.name, "close"):
            try:
                write_part(
                    settings_of(delivery), ledger, str(day_of(context)), token, int(group), log=self.task_log
                )  # fmt: skip
            except StalePlanError as error:
                raise AirflowSkipException(str(error)) from None


class ClosePublishDayOperator(DeliveryOperator):
    """Rebuild a publish day into a few large files that replace those of its hours.

    An unchanged day is left alone. Files that other tasks have written for `parts`, ids of a plan, are checked and
    taken.
    """

    ui_color = "#d9ead3"
    template_fields = (*DeliveryOperator.template_fields, "parts")

    def __init__(self, *, parts: Sequence[str] | XComArg = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.parts = parts

    def execute(self, context: Context) -> dict[str, Any]:
        """Close the day; with `force`, rebuild it even if it has not changed."""
        from pismo.connect.ledger import settings_of
        from pismo.operators.steps import counts_of
        from pismo.signals.lineage import is_wanted, lineage_of_close
        from pismo.signals.metrics import find_fresh, publish_backlog, publish_build, time_step
        from pismo_lake.build.day import close_day

        parts = list(cast("Iterable[str]", self.parts))
        begun = parts[0].partition("/")[0] if parts else None
        with self.open_delivery(context) as (delivery, ledger):
            day = day_of(context)
            fresh = find_fresh(delivery, ledger, str(day))
            with time_step(delivery.name, "close"):
                built = close_day(
                    settings_of(delivery), ledger, day, force=must_force(context), log=self.task_log, begun=begun
                )
            publish_build(delivery, built, fresh)
            publish_backlog(delivery, ledger)
            if is_wanted():
                self.lineage = lineage_of_close(delivery, ledger, day)
            return counts_of(built)


def must_force(context: Context) -> bool:
    """Return whether a run builds unchanged parts too."""
    # a run with event ids builds their files again: the person doubts something about these events
    return bool(context["params"].get("force") or context["params"].get("event_ids"))


def _refuse_unindexed(delivery: Delivery, ledger: Ledger, units: Sequence[str]) -> None:
    """Raise `IndexIncompleteError` if an attempt to index a file of these hours failed."""
    from pismo_lake.errors import IndexIncompleteError
    from pismo_lake.ledger import RawLedger

    waiting = RawLedger(ledger, delivery.lake, delivery.name).list_waiting(units)
    failed = [(file.name, file.problem) for file in waiting if file.problem]
    if failed:
        raise IndexIncompleteError(failed)


def _refuse_unreadable(built: BuildSummary) -> None:
    """Raise `FramingError` if files could not be read."""
    from pismo_lake.errors import FramingError

    if built.unreadable:
        msg = f"kept in landing and listed in rejects, but unreadable: {', '.join(built.unreadable)}"
        raise FramingError(msg)
