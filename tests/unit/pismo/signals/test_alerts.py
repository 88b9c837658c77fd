"""Alerts about quarantined files and about notices that stay in their queue."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pismo.runs.failures import FailedFile
from pismo.runs.land import Landed
from pismo.signals.alerts import alerts_of_landing
from pismo_lake.landing.record import add_summaries
from pismo_lake.settings.deliveries import find_delivery

ROOT = Path(__file__).resolve().parents[4]
QUIET = {"messages": 3, "announced": 3, "known": 0, "ignored": 0, "bad": 0, "not_there": 3}
DELIVERY = find_delivery(ROOT / "config" / "examples.yaml", "acme_production")


def alerts(failed: list[FailedFile], counts: dict[str, int]) -> list[tuple[str, str]]:
    landed = Landed(add_summaries([]), "listed", counts={"notices": counts})
    return [(alert.event.value, alert.text) for alert in alerts_of_landing(DELIVERY, landed, failed)]


def test_only_files_that_are_quarantined_now_are_named() -> None:
    files = [FailedFile(f"main_stream/2026/3/1/1/{n}", "refused", 5, quarantined=n > 0) for n in range(23)]
    ((event, text),) = alerts(files, QUIET)
    assert event == "quarantined"
    assert "main_stream/2026/3/1/1/0:" not in text
    assert "main_stream/2026/3/1/1/1: refused (failed in 5 run(s)); it is quarantined now" in text
    assert text.endswith("\nand 2 more")


def test_notices_that_stay_are_told_and_others_are_not() -> None:
    assert DELIVERY.notices is not None
    assert alerts([], QUIET) == []
    ((event, text),) = alerts([], QUIET | {"bad": 2})
    assert event == "notices_left"
    assert "2 message(s) cannot be read" in text
    ((_, text),) = alerts([], QUIET | {"messages": DELIVERY.notices.most})
    assert "takes no more at once" in text
    without = replace(DELIVERY, notices=None)
    assert list(alerts_of_landing(without, Landed(add_summaries([]), "listed"), [])) == []
