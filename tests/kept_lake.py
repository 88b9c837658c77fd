"""Look at a lake that keeps replaced files for older snapshots of its tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.catalog_reader import open_table

from pismo_lake.ledger.lake_builds import LakeBuilds
from pismo_lake.settings.tables import FileRemoval, Tables

if TYPE_CHECKING:
    from tests.lakes import LakeUnderTest

DAY = "2026-03-01"
KEPT = Tables(remove_files=FileRemoval.AFTER_SNAPSHOTS)


def files(lake: LakeUnderTest) -> list[str]:
    """Return the names of the Parquet files of events."""
    return sorted(path.name for path in (lake.root / "lake" / "events").rglob("*.parquet"))


def superseded(lake: LakeUnderTest) -> list[str]:
    """Return the paths that the ledger still has to remove, or keeps."""
    return sorted(
        path for part in LakeBuilds(lake.ledger, lake.settings.lake).every() for path in part.record.superseded
    )


def lost_files(lake: LakeUnderTest, name: str = "pix.pix_in_1") -> list[str]:
    """Return the paths that a snapshot of a table names, and that are not there."""
    with open_table(lake, name) as table:
        named = set(table.inspect.all_data_files()["file_path"].to_pylist())
    return sorted(path for path in named if not Path(path.removeprefix("file://")).exists())


def age_out(lake: LakeUnderTest) -> None:
    """Let all snapshots but the present ones be too old from now on."""
    lake.settings = replace(lake.settings, tables=replace(KEPT, snapshots_kept_hours=-1.0))
