"""Send an alert to everyone whom a delivery names for its event."""

from __future__ import annotations

import contextvars
import html
import logging
import threading
import time
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pismo.notifications.notifiers import fill_arguments, load_notifier
from pismo_lake.settings.alerts import Alerts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pismo_lake.settings.alerts import AlertEvent, NotifierAlerts
    from pismo_lake.settings.deliveries import Delivery

_LOG = logging.getLogger(__name__)
_SUBJECT_LENGTH = 100
ALERT_SECONDS = 30.0
"""A task waits so long for all receivers of an alert together."""


@dataclass(frozen=True, slots=True)
class Alert:
    """An event of a delivery, in words; subject and text hold no payload, no key and no secret."""

    event: AlertEvent
    delivery: str
    about: str
    details: str = ""

    @property
    def subject(self) -> str:
        """The delivery and the event, in one line."""
        return f"{self.delivery}: {self.about}"

    @property
    def text(self) -> str:
        """The details; the subject if there are none."""
        return self.details or self.subject

    def for_templates(self) -> dict[str, str]:
        """Return the values that templates find under `alert`."""
        return {
            "event": self.event.value,
            "delivery": self.delivery,
            "subject": self.subject,
            "text": self.text,
            "html": f"<pre>{html.escape(self.text)}</pre>",
        }


def send_alert(delivery: Delivery, alert: Alert, context: Mapping[str, Any] | None = None) -> int:
    """Send an alert to each topic and notifier that wants its event; return how many took it.

    If one fails, the log names its class and the kind of error. The others still get the alert, and the caller goes on.
    The error's own text is left out, because it may hold an address with a secret.

    Each is called in a thread, which ends with the process. The caller waits for it for its share of `ALERT_SECONDS`,
    whatever its own limits are. One that does not answer goes on in its thread, and may send the alert later.
    """
    wanted = [each for each in delivery.alerted if alert.event in each.events]
    until = time.monotonic() + ALERT_SECONDS
    begun = []
    for number, receiver in enumerate(wanted):
        # one after another: two threads that import one package at the same time can disturb each other
        begun.append(_Sending(receiver, alert, context or {}))
        begun[-1].join(max(0.0, until - time.monotonic()) / (len(wanted) - number))
    problems = [(sending.name, problem) for sending in begun if (problem := sending.problem)]
    for name, problem in problems:
        _LOG.warning("alert %r could not be sent by %s: %s", alert.subject, name, problem)
    return len(begun) - len(problems)


class _Sending(threading.Thread):
    """Sends an alert to one receiver."""

    def __init__(self, wanted: Alerts | NotifierAlerts, alert: Alert, context: Mapping[str, Any]) -> None:
        receiver = wanted.topic_arn if isinstance(wanted, Alerts) else wanted.notifier
        self.problem = "no answer in time"
        self._wanted, self._alert, self._context = wanted, alert, context
        # Airflow keeps the task in a context variable
        copied = contextvars.copy_context()
        super().__init__(target=copied.run, args=(self._send,), name=receiver, daemon=True)
        self.start()

    def _send(self) -> None:
        try:
            if isinstance(self._wanted, Alerts):
                _publish(self._wanted, self._alert)
            else:
                _notify(self._wanted, self._alert, self._context)
        except Exception as error:  # noqa: BLE001 - an alert that cannot be sent must not fail the work it is about
            self.problem = type(error).__name__
        else:
            self.problem = ""


def _publish(topic: Alerts, alert: Alert) -> None:
    from airflow.providers.amazon.aws.hooks.sns import SnsHook

    hook = SnsHook(aws_conn_id=topic.conn_id, region_name=topic.region)
    short = alert.subject.encode("ascii", "replace").decode()[:_SUBJECT_LENGTH]
    hook.publish_to_target(target_arn=topic.topic_arn, message=alert.text, subject=short)


def _notify(wanted: NotifierAlerts, alert: Alert, context: Mapping[str, Any]) -> None:
    values = alert.for_templates()
    kind = load_notifier(wanted.notifier)
    # a notifier renders its arguments in place, and adds them to the context
    notifier = kind(**fill_arguments(kind, deepcopy(wanted.arguments), values))
    notifier({**context, "alert": values})
