"""Notify people of failed and late runs: in the log, and by the delivery's alerts."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier

from pismo.notifications.alert import Alert, send_alert

if TYPE_CHECKING:
    from airflow.sdk import Context

    from pismo_lake.settings.deliveries import Delivery

_LOG = logging.getLogger(__name__)


class DeliveryNotifier(BaseNotifier):
    """Notify people from `on_failure_callback=` or a `DeadlineAlert`.

    Args:
        delivery_name: the delivery.
        deliveries_file: the file with its settings.
        what: the event in words, for example ``ingestion failed``.
        event: the event, as the setting `events` of alerts names it.
        **kwargs: passed to `BaseNotifier`.
    """

    template_fields = ("delivery_name", "deliveries_file", "what", "event")

    def __init__(
        self, *, delivery_name: str, deliveries_file: str, what: str, event: str = "failed", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.delivery_name, self.deliveries_file, self.what, self.event = delivery_name, deliveries_file, what, event

    def notify(self, context: Context) -> None:
        """Notify people; Airflow calls this in the process that runs callbacks."""
        from pismo_lake.settings.alerts import AlertEvent
        from pismo_lake.settings.deliveries import find_delivery

        subject = f"{self.delivery_name}: {self.what}"
        text = _text(context)
        _LOG.error("%s: %s", subject, text)
        alert = Alert(AlertEvent(self.event), self.delivery_name, self.what, f"{subject}\n{text}")
        send_alert(find_delivery(self.deliveries_file, self.delivery_name), alert, dict(context))

    async def async_notify(self, context: Context) -> None:
        """Notify people; Airflow calls this in the triggerer."""
        await asyncio.to_thread(self.notify, context)


def deadline_of(delivery: Delivery, deliveries_file: str) -> Any:
    """Return the deadline for closing a day, counted from the moment its run is queued.

    So a backfill of old days is not late from the start.
    """
    from airflow.sdk import AsyncCallback, DeadlineAlert, DeadlineReference  # type: ignore[attr-defined]

    about = {
        "delivery_name": delivery.name,
        "deliveries_file": deliveries_file,
        "what": "closing a publish day is late",
        "event": "late",
    }
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(hours=delivery.close_after_hours + delivery.close_deadline_hours),
        callback=AsyncCallback(DeliveryNotifier, kwargs=about),
    )


def _text(context: Context) -> str:
    """Return the DAG, run, task and kind of error; the error's message may hold anything."""
    values: dict[str, Any] = dict(context)
    run, task = values.get("dag_run"), values.get("ti") or values.get("task_instance")
    parts = [
        f"{name} {value}"
        for name, value in (
            ("DAG", _of(run, "dag_id")),
            ("run", _of(run, "run_id")),
            ("logical date", _of(run, "logical_date")),
            ("task", _of(task, "task_id")),
            ("error", type(values["exception"]).__name__ if isinstance(values.get("exception"), Exception) else None),
        )
        if value
    ]
    return ", ".join(parts) or "no details here, see Airflow"


def _of(thing: Any, name: str) -> Any:
    """Return an attribute, or an item if Airflow has serialized the context."""
    return thing.get(name) if isinstance(thing, dict) else getattr(thing, name, None)
