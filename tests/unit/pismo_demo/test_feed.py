"""The demo publishes a whole yesterday, and the hours up to now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from pismo_demo import feed
from pismo_demo.feed import publish
from pismo_demo.options import Options
from pismo_sandbox.feed.publisher import FolderSink

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("hours", [1, 30], ids=["after yesterday", "yesterday's own hours too"])
def test_each_hour_of_yesterday_has_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    monkeypatch.setattr(feed, "_DAY_MEGABYTES", 0.1)
    options = Options(hours=hours, megabytes=0.2)
    found = publish(options, FolderSink(tmp_path / "raw"), tmp_path / "truth.db", whole_day=True)
    assert found.day is not None
    assert found.day in {datetime.now(UTC).date() - timedelta(days=days) for days in (1, 2)}
    folder = tmp_path / "raw" / "main_stream" / str(found.day.year) / str(found.day.month) / str(found.day.day)
    assert sorted(int(hour.name) for hour in folder.iterdir()) == list(range(24))
    assert found.files == len([path for path in (tmp_path / "raw" / "main_stream").rglob("*") if path.is_file()])


def test_without_a_whole_day_only_the_last_hours_are_published(tmp_path: Path) -> None:
    found = publish(Options(hours=1, megabytes=0.1), FolderSink(tmp_path / "raw"), tmp_path / "truth.db")
    assert (found.day, found.files) == (None, 12)
