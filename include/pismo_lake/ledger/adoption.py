"""Record a lake's outputs as those of their units, for a ledger that does not know them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, select, update

from pismo_lake.ledger.builds import fresh_build
from pismo_lake.ledger.queries import of_day
from pismo_lake.ledger.tables import builds, files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from pismo_lake.ledger.engine import Ledger


def adopt_outputs(
    ledger: Ledger, lake: str, delivery: str, found: Mapping[tuple[str, int], Sequence[str]],
    kept: Mapping[tuple[str, int], Sequence[str]],
) -> list[str]:  # fmt: skip
    """Make a delivery's builds agree with the outputs in the lake; return the changed units.

    This is one transaction. If a unit's record names other outputs than the lake has, the unit is built again, and the
    new build replaces the outputs in the lake. A day with outputs was closed, so it takes all its files from their
    hours.

    Args:
        ledger: the ledger.
        lake: the lake.
        delivery: the delivery.
        found: the paths below the lake of each (unit, part).
        kept: in the same form, paths that are no outputs: only older snapshots of tables name them.
    """
    place = (builds.c.lake == lake, builds.c.delivery == delivery)
    changed = []
    with ledger.transaction() as connection:
        rows = {(row.unit, row.part): row for row in connection.execute(select(builds).where(*place))}
        for unit, part in sorted(rows.keys() | found.keys() | kept.keys()):
            row, paths = rows.get((unit, part)), sorted(found.get((unit, part), ()))
            leaving = sorted(kept.get((unit, part), ()))
            same = row is not None and sorted(row.outputs) == paths and sorted(row.superseded) == leaving
            if row is not None and same and row.claim is None:
                continue
            connection.execute(delete(builds).where(*place, builds.c.unit == unit, builds.c.part == part))
            if paths or leaving:
                # its outputs may hold rows twice, so a commit of a table leaves the unit alone until it is built
                values = fresh_build(part) | {"outputs": paths, "superseded": leaving, "pending": bool(paths)}
                connection.execute(builds.insert().values(lake=lake, delivery=delivery, unit=unit, **values))
            _mark_unbuilt(connection, lake, delivery, unit, closed=bool(paths))
            changed.append(unit)
    return sorted(set(changed))


def _mark_unbuilt(connection: Connection, lake: str, delivery: str, unit: str, *, closed: bool) -> None:
    """Mark the files of a unit unbuilt; a day with outputs takes all files of the day."""
    query = update(files).where(files.c.lake == lake, files.c.delivery == delivery)
    values = {"built": False, "touched": files.c.touched + 1}
    if "T" in unit:
        query = query.where(files.c.publish_hour == unit, files.c.closed.is_(False))
    else:
        query = query.where(of_day(files.c.publish_hour, unit))
        values |= {"closed": True} if closed else {}
    connection.execute(query.values(values))
