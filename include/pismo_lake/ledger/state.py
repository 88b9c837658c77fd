"""Count the files of each delivery of a lake, in all and by publish day."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import case, func, or_, select, union

from pismo_lake.hours import DAY_LENGTH, NO_HOUR
from pismo_lake.ledger.lookups import Lookups
from pismo_lake.ledger.tables import builds, files, raw_files, sightings

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Table

    from pismo_lake.ledger.engine import Ledger


@dataclass(frozen=True, slots=True)
class DeliveryState:
    """The files of one delivery.

    They are landed, waiting for a build (with their bytes), or seen but not landed.
    """

    delivery: str
    newest_hour: str | None
    files: int
    waiting_files: int
    waiting_bytes: int
    not_landed: int


@dataclass(frozen=True, slots=True)
class DayState:
    """One publish day of one delivery; `unfinished` files are missing from the lake or wrong."""

    files: int = 0
    bytes: int = 0
    events: int = 0
    unfinished: int = 0
    was_closed: bool = False


@dataclass(frozen=True, slots=True)
class Backlog:
    """The newest publish hour that is in the lake, and the files that are not in it yet.

    These are announced, listed or landed; quarantined files are left out. Only landed files have known bytes.
    """

    newest_hour: str | None
    files: int
    bytes: int


def delivery_backlog(ledger: Ledger, lake: str, delivery: str) -> Backlog:
    """Return the backlog of one delivery; the cost depends on the waiting files, not on all files."""
    seen = Lookups(ledger, lake, delivery)
    waiting = seen.waiting()
    number = waiting.files + waiting.not_landed - waiting.quarantined
    return Backlog(_hour(seen.newest_built_hour()), number, waiting.bytes)


def delivery_states(ledger: Ledger, lake: str) -> list[DeliveryState]:
    """Return the state of every delivery of a lake, by name."""
    totals: dict[str, Counter[str]] = defaultdict(Counter)
    newest: dict[str, str] = {}
    waiting = case((files.c.built.is_(False), 1), else_=0)
    for delivery, hour, count, late, size in _rows(
        ledger, lake, files, files.c.delivery, func.max(files.c.publish_hour), func.count(), func.sum(waiting),
        func.sum(waiting * files.c.size),
    ):  # fmt: skip
        newest[delivery] = hour
        totals[delivery].update(files=count, waiting_files=late, waiting_bytes=int(size))
    for delivery, hour, count, size in _rows(
        ledger, lake, raw_files, raw_files.c.delivery, func.max(raw_files.c.publish_hour), func.count(),
        func.sum(raw_files.c.size),
    ):  # fmt: skip
        newest[delivery] = max(newest.get(delivery, NO_HOUR), hour)
        totals[delivery].update(files=count, waiting_files=count, waiting_bytes=int(size))
    for delivery, count in _rows(ledger, lake, sightings, sightings.c.delivery, func.count()):
        totals[delivery].update(not_landed=count)
    names = ("files", "waiting_files", "waiting_bytes", "not_landed")
    return [
        DeliveryState(delivery, _hour(newest.get(delivery)), **{name: counts[name] for name in names})
        for delivery, counts in sorted(totals.items())
    ]


def day_states(ledger: Ledger, lake: str, delivery: str, first: str, last: str) -> dict[str, DayState]:
    """Return the publish days (YYYY-MM-DD) with records in the ledger, from `first` to `last`."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    unsound = or_(
        files.c.built.is_(False), files.c.closed.is_(False), files.c.status != "landed", files.c.problem.is_not(None)
    )
    sums: tuple[ColumnElement[Any], ...] = (
        func.count(), func.sum(files.c.size), func.sum(files.c.events), func.sum(case((unsound, 1), else_=0)),
    )  # fmt: skip
    for hour, number, size, events, unfinished in _hours(ledger, lake, files, delivery, first, last, *sums):
        sums_of_hour = {"files": number, "bytes": int(size), "events": int(events), "unfinished": int(unfinished)}
        counts[hour[:DAY_LENGTH]].update(sums_of_hour)
    for table in (raw_files, sightings):
        for hour, number in _hours(ledger, lake, table, delivery, first, last, func.count()):
            counts[hour[:DAY_LENGTH]].update(unfinished=number)
    query = select(builds.c.unit).where(builds.c.lake == lake, builds.c.delivery == delivery)
    with ledger.engine.connect() as connection:
        within = (builds.c.unit.between(first, last), func.length(builds.c.unit) == DAY_LENGTH)
        closed = set(connection.execute(query.where(*within)).scalars())
    return {day: DayState(**counts[day], was_closed=day in closed) for day in sorted({*counts, *closed})}


def publish_days(ledger: Ledger, lake: str, delivery: str | None = None) -> list[str]:
    """Return the publish days of which a delivery, or any, has landed files."""
    each = []
    for table in (files, raw_files):
        query = select(func.substr(table.c.publish_hour, 1, DAY_LENGTH)).where(table.c.lake == lake)
        query = query.where(table.c.publish_hour != NO_HOUR)
        each.append(query if delivery is None else query.where(table.c.delivery == delivery))
    with ledger.engine.connect() as connection:
        return sorted(connection.execute(union(*each)).scalars())


def _rows(
    ledger: Ledger, lake: str, table: Table, delivery: ColumnElement[str], *sums: ColumnElement[Any]
) -> list[Any]:
    with ledger.engine.connect() as connection:
        return list(connection.execute(select(delivery, *sums).where(table.c.lake == lake).group_by(delivery)))


def _hours(
    ledger: Ledger, lake: str, table: Table, delivery: str, first: str, last: str, *sums: ColumnElement[Any]
) -> list[Any]:
    """Return the sums of each publish hour: the index has them in this order, so the database sorts no file."""
    hour = table.c.publish_hour
    here = (table.c.lake == lake, table.c.delivery == delivery, hour.between(f"{first}T00", f"{last}T23"))
    with ledger.engine.connect() as connection:
        return list(connection.execute(select(hour, *sums).where(*here).group_by(hour)))


def _hour(text: str | None) -> str | None:
    return None if text in {None, NO_HOUR} else text
