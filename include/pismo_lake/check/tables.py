"""Compare the tables of a lake's catalog with the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pismo_lake import storage
from pismo_lake.catalog.lake import find_differences
from pismo_lake.check.model import CommitTable, Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pismo_lake.ledger import Ledger
    from pismo_lake.settings.lake import LakeSettings


def check_tables(settings: LakeSettings, ledger: Ledger) -> Iterator[Finding]:
    """Yield the findings on tables; none if the lake has no table format.

    A killed run may have recorded a build and not have committed its tables. A lost catalog has no table at all.
    """
    if settings.tables is None:
        return
    for folder, (files, missing, strange) in sorted(find_differences(settings, ledger).items()):
        disk = f"the table lacks {missing} of them, and has {strange} others"
        place = storage.join(settings.lake, folder)
        yield Finding(Kind.TABLE, place, f"{files} file(s)", disk, CommitTable(folder))
