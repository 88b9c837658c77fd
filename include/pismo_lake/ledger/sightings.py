"""Record event files that were announced or listed, until they are landed.

A file is recorded before it is fetched. If it is still here after a landing, reconciliation reports it: for example a
notice whose object never arrived, or a file that is listed but cannot be read.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError

from pismo_lake.errors import FileMissing
from pismo_lake.hours import NO_HOUR, PublishHour
from pismo_lake.ledger.engine import now_text
from pismo_lake.ledger.queries import chunks, of_day
from pismo_lake.ledger.tables import sightings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import ColumnElement, Connection

    from pismo_lake.errors import PismoError
    from pismo_lake.ledger.engine import Ledger

ASKED_FOR = "asked for"


@dataclass(frozen=True, slots=True)
class Sighting:
    """A file that was seen and is not landed; times are ISO 8601, UTC.

    `quarantined` is the time at which too many `tries` had failed. Such a file is tried again only on demand.
    """

    delivery: str
    key: str
    publish_hour: str
    seen_by: str
    first_seen: str
    problem: str | None
    tries: int = 0
    quarantined: str | None = None

    @property
    def state(self) -> str:
        """The way it was seen, or ``quarantined``."""
        return "quarantined" if self.quarantined else self.seen_by


class Sightings:
    """The sightings of one delivery in one lake."""

    def __init__(self, ledger: Ledger, lake: str, delivery: str) -> None:
        self._ledger, self._place = ledger, {"lake": lake, "delivery": delivery}

    def note(self, keys: Iterable[str], seen_by: str) -> None:
        """Record the keys of files before they are fetched; a known key keeps its first time."""
        # a file in a sub-folder of an hour folder belongs to that hour, although it cannot be landed
        hours = {key: str(PublishHour.above_key(key) or NO_HOUR) for key in keys}
        with self._ledger.transaction() as connection:
            for chunk in chunks(hours):
                query = select(sightings.c.key).where(*self._where(), sightings.c.key.in_(chunk))
                fresh = set(chunk) - set(connection.execute(query).scalars())
                rows = [
                    self._place | {"key": key, "publish_hour": hours[key], "seen_by": seen_by, "first_seen": now_text()}
                    for key in sorted(fresh)
                ]
                if rows:
                    try:
                        with connection.begin_nested():
                            connection.execute(sightings.insert(), rows)
                    except IntegrityError:
                        continue  # another run recorded some of them just now, and records the others too

    def record_failures(self, failures: Mapping[str, PismoError]) -> None:
        """Record why files could not be landed; forget a missing file that only a person asked for."""
        with self._ledger.transaction() as connection:
            for key, error in failures.items():
                same = (*self._where(), sightings.c.key == key)
                if isinstance(error, FileMissing):
                    connection.execute(delete(sightings).where(*same, sightings.c.seen_by == ASKED_FOR))
                connection.execute(update(sightings).where(*same).values(problem=str(error)[:2000]))

    def forget(self, keys: Iterable[str]) -> None:
        """Forget files that are no longer expected to be landed."""
        with self._ledger.transaction() as connection:
            for chunk in chunks(keys):
                connection.execute(delete(sightings).where(*self._where(), sightings.c.key.in_(chunk)))

    def count_tries(self, keys: Iterable[str], limit: int) -> dict[str, Sighting]:
        """Count a failed try of files; quarantine those that reach `limit`; return the files."""
        found: dict[str, Sighting] = {}
        with self._ledger.transaction() as connection:
            for chunk in chunks(keys):
                these = (*self._where(), sightings.c.key.in_(chunk))
                tries = func.coalesce(sightings.c.tries, 0)
                connection.execute(update(sightings).where(*these).values(tries=tries + 1))
                many = (*these, sightings.c.tries >= limit, sightings.c.quarantined.is_(None))
                connection.execute(update(sightings).where(*many).values(quarantined=now_text()))
                found |= {seen.key: seen for seen in _read(connection, *these)}
        return found

    def list_quarantined(self) -> dict[str, Sighting]:
        """Return the quarantined files, which are tried only on demand, by key."""
        with self._ledger.engine.connect() as connection:
            return {seen.key: seen for seen in _read(connection, *self._where(), sightings.c.quarantined.is_not(None))}

    def of_day(self, day: str) -> list[Sighting]:
        """Return the files of a publish day (YYYY-MM-DD) that were seen and are not landed, by key."""
        with self._ledger.engine.connect() as connection:
            return _read(connection, *self._where(), of_day(sightings.c.publish_hour, day))

    def _where(self) -> tuple[ColumnElement[bool], ...]:
        return tuple(sightings.c[name] == value for name, value in self._place.items())


def failed_files(ledger: Ledger, lake: str, day: str | None = None) -> list[Sighting]:
    """Return the files of a lake, or of one publish day, whose last landing failed, by key."""
    where = [sightings.c.lake == lake, sightings.c.problem.is_not(None)]
    if day is not None:
        where.append(of_day(sightings.c.publish_hour, day))
    with ledger.engine.connect() as connection:
        return _read(connection, *where)


def _read(connection: Connection, *conditions: ColumnElement[bool]) -> list[Sighting]:
    columns = [sightings.c[item.name] for item in fields(Sighting)]
    rows = connection.execute(select(*columns).where(*conditions).order_by(sightings.c.delivery, sightings.c.key))
    return [Sighting(**row | {"tries": row["tries"] or 0}) for row in map(dict, rows.mappings())]
