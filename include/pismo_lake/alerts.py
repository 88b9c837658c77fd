"""Whom a delivery's trouble is told, beside the log."""

from __future__ import annotations

from dataclasses import dataclass

from pismo_lake.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Alerts:
    """An SNS topic (mail, chat and pagers subscribe to it) and the Airflow connection of type aws that may publish."""

    topic_arn: str
    conn_id: str
    region: str | None = None

    def __post_init__(self) -> None:
        if not self.topic_arn.startswith("arn:"):
            msg = f"alerts.topic_arn is {self.topic_arn!r}, an ARN such as arn:aws:sns:eu-west-1:123456789012:alerts"
            raise ConfigError(msg)
