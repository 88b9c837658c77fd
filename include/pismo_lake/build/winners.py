"""Build the hours that have the winning copies of a part's events, before the part loses these rows.

A late file may hold an earlier copy of an event that a part has a row of. Its hour must have the row before the part
loses it, so that no row is ever missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pismo_lake.build.units import UNIT_ERRORS

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from pismo_lake.build.draft import Inputs
    from pismo_lake.ledger import FileLedger
    from pismo_lake.settings.lake import LakeSettings


class Winners:
    """Find and build the hours with winning copies of events of one unit.

    Builders wait only for builders of earlier hours, so they never wait in a circle.

    Attributes:
        units: the other units that had a winning copy.
    """

    def __init__(
        self, settings: LakeSettings, landed: FileLedger, unit: str, build_other: Callable[[str], None],
        log: logging.Logger,
    ) -> None:  # fmt: skip
        self._settings, self._landed, self._unit, self._log = settings, landed, unit, log
        self._build_other = build_other
        self.units = set[str]()

    def build(
        self, part: int, inputs: Inputs, read: Callable[[], Inputs], replaces_rows: Callable[[int], bool]
    ) -> tuple[Inputs, bool]:
        """Build the hours whose copies of events replace rows of a part.

        Return the inputs for the build, as `read` gives them, and whether rows move to another part of this unit,
        which this run builds too.
        """
        moves, checked = False, set[tuple[str, str]]()
        # few parts have a winner elsewhere: only for these the ledger is asked
        while (winners := self._winners_elsewhere(part, inputs) - checked) and (checked or replaces_rows(part)):
            moves |= self._build_hours_of(winners)
            checked |= winners
            # another run may have built a winner's hour, with a still earlier copy elsewhere as the winner
            inputs = read()
        return inputs, moves

    def _winners_elsewhere(self, part: int, inputs: Inputs) -> frozenset[tuple[str, str]]:
        """Return the files outside of a part that have the winning copies of its events."""
        files = inputs.parts.get(part, [])
        own = {(self._settings.delivery, record.name) for record in files}
        return frozenset[tuple[str, str]]().union(*(inputs.verdicts[record.name].winners for record in files)) - own

    def _build_hours_of(self, winners: frozenset[tuple[str, str]]) -> bool:
        """Build the hours of files that are not in the lake yet; return whether this unit is one of them."""
        found = self._landed.find_named(name for delivery, name in winners if delivery == self._settings.delivery)
        self.units |= {record.unit for record in found} - {self._unit}
        hours = {record.publish_hour for record in found if not record.built and not record.closed}
        for hour in sorted(hours - {self._unit}):
            try:
                self._build_other(hour)
            except UNIT_ERRORS as error:
                # its own run fails too, and its day is incomplete
                self._log.warning("publish hour %s has earlier copies of events, and cannot be built: %s", hour, error)
        return self._unit in hours
