"""Hold back the changes of units that share events with a unit that is not ready.

A late file may hold an earlier copy of an event: its hour gets the row, and a later hour loses it. Both hours must
change in one commit, else a reader sees the row twice, or misses it. So the change of one hour waits for the other. The
commit of the last one has both.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from pismo_lake.errors import LandedFileError
from pismo_lake.hours import DAY_LENGTH
from pismo_lake.index.dedupe import judge_all
from pismo_lake.index.files import read_index
from pismo_lake.index.keys import KEY_COLUMNS
from pismo_lake.index.later_copies import LaterCopies
from pismo_lake.ledger import FileLedger
from pismo_lake.ledger.table_files import is_within

if TYPE_CHECKING:
    from collections.abc import Collection

    from pismo_lake.ledger import FileRecord, Ledger
    from pismo_lake.ledger.table_files import Unit
    from pismo_lake.settings.lake import LakeSettings


@dataclass(frozen=True, slots=True)
class _Links:
    """The publish hours that have earlier copies of a unit's events, and those that have later ones.

    They are hours also if a closed day has their files. A close may have taken them after the caller read the ledger.
    """

    earlier: frozenset[Unit]
    later: frozenset[Unit]

    def meet(self, units: Collection[Unit]) -> bool:
        return any(is_within(unit, units) for unit in self.earlier | self.later)


class Coupling:
    """Finds which units share events. It reads indexes only if a unit is not ready."""

    def __init__(self, settings: LakeSettings, ledger: Ledger) -> None:
        self._settings, self._ledger = settings, ledger
        self._later = LaterCopies(settings, ledger)

    def hold(self, units: Collection[Unit], moving: Collection[Unit], rebuilt: Collection[Unit]) -> set[Unit]:
        """Return the units whose changes must wait.

        Args:
            units: the units with changes in a table.
            moving: units whose changes wait already.
            rebuilt: (delivery, publish hour) of rows in this table that are to be built again.
        """
        held = set(moving)
        if not units or not (held or rebuilt):
            return held
        links = {unit: self._links(unit) for unit in units if not is_within(unit, held)}
        while more := {unit for unit, of in links.items() if of.meet(held) or not of.later.isdisjoint(rebuilt)} - held:
            held |= more
        return held

    def _links(self, unit: Unit) -> _Links:
        files = self._files(unit)
        try:
            verdicts = judge_all(self._settings, self._ledger, files)
            later = {
                place
                for record in files
                for place in self._later.hours_sharing(record, partial(read_index, record, KEY_COLUMNS))
            }
        except (FileNotFoundError, LandedFileError):
            # the build of the file fails, and names it
            return _Links(frozenset(), frozenset())
        winners = frozenset[tuple[str, str]]().union(*(verdict.winners for verdict in verdicts.values()))
        found = (
            record
            for delivery in {delivery for delivery, _ in winners}
            for record in self._of(delivery).find_named(name for other, name in winners if other == delivery)
        )
        # the unit itself is left in: the parts of an hour may share events, and are built one after another
        return _Links(frozenset((record.delivery, record.publish_hour) for record in found), frozenset(later))

    def _files(self, unit: Unit) -> list[FileRecord]:
        """Return the files of a publish hour, also those that its day has taken, or of a closed day."""
        ledger = self._of(unit[0])
        if len(unit[1]) > DAY_LENGTH:
            return ledger.every_of_hour(unit[1])
        return [record for record in ledger.of_day(unit[1]) if record.closed]

    def _of(self, delivery: str) -> FileLedger:
        return FileLedger(self._ledger, self._settings.lake, delivery)
