"""Event files that were announced or listed and are not landed: each is seen by the ledger before it is fetched.

What stays here after a landing is what reconciliation asks about: a notice whose object never came, a file that is
listed and cannot be read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from pismo_lake.errors import FileMissing
from pismo_lake.hours import hour_of_key
from pismo_lake.ledger.engine import now_text
from pismo_lake.ledger.queries import chunks, of_day
from pismo_lake.ledger.tables import sightings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import ColumnElement

    from pismo_lake.errors import PismoError
    from pismo_lake.ledger.engine import Ledger

ASKED_FOR = "asked for"


@dataclass(frozen=True, slots=True)
class Sighting:
    """A file seen and not landed; `first_seen` is ISO 8601, UTC."""

    key: str
    publish_hour: str
    seen_by: str
    first_seen: str
    problem: str | None


class Sightings:
    """The sightings of one delivery in one lake."""

    def __init__(self, ledger: Ledger, lake: str, delivery: str) -> None:
        self._ledger, self._place = ledger, {"lake": lake, "delivery": delivery}

    def note(self, keys: Iterable[str], seen_by: str) -> None:
        """Note the keys of files about to be fetched; a key seen before keeps its first time."""
        hours = {key: hour_of_key(key) for key in keys}
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
                        continue  # another run noted some of them at this moment, and notes the others too

    def failed(self, failures: Mapping[str, PismoError]) -> None:
        """Note why files could not be landed; one that is not there and was only asked for was a wrong key."""
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

    def of_day(self, day: str) -> list[Sighting]:
        """What was seen of a publish day (YYYY-MM-DD) and is not landed, by key."""
        where = (*self._where(), of_day(sightings.c.publish_hour, day))
        columns = (sightings.c.key, sightings.c.publish_hour, sightings.c.seen_by, sightings.c.first_seen)
        with self._ledger.engine.connect() as connection:
            rows = connection.execute(select(*columns, sightings.c.problem).where(*where).order_by(sightings.c.key))
            return [Sighting(*row) for row in rows]

    def _where(self) -> tuple[ColumnElement[bool], ...]:
        return tuple(sightings.c[name] == value for name, value in self._place.items())
