"""Record raw files between their landing and their index.

If a row is here, the bytes are kept and will be indexed. So the notice may be deleted, and Pismo is no longer needed.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from sqlalchemy import delete, null, select, update

from pismo_lake.hours import hour_of_key
from pismo_lake.ledger.engine import now_text
from pismo_lake.ledger.generation import mark_generation, raise_generation
from pismo_lake.ledger.queries import chunks, insert_new, of_day
from pismo_lake.ledger.tables import files, raw_files, sightings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import ColumnElement, Connection, RowMapping, Table

    from pismo_lake.ledger.engine import Ledger


@dataclass(frozen=True, slots=True)
class RawFile:
    """A version of an event file in landing; `publish_hour` is ``-`` if the key has none.

    `size` is in bytes. `sha256` is None until it is needed. `published_at` and `landed_at` are ISO 8601, UTC.
    `problem` is the reason that the last attempt to index it failed.
    """

    name: str
    key: str
    size: int
    etag: str | None
    sha256: str | None
    raw_uri: str
    published_at: str | None = None
    landed_at: str = ""
    run: str | None = None
    problem: str | None = None

    @property
    def publish_hour(self) -> str:
        """The hour folder of the key."""
        return hour_of_key(self.key)


_FIELDS = tuple(item.name for item in fields(RawFile))


def raw_file(row: RowMapping) -> RawFile:
    """Return the file of a row of the table."""
    return RawFile(**{name: row[name] for name in _FIELDS})


@dataclass(frozen=True, slots=True)
class Version:
    """A landed version of an object key.

    Without an index it has no `index_uri`, and usually no `sha256`.
    """

    name: str
    size: int
    sha256: str | None
    raw_uri: str
    index_uri: str | None


class FileForgottenError(Exception):
    """A file that waited for its index was forgotten meanwhile."""


class RawLedger:
    """The raw files of one delivery in one lake."""

    def __init__(self, ledger: Ledger, lake: str, delivery: str) -> None:
        self._ledger, self._place = ledger, {"lake": lake, "delivery": delivery}

    def versions(self, keys: Iterable[str]) -> dict[str, list[Version]]:
        """Return all landed versions of keys, indexed or not; keys without any are left out."""
        found: dict[str, list[Version]] = {}
        with self._ledger.engine.connect() as connection:
            for chunk in chunks(keys):
                for table, index in ((files, files.c.index_uri), (raw_files, null())):
                    query = select(table.c.key, table.c.name, table.c.size, table.c.sha256, table.c.raw_uri, index)
                    for key, *version in connection.execute(query.where(*self._where(table), table.c.key.in_(chunk))):
                        found.setdefault(key, []).append(Version(*version))
        return found

    def is_of_other_key(self, file: RawFile) -> bool:
        """Return whether any lake has recorded the raw bytes at a file's place for another key.

        Earlier versions landed keys that differ only by empty segments at one place.
        """
        with self._ledger.engine.connect() as connection:
            return any(
                connection.execute(
                    select(table.c.name).where(table.c.raw_uri == file.raw_uri, table.c.key != file.key).limit(1)
                ).first()
                for table in (files, raw_files)
            )

    def note(self, landed: Iterable[RawFile]) -> None:
        """Record files whose bytes are in landing, in one transaction; known files stay unchanged."""
        same = self._place | {"landed_at": now_text(), "run": self._ledger.run}
        rows = [
            {name: getattr(file, name) for name in _FIELDS} | same | {"publish_hour": file.publish_hour}
            # in order: two transactions that record the same files must not wait for each other
            for file in sorted(landed, key=lambda file: file.name)
        ]
        with self._ledger.transaction() as connection:
            if rows:
                connection.execute(insert_new(connection, raw_files), rows)
            self._forget_sightings(connection, [str(row["key"]) for row in rows])
            generation = raise_generation(connection, self._place["lake"])
        mark_generation(self._place["lake"], generation, self._ledger.run)

    def touch(self, etags: Mapping[str, tuple[str, str | None]]) -> None:
        """Record (key, ETag) of unchanged content by file name, so that it is not fetched again."""
        with self._ledger.transaction() as connection:
            for name, (_, etag) in sorted(etags.items()):
                for table in (files, raw_files) if etag is not None else ():
                    same = (*self._where(table), table.c.name == name)
                    connection.execute(update(table).where(*same).values(etag=etag))
            self._forget_sightings(connection, sorted(key for key, _ in etags.values()))

    def _forget_sightings(self, connection: Connection, keys: Sequence[str]) -> None:
        """Forget the sightings of landed files."""
        for chunk in chunks(keys):
            connection.execute(delete(sightings).where(*self._where(sightings), sightings.c.key.in_(chunk)))

    def list_waiting(self, hours: Iterable[str] | None = None) -> list[RawFile]:
        """Return the files without an index, of some publish hours or of all, in rank order."""
        columns = [raw_files.c[name] for name in _FIELDS]
        query = select(*columns).where(*self._where(raw_files)).order_by(raw_files.c.publish_hour, raw_files.c.name)
        if hours is not None:
            query = query.where(raw_files.c.publish_hour.in_(list(hours)))
        with self._ledger.engine.connect() as connection:
            found = [RawFile(*row) for row in connection.execute(query)]
        # by code points, like ranks; a database may sort in another order
        return sorted(found, key=lambda file: (file.publish_hour, file.name))

    def hours_of_day(self, day: str) -> list[str]:
        """Return the publish hours of a day (YYYY-MM-DD) that have files without an index."""
        query = select(raw_files.c.publish_hour).where(*self._where(raw_files), of_day(raw_files.c.publish_hour, day))
        with self._ledger.engine.connect() as connection:
            return sorted(set(connection.execute(query).scalars()))

    def is_forgotten(self, name: str) -> bool:
        """Return whether neither a raw file nor an indexed file of this name is recorded."""
        with self._ledger.engine.connect() as connection:
            return not self._is_recorded(connection, name)

    def refuse_forgotten(self, connection: Connection, name: str) -> None:
        """Refuse a transaction on a file that was forgotten; until it ends, none can forget the file.

        Raises:
            FileForgottenError: The file is not recorded any more.
        """
        if not self._is_recorded(connection, name):
            raise FileForgottenError(name)

    def _is_recorded(self, connection: Connection, name: str) -> bool:
        queries = (
            select(table.c.name).where(*self._where(table), table.c.name == name) for table in (raw_files, files)
        )
        return any(connection.execute(query.with_for_update()).first() for query in queries)

    def record_problem(self, name: str, problem: str) -> None:
        """Record why a file could not be indexed."""
        with self._ledger.transaction() as connection:
            same = (*self._where(raw_files), raw_files.c.name == name)
            connection.execute(update(raw_files).where(*same).values(problem=problem[:2000]))

    def _where(self, table: Table) -> tuple[ColumnElement[bool], ...]:
        return tuple(table.c[name] == value for name, value in self._place.items())
