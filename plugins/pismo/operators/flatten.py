"""Builds one publish hour of the lake, or a closed day that has changed, from what is landed."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import BaseOperator

if TYPE_CHECKING:
    import logging

    from airflow.sdk import Context


class FlattenPublishHourOperator(BaseOperator):
    """Mapped over publish hours; parts whose input has not changed are left alone, unless the run says `force`.

    A publish hour whose day is closed comes as that day (YYYY-MM-DD).
    """

    ui_color = "#e3f4e6"
    template_fields = ("delivery_name", "deliveries_file", "publish_hour")

    def __init__(self, *, delivery_name: str, deliveries_file: str, publish_hour: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.delivery_name, self.deliveries_file, self.publish_hour = delivery_name, deliveries_file, publish_hour

    def execute(self, context: Context) -> dict[str, Any]:
        """Build the hour; red at the end, though everything else is written, where a file could not be read."""
        from pismo.stores import configure_storage, open_ledger
        from pismo_lake.close import build_unit
        from pismo_lake.deliveries import find_delivery
        from pismo_lake.errors import FramingError

        delivery = find_delivery(self.deliveries_file, self.delivery_name)
        configure_storage(delivery)
        ledger = open_ledger(delivery)
        try:
            force = bool(context["params"].get("force"))
            log = cast("logging.Logger", self.log)
            built = build_unit(delivery.settings, ledger, self.publish_hour, force=force, log=log)
        finally:
            ledger.close()
        if built.unreadable:
            msg = f"kept in landing and listed in rejects, but not readable: {', '.join(built.unreadable)}"
            raise FramingError(msg)
        counts = asdict(built)
        counts.pop("unreadable")
        counts.pop("by_type")
        return counts
