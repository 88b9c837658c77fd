"""The link to a day report."""

from __future__ import annotations

from pismo.operators.links import report_url


def test_a_report_on_s3_has_a_link() -> None:
    place = "s3://our-lake/lake/reports/publish_date=2026-03-01/feed.html"
    key = "lake%2Freports%2Fpublish_date%3D2026-03-01%2Ffeed.html"
    assert report_url(place) == f"https://console.aws.amazon.com/s3/object/our-lake?prefix={key}"


def test_a_report_on_a_disk_has_none() -> None:
    assert report_url("/srv/lake/reports/publish_date=2026-03-01/feed.html") == ""
