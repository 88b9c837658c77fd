"""`status` prints each delivery and its last days."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from pismo_lake.cli.main import main
from pismo_lake.cli.status import duration_text

if TYPE_CHECKING:
    from collections.abc import Callable


def test_deliveries_and_days_are_shown(lake: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["status", "--lake", lake, "--days", "2"]) == 0
    head, delivery, empty, days, *each = capsys.readouterr().out.splitlines()
    assert head.split("  ")[0] == "delivery"
    assert delivery.split()[:2] == ["local", "2026-03-01T12"]
    assert empty == ""
    assert days.split() == ["day", "delivery", "verdict", "files", "size", "reasons"]
    assert [line.split()[2] for line in each] == ["open", "no"]


def test_the_document_has_numbers(document: Callable[..., Any]) -> None:
    (delivery,) = document("status")["deliveries"]
    assert (delivery["delivery"], delivery["waiting_files"], delivery["files"]) == ("local", 0, 2)
    assert delivery["lag_seconds"] > 0
    assert len(delivery["days"]) == 7


def test_metrics_for_prometheus_are_printed(lake: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["status", "--lake", lake, "--prometheus"]) == 0
    out = capsys.readouterr().out
    assert 'pismo_landed_files{delivery="local"} 2\n' in out
    assert all(line.startswith(("# HELP pismo_", "# TYPE pismo_", "pismo_")) for line in out.splitlines())


@pytest.mark.parametrize(
    ("lag", "text"),
    [
        (None, ""),
        (timedelta(minutes=5), "5 min"),
        (timedelta(hours=3, minutes=5, seconds=59), "3 h 5 min"),
        (timedelta(days=2, hours=1, minutes=59), "2 d 1 h"),
        (timedelta(minutes=-30), "0 min"),
    ],
)
def test_a_duration_has_two_units(lag: timedelta | None, text: str) -> None:
    assert duration_text(lag) == text
