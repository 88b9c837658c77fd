"""Define who is alerted, and of which events."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from pismo_lake.settings.fields import STRICT_MODEL


class AlertEvent(StrEnum):
    """The events that an alert can be about."""

    FAILED = "failed"
    LATE = "late"
    INCOMPLETE = "incomplete"
    NO_FILES = "no_files"
    NEVER_A_FILE = "never_a_file"
    QUARANTINED = "quarantined"
    CONTRACT_CHANGE = "contract_change"
    NOTICES_LEFT = "notices_left"


USUAL_EVENTS = (AlertEvent.FAILED, AlertEvent.LATE, AlertEvent.INCOMPLETE, AlertEvent.NEVER_A_FILE)
"""The events of an entry that lists none."""

_CLASS_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", re.ASCII)


@dataclass(frozen=True, slots=True, config=STRICT_MODEL)
class Alerts:
    """An SNS topic for alerts; mail, chat and pagers subscribe to it."""

    topic_arn: str
    """The topic's ARN."""
    conn_id: str
    """The Airflow connection of type aws that may publish to the topic."""
    region: str | None = None
    """The topic's AWS region."""
    events: tuple[AlertEvent, ...] = USUAL_EVENTS
    """The events that are sent."""

    def __post_init__(self) -> None:
        if not self.topic_arn.startswith("arn:"):
            msg = f"alerts.topic_arn is {self.topic_arn!r}, an ARN such as arn:aws:sns:eu-west-1:123456789012:alerts"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True, config=STRICT_MODEL)
class NotifierAlerts:
    """An Airflow notifier for alerts: mail, Slack, PagerDuty or another one."""

    notifier: str
    """The path of the notifier's class, for example airflow.providers.smtp.notifications.smtp.SmtpNotifier."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """The arguments of the class. Texts may be templates, with `{{ alert.subject }}` and `{{ alert.text }}`."""
    events: tuple[AlertEvent, ...] = USUAL_EVENTS
    """The events that are sent."""

    def __post_init__(self) -> None:
        if not _CLASS_PATH.fullmatch(self.notifier):
            msg = f"alerts.notifier is {self.notifier!r}, expected the path of a class such as package.module.Class"
            raise ValueError(msg)
