"""Read the builds of a whole lake, with all its deliveries, from the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import String, cast, select

from pismo_lake.ledger.builds import PartRecord, part_record
from pismo_lake.ledger.queries import chunks, of_day
from pismo_lake.ledger.tables import builds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import ColumnElement

    from pismo_lake.ledger.engine import Ledger


@dataclass(frozen=True, slots=True)
class LakePart:
    """A part of a unit of a delivery, and its record."""

    delivery: str
    unit: str
    record: PartRecord

    @property
    def place(self) -> tuple[str, str, int]:
        """The delivery, the unit and the number of the part."""
        return self.delivery, self.unit, self.record.part

    def __str__(self) -> str:
        """Return the part by its name."""
        return f"{self.delivery} {self.unit} part {self.record.part}"


class LakeBuilds:
    """The builds of all deliveries of one lake."""

    def __init__(self, ledger: Ledger, lake: str) -> None:
        self._ledger, self._lake = ledger, lake

    def every(self) -> list[LakePart]:
        """Return every part, in order."""
        return self._parts()

    def of_day(self, delivery: str, day: str) -> list[LakePart]:
        """Return a delivery's parts of a publish day (YYYY-MM-DD) and of its publish hours."""
        return self._parts(builds.c.delivery == delivery, of_day(builds.c.unit, day) | (builds.c.unit == day))

    def of_units(self, units: Iterable[str]) -> list[LakePart]:
        """Return the parts of some units, of any delivery."""
        return [part for chunk in chunks(sorted(units)) for part in self._parts(builds.c.unit.in_(chunk))]

    def keeping(self) -> list[LakePart]:
        """Return the parts with superseded files that are kept for older snapshots of tables."""
        some = cast(builds.c.superseded, String) != "[]"
        return self._parts(builds.c.pending.is_(False), builds.c.claim.is_(None), some)

    def _parts(self, *conditions: ColumnElement[bool]) -> list[LakePart]:
        query = select(builds).where(builds.c.lake == self._lake, *conditions)
        query = query.order_by(builds.c.delivery, builds.c.unit, builds.c.part)
        with self._ledger.engine.connect() as connection:
            rows = connection.execute(query).mappings()
            return [LakePart(row["delivery"], row["unit"], part_record(row)) for row in rows]
