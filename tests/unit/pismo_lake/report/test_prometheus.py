"""The state of a lake as metrics that Prometheus can read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from tests.lakes import LakeUnderTest, at, event, key
from tests.promtool import needs_promtool, promtool

from pismo_lake.ledger import Sightings
from pismo_lake.ledger.state import delivery_backlog
from pismo_lake.report.prometheus import METRICS, prometheus_text
from pismo_lake.report.status import lake_status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pismo_lake.report.status import DeliveryStatus

NOW = datetime(2026, 3, 5, 9, 30, tzinfo=UTC)


def text_of(lake: LakeUnderTest, found: Sequence[DeliveryStatus] | None = None) -> str:
    statuses = found or lake_status(lake.settings, lake.ledger, NOW)
    return prometheus_text(statuses, lake.ledger, lake.settings.lake, NOW)


@pytest.fixture
def filled(lake: LakeUnderTest) -> LakeUnderTest:
    """Return a lake with a built file, an indexed one, a landed one, one that is announced, and a quarantined one."""
    lake.put(event("e-1", timestamp=at(12, 4)), key=key(12, "a", 4))
    lake.land({key(13, "b", 4): event("e-2")})
    lake.land_raw({key(14, "c", 4): event("e-3")})
    sightings = Sightings(lake.ledger, lake.settings.lake, "test")
    sightings.note([key(15, "d", 4), key(16, "e", 4)], "announced")
    sightings.count_tries([key(16, "e", 4)], 1)
    return lake


def test_files_that_wait_are_the_backlog_and_the_lag_is_that_of_the_lake(filled: LakeUnderTest) -> None:
    backlog = delivery_backlog(filled.ledger, filled.settings.lake, "test")
    size = len(event("e-2")) + len(event("e-3"))
    assert (backlog.newest_hour, backlog.files, backlog.bytes) == ("2026-03-04T12", 3, size)
    lines = text_of(filled).splitlines()
    assert 'pismo_backlog_files{delivery="test"} 3' in lines
    assert f'pismo_backlog_bytes{{delivery="test"}} {size}' in lines
    assert f'pismo_lag_seconds{{delivery="test"}} {21 * 3600 + 1800}' in lines
    assert 'pismo_landed_files{delivery="test"} 3' in lines
    assert 'pismo_recent_verdicts{delivery="test",verdict="open"} 2' in lines


def test_a_lake_without_built_files_has_no_lag(lake: LakeUnderTest) -> None:
    lake.land({key(13, "b", 4): event("e-2")})
    assert "pismo_lag_seconds" not in text_of(lake)
    assert delivery_backlog(lake.ledger, lake.settings.lake, "another").files == 0


@needs_promtool
def test_prometheus_reads_them(filled: LakeUnderTest) -> None:
    found = lake_status(filled.settings, filled.ledger, NOW)
    odd = [replace(one, state=replace(one.state, delivery='a "quoted"\\ name\nin two lines')) for one in found]
    text = text_of(filled, [*found, *odd])
    assert promtool("check", "metrics", given=text) == ""
    assert {name for name in METRICS if f"# TYPE {name} gauge" in text} == METRICS.keys()
