"""Commit the tables of a unit after its files are recorded, and before superseded ones are removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pismo_lake.build.claim import remove_superseded
from pismo_lake.hours import DAY_LENGTH
from pismo_lake.ledger import FileLedger
from pismo_lake.ledger.builds import BuildLedger
from pismo_lake.ledger.erasures import last_erasure
from pismo_lake.ledger.lake_builds import LakeBuilds
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
        self._needed, self._folders = set[str](), set[str]()
        self._keeps_files = settings.tables is not None and settings.tables.keeps_files
        self._oldest = self._oldest_build() if self._keeps_files else None
        """The time of the oldest build that this one may replace; empty if it is not known."""

    def expect_commit(self) -> None:
        """Note that files were recorded, so that the next commit compares the tables again."""
        self._may_differ = self.exist

    def commit(self) -> None:
        """Commit the tables if they may differ."""
        if self._may_differ:
            self._commit(())

    def commit_without(self, part: int) -> set[str]:
        """Take the outputs of a part out of the tables, before they are removed with its record.

        Returns:
            The files of the part that stay, because older snapshots name them.
        """
        record = self._builds.part(part) if self.exist else None
        if record is None:
            return set()
        if record.outputs:
            self._commit(record.outputs)
        else:
            self.commit()
        return self._find_kept({*record.outputs, *record.superseded}, self._oldest)

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
                mine = [path for path in part.superseded if table_folder(path) in self._folders]
                if part.pending and part.claim is None and set(mine) - self._needed:
                    self._remove(builds, part.part, mine, replaced="")

    def remove_superseded(self, part: int, superseded: Collection[str]) -> None:
        """Remove the replaced files of a part; leave those that a table still needs, or its older snapshots."""
        self._remove(self._builds, part, superseded, self._oldest)

    def remove_kept(self) -> None:
        """Remove the files that no snapshot needs any more, after a day was closed."""
        if len(self._unit) == DAY_LENGTH:
            from pismo_lake.build.kept_files import remove_kept

            remove_kept(self._settings, self._ledger, expired=self._folders)

    def _remove(self, builds: BuildLedger, part: int, superseded: Collection[str], replaced: str | None) -> None:
        unneeded = [path for path in superseded if path not in self._needed]
        kept = self._find_kept(unneeded, replaced)
        remove_superseded(builds, self._settings.lake, part, [path for path in unneeded if path not in kept])
        if kept:
            builds.keep(part, kept)

    def _find_kept(self, paths: Collection[str], replaced: str | None) -> set[str]:
        """Return the paths that older snapshots may name, if the lake keeps their files."""
        folders = {path: folder for path in paths if (folder := table_folder(path)) is not None}
        if not self._keeps_files or not folders or self._forget_erased(replaced):
            return set()
        if replaced:
            return set(folders)
        # a killed build has left files that no snapshot ever named
        from pismo_lake.catalog.lake import reached_paths

        return folders.keys() & reached_paths(self._settings, self._ledger, set(folders.values()))

    def _forget_erased(self, replaced: str | None) -> bool:
        """Return whether files of a build at a time may hold erased events; then forget the snapshots with them.

        An erasure by another delivery leaves the units of this one to their next build.
        """
        from pismo_lake.catalog.lake import forget_all_older

        erased = last_erasure(self._ledger, self._settings.lake)
        if erased is None or replaced is None or erased < replaced:
            return False
        forget_all_older(self._settings, self._ledger, self._folders)
        return True

    def _oldest_build(self) -> str | None:
        parts = [part for part in self._builds.parts() if part.built_at or part.pending]
        if len(self._unit) == DAY_LENGTH:
            # it takes over the files of its hours
            every = LakeBuilds(self._ledger, self._settings.lake).of_day(self._settings.delivery, self._unit)
            parts = [part.record for part in every if part.record.built_at or part.record.pending]
        # a killed build has replaced files of an unknown time
        return min(("" if part.pending else str(part.built_at) for part in parts), default=None)

    def _commit(self, without: Collection[str]) -> None:
        from pismo_lake.catalog.lake import commit_unit

        tables, parts = self._settings.tables, self._builds.parts()
        assert tables is not None
        paths = {path for part in parts for path in (*part.outputs, *part.superseded)}
        if tables.at_once or without or any(part.superseded for part in parts):
            self._checkpoint("table")
            self._folders |= {folder for path in paths if (folder := table_folder(path)) is not None}
            self._needed = commit_unit(
                self._settings, self._ledger, self._unit, paths, without=without, checkpoint=self._checkpoint
            )
        self._may_differ = False
