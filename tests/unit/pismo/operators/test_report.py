"""An incomplete day says the same everywhere: in the log, the alert, XCom, and the three files of its report."""

from __future__ import annotations

import html
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from tests.lakes import at, event, key

from pismo.operators import report as report_operator
from pismo.signals.alerts import alert_day
from pismo_lake import state
from pismo_lake.hours import PublishDay
from pismo_lake.ledger.sightings import Sightings
from pismo_lake.report.reconcile import reconcile
from pismo_lake.report.write import write_report

if TYPE_CHECKING:
    from tests.lakes import LakeUnderTest

DAY = "2026-03-01"


@pytest.mark.parametrize(
    "faults", [("never", "stray"), ("never", "lost"), ("stray", "lost"), ("never", "stray", "lost")]
)
def test_a_day_with_faults_at_once_says_the_same_everywhere(lake: LakeUnderTest, faults: tuple[str, ...]) -> None:
    lake.put(event("e-1", timestamp=at(12)), key=key(12, "a"))
    lake.put(event("e-2", domain="cards", timestamp=at(13)), key=key(13, "b"))
    lake.close(DAY)
    first, second = sorted((lake.root / "lake" / "events").rglob("*.parquet"))
    never = key(14, "<never> & ever")
    if "never" in faults:
        Sightings(lake.ledger, lake.settings.lake, "test").note([never], "listed")
    if "stray" in faults:
        first.with_name("stray.parquet").write_bytes(first.read_bytes())
    if "lost" in faults:
        second.unlink()

    report = reconcile(lake.settings, lake.ledger, PublishDay.parse(DAY))
    written = [Path(uri) for uri in write_report(lake.settings.lake, report)]
    figures = report_operator._figures(report)
    alert = alert_day(report, "the page")
    found = json.loads(written[0].read_text())
    assert alert is not None

    named = {"never": never, "stray": "stray.parquet (unknown file)", "lost": f"{second.name} (missing file)"}
    reasons = found["reasons"]
    for fault, name in named.items():
        assert any(name in reason for reason in reasons) is (fault in faults), fault
    assert (found["verdict"], found["complete"]) == (figures["verdict"], figures["complete"]) == ("incomplete", False)
    assert reasons == figures["reasons"] == list(report.reasons)
    page = written[2].read_text()
    for reason in reasons:
        assert reason in str(report)
        assert reason in alert.text
        assert reason in html.unescape(page)
    assert "<never>" not in page

    rows = pq.read_table(written[1], partitioning=None).to_pylist()
    day = {row["metric"]: row["value"] for row in rows if row["section"] == "day"}
    assert {name: day[name] for name in ("files", "events", "rows", "complete", "balanced")} == {
        name: int(found[name]) for name in ("files", "events", "rows", "complete", "balanced")
    }
    assert [row["name"] for row in rows if row["section"] == "verdict"] == ["incomplete"]
    in_table = {
        section: [(row["name"], row["metric"]) for row in rows if row["section"] == section]
        for section in ("open_file", "stray_file")
    }
    assert in_table["open_file"] == [(each["key"], each["state"]) for each in found["open_files"]]
    assert in_table["stray_file"] == [(each["path"], each["state"]) for each in found["stray_files"]]

    # the page shows the written report
    now = datetime(2026, 3, 2, 12, tzinfo=UTC)
    view = state.view_day(lake.settings, lake.ledger, PublishDay.parse(DAY), now, organisation="", environment="")
    assert (view.verdict, list(view.report.reasons)) == ("incomplete", reasons)
