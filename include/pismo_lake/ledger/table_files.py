"""Read the files that belong to the tables of a lake: the outputs of all its builds."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from pismo_lake.hours import DAY_LENGTH
from pismo_lake.ledger.tables import builds, files
from pismo_lake.paths import REJECTS, VALUE_ROOTS, safe_segment, split_output_name

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import Connection

    from pismo_lake.ledger.engine import Ledger

_ROOTS = (*VALUE_ROOTS, REJECTS)


@dataclass(frozen=True, slots=True)
class TableFiles:
    """The outputs of a lake at one moment.

    `folders` has the paths of the outputs below the lake, by the folder of their table. `moving` has the units whose
    rows are on their way to other files, as (delivery as a safe segment, unit).
    """

    folders: dict[str, set[str]]
    moving: frozenset[tuple[str, str]]

    def is_moving(self, path: str, own: Collection[tuple[str, str]] = ()) -> bool:
        """Return whether rows of a file's unit are on their way; `own` units have arrived."""
        named = split_output_name(path.rsplit("/", 1)[-1]) if self.moving else None
        if named is None:
            return False
        return not self.moving.difference(own).isdisjoint({(named[0], named[1]), (named[0], named[1][:DAY_LENGTH])})


def read_table_files(ledger: Ledger, lake: str) -> TableFiles:
    """Return the outputs of all deliveries of a lake, as one transaction sees them.

    A recorded unit that still has to remove files, while other files of it are not built, is *moving*: some of its
    rows are only in files that it replaces. For example, a closed day has taken the files of an hour that got a late
    file, and this hour is not built again yet.
    """
    folders: dict[str, set[str]] = defaultdict(set)
    moving = set[tuple[str, str]]()
    columns = (builds.c.delivery, builds.c.unit, builds.c.outputs, builds.c.pending, builds.c.claim)
    with ledger.for_reading().engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
        rows = connection.execute(select(*columns).where(builds.c.lake == lake)).all()
        for delivery, unit, outputs, pending, claim in rows:
            for path in outputs:
                folder = table_folder(path)
                if folder is not None:
                    folders[folder].add(path)
            if pending and claim is None and outputs and _has_unbuilt(connection, lake, delivery, unit):
                moving.add((safe_segment(delivery), unit))
    return TableFiles(dict(folders), frozenset(moving))


def table_folder(path: str) -> str | None:
    """Return the folder of an output's table; None if the output belongs to no table.

    >>> table_folder("events/domain=cards/event_type=creation-1/event_date=2026-03-01/x.parquet")
    'events/domain=cards/event_type=creation-1'
    """
    return path.rsplit("/", 2)[0] if path.split("/", 1)[0] in _ROOTS else None


def _has_unbuilt(connection: Connection, lake: str, delivery: str, unit: str) -> bool:
    """Return whether a unit has files that no build has read; for a day, those of its hours."""
    mine = (files.c.lake == lake, files.c.delivery == delivery, files.c.built.is_(False), files.c.closed.is_(False))
    query = select(func.count()).where(*mine, files.c.publish_hour.startswith(unit))
    return bool(connection.execute(query).scalar_one())
