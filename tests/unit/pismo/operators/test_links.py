"""The link from the report task to the page of its day."""

from __future__ import annotations

import pytest

from pismo.operators.links import base_path, day_of_report, day_url


@pytest.mark.parametrize(
    "lake", ["s3://our-lake/lake", "gs://b/lake", "abfss://c@a.dfs.core.windows.net/x", "/srv/lake"]
)
def test_a_report_of_any_storage_leads_to_the_page_of_its_day(lake: str) -> None:
    day = day_of_report(f"{lake}/reports/publish_date=2026-03-01/feed.html")
    assert day_url("", "feed", day) == "/pismo/deliveries/feed/days/2026-03-01"


def test_a_place_without_a_day_has_no_link() -> None:
    assert day_of_report("/srv/lake/feed.html") == ""


@pytest.mark.parametrize(
    ("url", "path"),
    [("", ""), ("https://airflow.example.com", ""), ("https://example.com/team/airflow/", "/team/airflow")],
)
def test_the_link_begins_with_the_path_of_airflow(monkeypatch: pytest.MonkeyPatch, url: str, path: str) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", url)
    assert base_path() == path
