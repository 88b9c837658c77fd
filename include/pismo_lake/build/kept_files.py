"""Remove files that were kept for older snapshots of tables, when no snapshot names them any more.

With the setting `remove_files: after_snapshots`, a build leaves the files that it has replaced: a query that reads an
older snapshot still needs them. The ledger has them as superseded files of a part that is not pending. Each close, each
erasure and `check --repair` looks for those that are needed no longer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pismo_lake.build.claim import remove_superseded
from pismo_lake.catalog.lake import forget_older, reached_paths
from pismo_lake.ledger.builds import BuildLedger
from pismo_lake.ledger.lake_builds import LakeBuilds
from pismo_lake.ledger.table_files import table_folder

if TYPE_CHECKING:
    from collections.abc import Collection

    from pismo_lake.ledger import Ledger
    from pismo_lake.ledger.lake_builds import LakePart
    from pismo_lake.settings.lake import LakeSettings


def remove_kept(settings: LakeSettings, ledger: Ledger, *, expired: Collection[str] | None = None) -> None:
    """Remove the kept files of all deliveries of a lake that no snapshot needs any more.

    A table that has such files forgets its old snapshots first. The ledger forgets a file after it was removed. So if
    the process is killed, the next call goes on.

    Args:
        settings: the lake.
        ledger: the ledger of the lake.
        expired: folders of tables that have forgotten their old snapshots already; None for all.
    """
    keeping = LakeBuilds(ledger, settings.lake).keeping()
    if not keeping:
        return
    if expired is not None and settings.tables is not None:
        forget_older(settings, ledger, _folders(keeping) - set(expired))
    for part, paths in _find_unneeded(settings, ledger, keeping):
        builds = BuildLedger(ledger, settings.lake, part.delivery, part.unit)
        remove_superseded(builds, settings.lake, part.record.part, paths)


def find_overdue(settings: LakeSettings, ledger: Ledger) -> list[tuple[LakePart, list[str]]]:
    """Return parts with kept files that no snapshot needs: a killed process did not remove them."""
    keeping = LakeBuilds(ledger, settings.lake).keeping()
    return _find_unneeded(settings, ledger, keeping) if keeping else []


def _find_unneeded(
    settings: LakeSettings, ledger: Ledger, keeping: Collection[LakePart]
) -> list[tuple[LakePart, list[str]]]:
    reached = reached_paths(settings, ledger, _folders(keeping)) if settings.tables is not None else set[str]()
    found = ((part, [path for path in part.record.kept if path not in reached]) for part in keeping)
    return [(part, paths) for part, paths in found if paths]


def _folders(keeping: Collection[LakePart]) -> set[str]:
    """Return the folders of the tables that have kept files."""
    found = (table_folder(path) for part in keeping for path in part.record.kept)
    return {folder for folder in found if folder is not None}
