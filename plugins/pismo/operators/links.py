"""Link a task in Airflow's pages to the files that it has written."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class DayReportLink(BaseOperatorLink):
    """Open the page of a day report in the AWS console; there is no link for other stores."""

    name = "Day report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - Airflow's signature
        """Return the URL, or an empty text."""
        from airflow.sdk.execution_time.xcom import XCom

        figures = XCom.get_value(ti_key=ti_key, key="report")
        return report_url(figures["report"]) if figures else ""


def report_url(place: str) -> str:
    """Return the URL of a page in the AWS console; empty for a page that is not on S3."""
    scheme, _, rest = place.partition("://")
    bucket, _, key = rest.partition("/")
    return f"https://console.aws.amazon.com/s3/object/{bucket}?prefix={quote(key, safe='')}" if scheme == "s3" else ""
