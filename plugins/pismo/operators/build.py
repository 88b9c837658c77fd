"""Build the lake's Parquet files of publish hours and publish days."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from pismo.operators.delivery import DeliveryOperator
from pismo.runs.units import share_out
from pismo.runs.window import day_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow.sdk import Context, XComArg

    from pismo_lake.build.summary import BuildSummary
    from pismo_lake.errors import PismoError
    from pismo_lake.ledger import Ledger
    from pismo_lake.settings.deliveries import Delivery


class ShareOutUnitsOperator(DeliveryOperator):
    """Merge the lists of units of the index tasks, so that no two build tasks share a unit."""

    ui_color = "#e3f4e6"
    template_fields = (*DeliveryOperator.template_fields, "lists")

    def __init__(self, *, lists: Iterable[Sequence[str]] | XComArg, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.lists = lists

    def execute(self, context: Context) -> list[list[str]]:  # noqa: ARG002 - the signature is Airflow's
        """Return the lists of units."""
        return share_out(cast("Iterable[Sequence[str]]", self.lists))


class BuildUnitsOperator(DeliveryOperator):
    """Build a list of units, but leave unchanged parts alone unless the run sets `force`.

    Most lists hold one publish hour. If an hour's day is closed, the list names that day (YYYY-MM-DD) instead.
    """

    ui_color = "#e3f4e6"
    template_fields = (*DeliveryOperator.template_fields, "units")

    def __init__(self, *, units: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units

    def execute(self, context: Context) -> dict[str, Any]:
        """Build the units; fail at the end if a file or a unit could not be read."""
        from pismo.connect.ledger import settings_of
        from pismo.signals.lineage import is_wanted, lineage_of_build
        from pismo.signals.metrics import find_fresh, publish_backlog, publish_build, time_step
        from pismo_lake.build.day import build_unit
        from pismo_lake.build.summary import BuildSummary
        from pismo_lake.build.units import UNIT_ERRORS, refuse_unbuilt

        # a run with event ids builds their files again: the person doubts something about these events
        force = bool(context["params"].get("force") or context["params"].get("event_ids"))
        built = BuildSummary(", ".join(self.units))
        failures: dict[str, PismoError] = {}
        with self.open_delivery(context) as (delivery, ledger):
            for unit in self.units:
                fresh = find_fresh(delivery, ledger, unit)
                try:
                    with time_step(delivery.name, "flatten"):
                        of_unit = build_unit(settings_of(delivery), ledger, unit, force=force, log=self.task_log)
                    publish_build(delivery, of_unit, fresh)
                    built.join(of_unit)
                except UNIT_ERRORS as error:
                    self.log.error("not built: %s: %s", unit, error)  # noqa: TRY400 - the message needs no traceback
                    failures[unit] = error
            publish_backlog(delivery, ledger)
            if is_wanted():
                self.lineage = lineage_of_build(delivery, ledger, self.units)
            refuse_unbuilt(failures)
            _refuse_unindexed(delivery, ledger, self.units)
        _refuse_unreadable(built)
        return _counts(built)


class ClosePublishDayOperator(DeliveryOperator):
    """Rebuild a publish day into a few large files that replace those of its hours.

    An unchanged day is left alone.
    """

    ui_color = "#d9ead3"

    def execute(self, context: Context) -> dict[str, Any]:
        """Close the day; with `force`, rebuild it even if it has not changed."""
        from pismo.connect.ledger import settings_of
        from pismo.signals.lineage import is_wanted, lineage_of_close
        from pismo.signals.metrics import find_fresh, publish_backlog, publish_build, time_step
        from pismo_lake.build.day import close_day

        force = bool(context["params"].get("force"))
        with self.open_delivery(context) as (delivery, ledger):
            day = day_of(context)
            fresh = find_fresh(delivery, ledger, str(day))
            with time_step(delivery.name, "close"):
                built = close_day(settings_of(delivery), ledger, day, force=force, log=self.task_log)
            publish_build(delivery, built, fresh)
            publish_backlog(delivery, ledger)
            if is_wanted():
                self.lineage = lineage_of_close(delivery, ledger, day)
            return _counts(built)


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


def _counts(built: BuildSummary) -> dict[str, Any]:
    """Return the counts for XCom, only of the parts that this task wrote.

    So sums over tasks count each part once.
    """
    from pismo_lake.build.summary import COUNTED

    skipped = {"by_type", "written", *COUNTED}
    counts = {name: value for name, value in asdict(built).items() if name not in skipped}
    return counts | built.written | {"unreadable": len(built.unreadable)}
