"""Builds one publish hour of the lake from what is landed."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import BaseOperator

if TYPE_CHECKING:
    import logging

    from airflow.sdk import Context


class FlattenPublishHourOperator(BaseOperator):
    """Mapped over publish hours; parts whose input has not changed are left alone, unless the run says `force`."""

    ui_color = "#e3f4e6"
    template_fields = ("delivery_name", "deliveries_file", "publish_hour")

    def __init__(self, *, delivery_name: str, deliveries_file: str, publish_hour: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.delivery_name, self.deliveries_file, self.publish_hour = delivery_name, deliveries_file, publish_hour

    def execute(self, context: Context) -> dict[str, Any]:
        """Build the hour; red at the end, though everything else is written, where a file could not be read."""
        from pismo.stores import configure_storage, open_ledger
        from pismo_lake.build import build_hour
        from pismo_lake.deliveries import find_delivery
        from pismo_lake.errors import FramingError
        from pismo_lake.layout import PublishHour

        delivery = find_delivery(self.deliveries_file, self.delivery_name)
        configure_storage(delivery)
        ledger = open_ledger(delivery)
        try:
            force = bool(context["params"].get("force"))
            hour = PublishHour.parse(self.publish_hour)
            built = build_hour(delivery.settings, ledger, hour, force=force, log=cast("logging.Logger", self.log))
        finally:
            ledger.close()
        if built.unreadable:
            msg = f"kept in landing and listed in rejects, but not readable: {', '.join(built.unreadable)}"
            raise FramingError(msg)
        counts = asdict(built)
        counts.pop("unreadable")
        counts.pop("by_type")
        return counts
