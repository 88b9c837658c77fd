"""Builds one publish hour of the lake, or a closed day that has changed, from what is landed."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import BaseOperator

from pismo.runs.window import day_of

if TYPE_CHECKING:
    import logging
    from collections.abc import Sequence

    from airflow.sdk import Context

    from pismo_lake.build.summary import BuildSummary
    from pismo_lake.errors import PismoError
    from pismo_lake.ledger import Ledger
    from pismo_lake.settings.deliveries import Delivery


class FlattenPublishHourOperator(BaseOperator):
    """Mapped over lists of units; parts whose input has not changed are left alone, unless the run says `force`.

    Most lists are one publish hour. One whose day is closed comes as that day (YYYY-MM-DD).
    """

    ui_color = "#e3f4e6"
    template_fields = ("delivery_name", "deliveries_file", "units")

    def __init__(self, *, delivery_name: str, deliveries_file: str, units: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.delivery_name, self.deliveries_file, self.units = delivery_name, deliveries_file, units

    def execute(self, context: Context) -> dict[str, Any]:
        """Build the units; fail at the end, after all others are written, if a file or a unit could not be read."""
        from pismo.connect.ledger import ledger_of, settings_of
        from pismo_lake.build.day import build_unit
        from pismo_lake.build.summary import BuildSummary
        from pismo_lake.build.units import UNIT_ERRORS, refuse_unbuilt
        from pismo_lake.settings.deliveries import find_delivery

        delivery = find_delivery(self.deliveries_file, self.delivery_name)
        # who asks for an event again wants its files built again
        force = bool(context["params"].get("force") or context["params"].get("event_ids"))
        built = BuildSummary(", ".join(self.units))
        failures: dict[str, PismoError] = {}
        with ledger_of(delivery, context) as ledger:
            log = cast("logging.Logger", self.log)
            for unit in self.units:
                try:
                    built.join(build_unit(settings_of(delivery), ledger, unit, force=force, log=log))
                except UNIT_ERRORS as error:
                    log.error("not built: %s: %s", unit, error)  # noqa: TRY400 - its text says it all
                    failures[unit] = error
            refuse_unbuilt(failures)
            _refuse_unindexed(delivery, ledger, self.units)
        return _told(built)


def _refuse_unindexed(delivery: Delivery, ledger: Ledger, units: Sequence[str]) -> None:
    """`IndexIncompleteError` where files of these hours were tried and have no index."""
    from pismo_lake.errors import IndexIncompleteError
    from pismo_lake.ledger.raw_files import RawLedger

    waiting = RawLedger(ledger, delivery.lake, delivery.name).waiting(units)
    failed = [(file.name, file.problem) for file in waiting if file.problem]
    if failed:
        raise IndexIncompleteError(failed)


class ClosePublishDayOperator(BaseOperator):
    """Rebuilds a publish day into few large files that take over from its hours; skipped inside if nothing changed."""

    ui_color = "#d9ead3"
    template_fields = ("delivery_name", "deliveries_file")

    def __init__(self, *, delivery_name: str, deliveries_file: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.delivery_name, self.deliveries_file = delivery_name, deliveries_file

    def execute(self, context: Context) -> dict[str, Any]:
        """Close the day; `force` rebuilds an unchanged one too."""
        from pismo.connect.ledger import ledger_of, settings_of
        from pismo_lake.build.day import close_day
        from pismo_lake.settings.deliveries import find_delivery

        delivery = find_delivery(self.deliveries_file, self.delivery_name)
        with ledger_of(delivery, context) as ledger:
            force, log = bool(context["params"].get("force")), cast("logging.Logger", self.log)
            return _told(close_day(settings_of(delivery), ledger, day_of(context), force=force, log=log), fail=False)


def _told(built: BuildSummary, *, fail: bool = True) -> dict[str, Any]:
    """Counts for XCom; `FramingError` where files could not be read and the task is to show it."""
    from pismo_lake.errors import FramingError

    if built.unreadable and fail:
        msg = f"kept in landing and listed in rejects, but not readable: {', '.join(built.unreadable)}"
        raise FramingError(msg)
    counts = asdict(built)
    counts["unreadable"] = len(counts["unreadable"])
    counts.pop("by_type")
    return counts
