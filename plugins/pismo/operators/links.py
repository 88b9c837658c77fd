"""Link a task in Airflow's pages to the pages of the lake."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow.sdk import BaseOperatorLink

from pismo.names import PAGES, day_path

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class DayReportLink(BaseOperatorLink):
    """Open the page of the publish day that the task has reported, for a lake on any storage."""

    name = "Day report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the address of the page, or an empty text."""
        from airflow.sdk.execution_time.xcom import XCom

        figures = XCom.get_value(ti_key=ti_key, key="report")
        day = day_of_report(str(figures["report"])) if figures else ""
        return day_url(base_path(), getattr(operator, "delivery_name", ""), day) if day else ""


def base_path() -> str:
    """Return the path that Airflow is reached at, without a slash at its end; empty if it is the root."""
    from airflow.configuration import conf

    return urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/")


def day_of_report(place: str) -> str:
    """Return the publish day of the path of a report; empty if it names none."""
    return place.rpartition("publish_date=")[2].partition("/")[0] if "publish_date=" in place else ""


def day_url(base: str, delivery: str, day: str) -> str:
    """Return the address of the page of a publish day, below the path of Airflow."""
    return base + PAGES + day_path(delivery, day)
