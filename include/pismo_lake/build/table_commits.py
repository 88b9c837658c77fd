"""Commit the tables of a unit after its files are recorded, and before superseded ones are removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pismo_lake.build.claim import remove_superseded
from pismo_lake.ledger import FileLedger
from pismo_lake.ledger.builds import BuildLedger
from pismo_lake.ledger.table_files import table_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from pismo_lake.ledger import Ledger
    from pismo_lake.settings.lake import LakeSettings


class TableCommits:
    """The commits of one unit; without a table format they do nothing.

    Attributes:
        exist: whether the lake has tables.
    """

    def __init__(
        self, settings: LakeSettings, ledger: Ledger, builds: BuildLedger, unit: str,
        checkpoint: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._settings, self._ledger, self._builds, self._unit = settings, ledger, builds, unit
        self._checkpoint = checkpoint
        self.exist = self._may_differ = settings.tables is not None
        self._needed, self._folders = set[str](), set[str | None]()

    def expect_commit(self) -> None:
        """Note that files were recorded, so that the next commit compares the tables again."""
        self._may_differ = self.exist

    def commit(self) -> set[str]:
        """Commit the tables if they may differ; return the superseded paths that they still need."""
        if self._may_differ:
            self._commit(())
        return self._needed

    def commit_without(self, part: int) -> None:
        """Take the outputs of a part out of the tables, before they are removed with its record."""
        record = self._builds.part(part) if self.exist else None
        if record is not None and record.outputs:
            self._commit(record.outputs)
        else:
            self.commit()

    def remove_replaced(self, units: Iterable[str]) -> None:
        """Remove the replaced files of other units that waited for the commit of this unit.

        They have earlier copies of events of this unit, so their own commits had to wait for it.
        """
        place = (self._ledger, self._settings.lake, self._settings.delivery)
        for unit in sorted(units) if self._folders else ():
            if FileLedger(*place).unbuilt_of(unit):
                continue
            builds = BuildLedger(*place, unit)
            for part in builds.parts():
                mine = [path for path in part.superseded if table_folder(path) in self._folders - {None}]
                unneeded = [path for path in mine if path not in self._needed]
                if unneeded and part.claim is None:
                    remove_superseded(builds, self._settings.lake, part.part, unneeded)

    def _commit(self, without: Collection[str]) -> None:
        from pismo_lake.catalog.lake import commit_unit

        tables, parts = self._settings.tables, self._builds.parts()
        assert tables is not None
        paths = {path for part in parts for path in (*part.outputs, *part.superseded)}
        if tables.at_once or without or any(part.superseded for part in parts):
            self._checkpoint("table")
            self._folders |= set(map(table_folder, paths))
            self._needed = commit_unit(
                self._settings, self._ledger, self._unit, paths, without=without, checkpoint=self._checkpoint
            )
        self._may_differ = False
