"""Repair old findings: a file that a run has recorded since the check must stay."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.lakes import LakeUnderTest, event, key

from pismo_lake.check import run as check_run
from pismo_lake.check.model import Finding, Kind
from pismo_lake.check.repair import repair_all
from pismo_lake.check.run import check_lake
from pismo_lake.events.forget import forget_file
from pismo_lake.index.run import index_landed
from pismo_lake.ledger.raw_files import RawLedger

if TYPE_CHECKING:
    from pismo_lake.settings.lake import LakeSettings

LOG = logging.getLogger(__name__)
KNOWN = "not removed: the ledger knows it by now"
FILES = {key(3): event("a", timestamp="2026-03-01T03:10:00Z")}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_run, "SECOND_LOOK_SECONDS", 0.0)


@pytest.fixture
def lake(tmp_path: Path) -> LakeUnderTest:
    lake = LakeUnderTest(tmp_path)
    lake.land(FILES)
    lake.build()
    return lake


def leave(lake: LakeUnderTest, pattern: str) -> Path:
    """Forget the landed file, but leave the only file of a pattern, as a killed process does."""
    (path,) = lake.root.glob(pattern)
    content = path.read_bytes()
    assert forget_file(lake.settings, lake.ledger, key(3)) is not None
    assert not path.exists()
    path.write_bytes(content)
    return path


def check(lake: LakeUnderTest, settings: LakeSettings | None = None) -> list[Finding]:
    return list(check_lake(settings or lake.settings, lake.ledger).findings)


def repair(lake: LakeUnderTest, findings: list[Finding]) -> list[Finding]:
    return repair_all(lake.settings, lake.ledger, findings, LOG)


@pytest.mark.parametrize(
    ("pattern", "kind"),
    [("lake/events/*/*/*/*.parquet", Kind.UNKNOWN), ("landing/test/_index/**/*.parquet", Kind.UNKNOWN_INDEX)],
)
def test_a_file_that_a_run_records_after_the_check_stays(lake: LakeUnderTest, pattern: str, kind: Kind) -> None:
    path = leave(lake, pattern)
    found = check(lake)
    assert [(finding.kind, finding.path) for finding in found] == [(kind, str(path))]
    # the same bytes give the same paths
    lake.land(FILES)
    lake.build()
    (done,) = repair(lake, found)
    assert (done.done, done.repaired) == (KNOWN, True)
    assert path.exists()
    assert check(lake) == []
    assert len(lake.rows()) == 1


@pytest.mark.parametrize("pattern", ["lake/events/*/*/*/*.parquet", "landing/test/_index/**/*.parquet"])
def test_a_file_that_nobody_has_recorded_goes(lake: LakeUnderTest, pattern: str) -> None:
    path = leave(lake, pattern)
    (done,) = repair(lake, check(lake))
    assert (done.done, done.repaired) == ("removed", True)
    assert not path.exists()


def test_a_planned_output_stays(lake: LakeUnderTest) -> None:
    path = leave(lake, "lake/events/*/*/*/*.parquet")
    found = check(lake)
    lake.land(FILES)
    killed: list[str] = []

    def kill(step: str) -> None:
        if step == "record":
            killed.append(step)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lake.build(checkpoint=kill)
    (done,) = repair(lake, found)
    assert killed
    assert done.done == KNOWN
    assert path.exists()


def test_the_index_of_another_lakes_file_stays(lake: LakeUnderTest) -> None:
    other = replace(lake.settings, lake=str(lake.root / "other-lake"))
    raws = RawLedger(lake.ledger, other.lake, other.delivery)
    lake.land_raw({key(4): event("b")})
    (mine,) = RawLedger(lake.ledger, lake.settings.lake, "test").list_waiting()
    raws.note([mine])
    assert index_landed(other, lake.ledger).files == 1
    # as if this lake had never had it
    assert forget_file(lake.settings, lake.ledger, key(4)) is not None
    index = lake.root / "landing" / "test" / "_index" / f"{key(4)}.parquet"
    assert index.exists()
    assert check(lake) == []
    assert Path(mine.raw_uri).exists()


def test_the_index_beside_an_unrecorded_raw_file_is_made_again_not_removed(lake: LakeUnderTest) -> None:
    (raw,) = (lake.root / "landing" / "test" / "main_stream").rglob("a")
    index = lake.root / "landing" / "test" / "_index" / f"{key(3)}.parquet"
    content, indexed = raw.read_bytes(), index.read_bytes()
    assert forget_file(lake.settings, lake.ledger, key(3)) is not None
    raw.write_bytes(content)
    index.write_bytes(indexed)
    found = check(lake)
    assert [finding.kind for finding in found] == [Kind.UNKNOWN_RAW]
    assert all(finding.repaired for finding in repair(lake, found))
    assert check(lake) == []
    assert len(lake.rows()) == 1
