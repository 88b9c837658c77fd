"""Read the files that belong to the tables of a lake: the outputs of all its builds."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from pismo_lake.hours import DAY_LENGTH
from pismo_lake.ledger.tables import builds, files
from pismo_lake.paths import REJECTS, VALUE_ROOTS, safe_segment, split_output_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from sqlalchemy import Connection

    from pismo_lake.ledger.engine import Ledger

_ROOTS = (*VALUE_ROOTS, REJECTS)


Unit = tuple[str, str]
"""A delivery and the name of its unit."""


@dataclass(frozen=True, slots=True)
class TableFiles:
    """The outputs of a lake at one moment.

    Attributes:
        folders: the paths of the outputs below the lake, by the folder of their table.
        moving: the units whose rows are on their way to other files.
        rebuilt: by folder, the hours with rows in it that are to be built again, as (delivery, publish hour).
        deliveries: the deliveries, by their names as safe segments.
    """

    folders: dict[str, set[str]]
    moving: frozenset[Unit] = frozenset()
    rebuilt: Mapping[str, set[Unit]] = field(default_factory=dict)
    deliveries: Mapping[str, str] = field(default_factory=dict)

    def unit_of(self, path: str) -> Unit | None:
        """Return the unit that has written a file; None if its name is not that of an output."""
        named = split_output_name(path.rsplit("/", 1)[-1])
        return None if named is None else (self.deliveries.get(named[0], named[0]), named[1])


def is_within(unit: Unit, units: Collection[Unit]) -> bool:
    """Return whether a unit, or the day of an hour, is one of some units.

    >>> is_within(("mine", "2026-03-01T12"), {("mine", "2026-03-01")})
    True
    """
    return unit in units or (unit[0], unit[1][:DAY_LENGTH]) in units


def read_table_files(ledger: Ledger, lake: str) -> TableFiles:
    """Return the outputs of all deliveries of a lake, as one transaction sees them.

    A recorded unit that still has to remove files, while other files of it are not built, is *moving*: some of its
    rows are only in files that it replaces. For example, a closed day has taken the files of an hour that got a late
    file, and this hour is not built again yet. A further build that has claimed the unit changes nothing.

    An hour is *built again* if files of it were marked after they had been built: for example, because an earlier hour
    got a late copy of one of its events.
    """
    folders: dict[str, set[str]] = defaultdict(set)
    of_unit: dict[Unit, set[str]] = defaultdict(set)
    moving = set[Unit]()
    columns = (builds.c.delivery, builds.c.unit, builds.c.outputs, builds.c.pending, builds.c.built_at)
    with ledger.for_reading().engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
        rows = connection.execute(select(*columns).where(builds.c.lake == lake)).all()
        for delivery, unit, outputs, pending, built_at in rows:
            for path in outputs:
                folder = table_folder(path)
                if folder is not None:
                    folders[folder].add(path)
                    of_unit[delivery, unit].add(folder)
            if pending and (outputs or built_at) and _has_unbuilt(connection, lake, delivery, unit):
                moving.add((delivery, unit))
        deliveries = {row.delivery for row in rows}
        rebuilt: dict[str, set[Unit]] = defaultdict(set)
        for delivery, hour, closed in _marked(connection, lake, deliveries):
            for folder in of_unit.get((delivery, hour[:DAY_LENGTH] if closed else hour), ()):
                rebuilt[folder].add((delivery, hour))
    names = {safe_segment(delivery): delivery for delivery in deliveries}
    return TableFiles(dict(folders), frozenset(moving), dict(rebuilt), names)


def table_folder(path: str) -> str | None:
    """Return the folder of an output's table; None if the output belongs to no table.

    >>> table_folder("events/domain=cards/event_type=creation-1/event_date=2026-03-01/x.parquet")
    'events/domain=cards/event_type=creation-1'
    """
    return path.rsplit("/", 2)[0] if path.split("/", 1)[0] in _ROOTS else None


def _has_unbuilt(connection: Connection, lake: str, delivery: str, unit: str) -> bool:
    """Return whether a unit has files that no build has read; for a day, also those of its hours."""
    mine = (files.c.lake == lake, files.c.delivery == delivery, files.c.built.is_(False))
    query = select(func.count()).where(*mine, files.c.publish_hour.startswith(unit))
    return bool(connection.execute(query).scalar_one())


def _marked(connection: Connection, lake: str, deliveries: Iterable[str]) -> list[tuple[str, str, bool]]:
    """Return (delivery, publish hour, closed) of files that were marked unbuilt after they were recorded."""
    columns = (files.c.delivery, files.c.publish_hour, files.c.closed)
    query = select(*columns).where(files.c.lake == lake, files.c.built.is_(False), files.c.touched > 0).distinct()
    return [
        (name, hour, closed)
        # the ledger finds unbuilt files by their delivery quickly
        for delivery in sorted(deliveries)
        for name, hour, closed in connection.execute(query.where(files.c.delivery == delivery))
    ]
