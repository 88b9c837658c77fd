"""Which failures count for a file, which quarantine it, and which a run has to show."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.lakes import HOUR, LakeUnderTest

from pismo.runs.failures import count_failures, failures_for_xcom, refusal_of
from pismo.runs.land import Landed
from pismo.runs.window import Window
from pismo_lake.errors import (
    AccessDenied,
    ConfigError,
    FileMissing,
    LandingRefusedError,
    PismoError,
    SizeMismatch,
    SourceError,
    SourceUnavailable,
)
from pismo_lake.hours import PublishHour
from pismo_lake.landing.record import add_summaries
from pismo_lake.ledger import Sightings
from pismo_lake.settings.channels import Channel, Environment, GcsSource
from pismo_lake.settings.deliveries import Delivery

if TYPE_CHECKING:
    from pathlib import Path

KEY = f"{HOUR}/bad"
PLAIN = Window((PublishHour.parse("2026-03-01T12"),))


class Runs:
    """Runs of one delivery that each fail to land the same file."""

    def __init__(self, lake: LakeUnderTest) -> None:
        self.ledger = lake.ledger
        self.delivery = Delivery(
            name="test", organisation="TN-1", environment=Environment.SANDBOX, channel=Channel.GCS, conn_id="c",
            landing=lake.settings.landing, lake=lake.settings.lake, source=GcsSource("b"), ledger_url="sqlite://",
            quarantine_after=3,
        )  # fmt: skip
        self.sightings = Sightings(lake.ledger, lake.settings.lake, "test")

    def fail(self, error: PismoError, window: Window = PLAIN, *, works: bool = True) -> list[Any]:
        """Count one run's failure; return (tries, quarantined) of each file that the run shows."""
        self.sightings.note([KEY], "listed")
        self.sightings.record_failures({KEY: error})
        landed = Landed(add_summaries([]), "listed", {KEY: error}, source_works=works)
        failed = count_failures(self.delivery, self.ledger, window, landed)
        return [(file.tries, file.quarantined) for file in failed]


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(LakeUnderTest(tmp_path))


@pytest.mark.parametrize("kind", [SizeMismatch, FileMissing, AccessDenied, SourceUnavailable, SourceError])
def test_a_file_is_shown_until_it_is_quarantined(runs: Runs, kind: type[SourceError]) -> None:
    error = kind("no", key=KEY)
    assert [runs.fail(error) for _ in range(5)] == [[(1, False)], [(2, False)], [(3, True)], [], []]
    assert list(runs.sightings.list_quarantined()) == [KEY]
    assert runs.sightings.list_quarantined()[KEY].problem == "no"


@pytest.mark.parametrize("asked", [Window((), (KEY,)), replace(PLAIN, retry_failed=True)])
def test_a_run_that_asks_for_a_quarantined_file_shows_it(runs: Runs, asked: Window) -> None:
    for _ in range(3):
        runs.fail(ConfigError("no"))
    assert runs.fail(ConfigError("no"), Window((), ("other",))) == []
    assert runs.fail(ConfigError("no"), replace(PLAIN, of_landed_day=True)) == []
    assert [(quarantined) for _, quarantined in runs.fail(ConfigError("no"), asked)] == [True]


@pytest.mark.parametrize("kind", [AccessDenied, SourceUnavailable])
def test_an_outage_quarantines_nothing_and_every_run_shows_it(runs: Runs, kind: type[SourceError]) -> None:
    assert [runs.fail(kind("no", key=KEY), works=False) for _ in range(6)] == [[(0, False)]] * 6
    assert runs.sightings.list_quarantined() == {}


def test_the_last_task_names_each_file_and_its_reason() -> None:
    assert refusal_of([]) is None
    key = "main_stream/2026/3/1/12/a"
    error = refusal_of(failures_for_xcom([_failed(key, 2), _failed(f"{key}b", 5)]))
    assert isinstance(error, LandingRefusedError)
    assert "2 file(s) not landed" in str(error)
    assert f"{key}: archived (failed in 2 run(s))" in str(error)
    assert f"{key}b: archived (failed in 5 run(s)); it is quarantined now" in str(error)


def _failed(key: str, tries: int) -> Any:
    from pismo.runs.failures import FailedFile

    return FailedFile(key, "archived", tries, tries >= 5)
