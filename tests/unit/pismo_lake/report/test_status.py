"""Test that the status of a lake is true for each day."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from tests.lakes import LakeUnderTest, at, event, key

from pismo_lake.hours import PublishDay
from pismo_lake.ledger.state import publish_days
from pismo_lake.report.reconcile import reconcile
from pismo_lake.report.status import DeliveryStatus, lake_status
from pismo_lake.report.write import write_report

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 3, 5, 9, 30, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path: Path) -> LakeUnderTest:
    return LakeUnderTest(tmp_path)


def put(lake: LakeUnderTest, day: int, name: str = "a") -> None:
    lake.put(event(f"e-{day}-{name}", timestamp=at(12, day)), key=key(12, name, day))


def close(lake: LakeUnderTest, day: int) -> None:
    """Close a day as the command does: with its report."""
    date = PublishDay.parse(f"2026-03-{day:02}")
    lake.close(str(date))
    write_report(lake.settings.lake, reconcile(lake.settings, lake.ledger, date))


def status(lake: LakeUnderTest) -> DeliveryStatus:
    (only,) = lake_status(lake.settings, lake.ledger, NOW)
    return only


def verdicts(lake: LakeUnderTest) -> dict[str, str]:
    return {day.publish_date[-2:]: day.verdict for day in status(lake).days}


def test_each_day_has_its_verdict_and_the_lag_is_that_of_the_newest_hour(lake: LakeUnderTest) -> None:
    for day in (1, 3, 4, 5):
        put(lake, day)
    for day in (1, 4):
        close(lake, day)
    assert verdicts(lake) == {
        "05": "open", "04": "complete", "03": "open", "02": "no files", "01": "complete", "28": "no files",
        "27": "no files",
    }  # fmt: skip
    found = status(lake)
    assert (found.state.newest_hour, found.lag) == ("2026-03-05T12", timedelta(hours=-2, minutes=-30))
    assert (found.state.files, found.state.waiting_files, found.state.waiting_bytes) == (4, 0, 0)
    document = found.to_json()
    assert document["lag_seconds"] == -9000
    assert document["days"][1] | {"bytes": 0} == {
        "publish_date": "2026-03-04", "verdict": "complete", "files": 1, "bytes": 0, "reasons": (),
    }  # fmt: skip


def test_files_wait_until_they_are_built(lake: LakeUnderTest) -> None:
    put(lake, 4)
    raw = event("late", timestamp=at(13, 4))
    lake.land_raw({key(13, "late", 4): raw})
    state = status(lake).state
    assert (state.newest_hour, state.files, state.waiting_files, state.waiting_bytes) == (
        "2026-03-04T13",
        2,
        1,
        len(raw),
    )
    lake.index()
    assert status(lake).state.waiting_files == 1
    lake.build()
    assert status(lake).state.waiting_files == 0


def test_a_late_file_makes_a_closed_day_incomplete(lake: LakeUnderTest) -> None:
    put(lake, 4)
    close(lake, 4)
    assert verdicts(lake)["04"] == "complete"
    lake.land_raw({key(13, "late", 4): event("late", timestamp=at(13, 4))})
    assert verdicts(lake)["04"] == "incomplete"
    lake.build()
    assert verdicts(lake)["04"] == "incomplete"
    close(lake, 4)
    assert verdicts(lake)["04"] == "complete"


def test_a_file_that_was_seen_and_not_landed_is_missed(lake: LakeUnderTest) -> None:
    put(lake, 4)
    close(lake, 4)
    lake.land_raw({key(14, "short", 4): b"{}"}, sizes={key(14, "short", 4): 99})
    found = status(lake)
    assert found.state.not_landed == 1
    assert found.days[1].verdict == "incomplete"
    assert "1 file(s)" in found.days[1].reasons[0]


def test_a_report_of_another_state_of_the_day_is_not_believed(lake: LakeUnderTest) -> None:
    put(lake, 4)
    # of a day that is not closed
    write_report(lake.settings.lake, reconcile(lake.settings, lake.ledger, PublishDay.parse("2026-03-04")))
    assert verdicts(lake)["04"] == "open"
    lake.close("2026-03-04")
    assert verdicts(lake)["04"] == "complete"
    close(lake, 4)
    for report in (lake.root / "lake" / "reports").rglob("test.json"):
        report.write_text("no report")
    assert verdicts(lake)["04"] == "complete"
    for path in (lake.root / "lake" / "events").rglob("*.parquet"):
        path.unlink()
    # without a report the day is reconciled with the lake itself
    assert verdicts(lake)["04"] == "incomplete"


def test_every_delivery_of_the_ledger_is_there(lake: LakeUnderTest) -> None:
    put(lake, 4)
    lake.settings = replace(lake.settings, delivery="other")
    lake.land_raw({key(1, "x", 2): event("x")})
    names = [(found.state.delivery, found.state.newest_hour) for found in lake_status(lake.settings, lake.ledger, NOW)]
    assert names == [("other", "2026-03-02T01"), ("test", "2026-03-04T12")]
    assert publish_days(lake.ledger, lake.settings.lake) == ["2026-03-02", "2026-03-04"]
    assert publish_days(lake.ledger, lake.settings.lake, "test") == ["2026-03-04"]


def test_an_empty_ledger_has_no_delivery(lake: LakeUnderTest) -> None:
    assert lake_status(lake.settings, lake.ledger, NOW) == []
    assert publish_days(lake.ledger, lake.settings.lake) == []
