"""Keep the landed files of one delivery in one lake."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.exc import IntegrityError

from pismo_lake.hours import DAY_LENGTH, NO_HOUR, Rank
from pismo_lake.ledger.engine import now_text
from pismo_lake.ledger.queries import chunks, of_day
from pismo_lake.ledger.tables import builds, files, raw_files
from pismo_lake.paths import can_be_kept

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlalchemy import ColumnElement, Connection, RowMapping, Table

    from pismo_lake.ledger.engine import Ledger


@dataclass(frozen=True, slots=True)
class KnownFile:
    """The size in bytes and the ETag of the latest landed version of an object key."""

    size: int
    etag: str | None


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One landed version of an event file; timestamps are microseconds since 1970 UTC."""

    lake: str
    delivery: str
    name: str
    key: str
    size: int
    etag: str | None
    sha256: str
    publish_hour: str
    raw_uri: str
    index_uri: str | None
    plain_size: int
    framing: str
    status: str
    problem: str | None
    events: int
    rejects: int
    untimed: int
    min_timestamp: int | None
    max_timestamp: int | None
    part: int = 0
    built: bool = False
    closed: bool = False
    touched: int = 0
    published_at: str | None = None
    landed_at: str = ""
    run: str | None = None

    @property
    def rank(self) -> Rank:
        """The file's place in the order that decides which copy of an event wins."""
        return Rank(self.publish_hour, self.name, self.delivery)

    @property
    def unit(self) -> str:
        """The unit that builds the file: its publish hour, or its publish day after the close."""
        return _unit(self.publish_hour, self.closed)


_FIELDS = tuple(item.name for item in fields(FileRecord))


class FileLedger:
    """The landed files of one delivery in one lake."""

    def __init__(self, ledger: Ledger, lake: str, delivery: str) -> None:
        self._ledger, self._lake, self._delivery = ledger, lake, delivery

    def find_known(self, keys: Iterable[str]) -> dict[str, KnownFile]:
        """Return the landed files among `keys`, indexed or not, each with its latest version."""
        wanted, found = [key for key in keys if can_be_kept(key)], {}
        with self._ledger.engine.connect() as connection:
            for chunk in chunks(wanted):
                # a file without an index was landed after the files that have one
                for table, order in ((files, files.c.id), (raw_files, raw_files.c.landed_at)):
                    query = select(table.c.key, table.c.size, table.c.etag).order_by(order)
                    for key, size, etag in connection.execute(query.where(*self._where(table), table.c.key.in_(chunk))):
                        found[key] = KnownFile(size, etag)
        return found

    def record(
        self,
        record: FileRecord,
        part_bytes: int,
        sharing: Iterable[tuple[str, str]] = (),
        verify: Callable[[Connection], None] = lambda _: None,
        joins: int | None = None,
    ) -> FileRecord:
        """Record an indexed file once and give it a part of its publish hour.

        The part is the last one of the hour if it has room, or else a new one. The file no longer waits for an index.

        Args:
            record: the file; if a file of this name is recorded already, its row stays unchanged.
            part_bytes: the size of a part, in uncompressed bytes.
            joins: the only part that the file may join, instead of the last one; -1 for a new one.
            sharing: (delivery, publish hour) of the units that hold a copy which loses now. They are marked unbuilt in
                the same transaction.
            verify: raises an error, in the same transaction, if the file must not be recorded.
        """
        same = (*self._where(files), files.c.name == record.name)
        hour = (*self._where(files), files.c.publish_hour == record.publish_hour)
        with self._ledger.transaction() as connection:
            lock_recording(connection, self._lake)
            verify(connection)
            if connection.execute(select(files.c.id).where(*same)).first() is None:
                last = connection.execute(select(func.max(files.c.part)).where(*hour)).scalar()
                part = int(last or 0) if joins is None else joins
                filled = connection.execute(
                    select(func.coalesce(func.sum(files.c.plain_size), 0)).where(*hour, files.c.part == part)
                ).scalar_one()
                if part < 0 or (filled and filled + record.plain_size > part_bytes):
                    part = 0 if last is None else int(last) + 1
                values = asdict(record) | {"lake": self._lake, "delivery": self._delivery}
                values |= {"part": part, "built": False}
                values |= {"landed_at": record.landed_at or now_text(), "run": record.run or self._ledger.run}
                # in order: two transactions that lock the same hours must not wait for each other
                for delivery, sharer in sorted(sharing):
                    mark_unbuilt(connection, self._lake, delivery, sharer)
                try:
                    with connection.begin_nested():
                        connection.execute(files.insert().values(values))
                except IntegrityError:
                    pass  # another run recorded this version first: keep its row
            connection.execute(delete(raw_files).where(*self._where(raw_files), raw_files.c.name == record.name))
            return file_record(connection.execute(select(files).where(*same)).mappings().one())

    def of_hour(self, hour: str) -> list[FileRecord]:
        """Return the files of one publish hour that no closed day has taken, in rank order."""
        return self._records(files.c.publish_hour == hour, files.c.closed.is_(False))

    def every_of_hour(self, hour: str) -> list[FileRecord]:
        """Return all files of one publish hour, in rank order."""
        return self._records(files.c.publish_hour == hour)

    def of_day(self, day: str) -> list[FileRecord]:
        """Return all files of one publish day (YYYY-MM-DD), in rank order."""
        return self._records(of_day(files.c.publish_hour, day))

    def unbuilt_of(self, unit: str) -> list[FileRecord]:
        """Return the files of a publish hour or day that wait for a build, in rank order."""
        is_hour = len(unit) > DAY_LENGTH
        within = files.c.publish_hour == unit if is_hour else of_day(files.c.publish_hour, unit)
        return self._records(within, files.c.built.is_(False))

    def find_named(self, names: Iterable[str]) -> list[FileRecord]:
        """Return the files with these names, in rank order."""
        found = [record for chunk in chunks(names) for record in self._records(files.c.name.in_(chunk))]
        return sorted(found, key=lambda record: record.rank)

    def names(self) -> set[str]:
        """Return the names of all files."""
        with self._ledger.engine.connect() as connection:
            return set(connection.execute(select(files.c.name).where(*self._where(files))).scalars())

    def unbuilt_units(self) -> list[str]:
        """Return the publish hours and closed publish days that need a build, oldest first.

        They have files that no build has read, files without an index, or superseded outputs that a crash left.
        """
        changed = select(files.c.publish_hour, files.c.closed).where(*self._where(files), files.c.built.is_(False))
        left = select(builds.c.unit).where(*self._where(builds), builds.c.pending)
        raw = select(raw_files.c.publish_hour).where(*self._where(raw_files))
        with self._ledger.engine.connect() as connection:
            units = {_unit(hour, closed) for hour, closed in connection.execute(changed.distinct())}
            units |= set(connection.execute(left).scalars())
            return sorted(units | set(connection.execute(raw.distinct()).scalars()) - {NO_HOUR})

    def hours_of_keys(self, keys: Iterable[str]) -> set[str]:
        """Return the publish hours of landed keys."""
        found = set[str]()
        query = select(files.c.publish_hour).where(*self._where(files)).distinct()
        with self._ledger.engine.connect() as connection:
            for chunk in chunks(keys):
                found.update(connection.execute(query.where(files.c.key.in_(chunk))).scalars())
        return found

    def units_of_hours(self, hours: Iterable[str]) -> list[str]:
        """Return the units with the files of publish hours: the hours, or their closed days."""
        query = select(files.c.publish_hour, files.c.closed).where(*self._where(files)).distinct()
        found = set[str]()
        with self._ledger.engine.connect() as connection:
            for chunk in chunks(hours):
                rows = connection.execute(query.where(files.c.publish_hour.in_(chunk)))
                found.update(_unit(hour, closed) for hour, closed in rows)
        return sorted(found)

    def sum_bytes(self, units: Iterable[str]) -> dict[str, int]:
        """Return the raw bytes of publish hours and closed days, with the files that wait for an index."""
        wanted = list(units)
        found = dict.fromkeys(wanted, 0)
        with self._ledger.engine.connect() as connection:
            for table in (files, raw_files):
                query = select(table.c.publish_hour, func.sum(table.c.size)).group_by(table.c.publish_hour)
                for chunk in chunks(unit for unit in wanted if len(unit) > DAY_LENGTH):
                    for hour, size in connection.execute(
                        query.where(*self._where(table), table.c.publish_hour.in_(chunk))
                    ):
                        found[hour] += size
            for day in (unit for unit in wanted if len(unit) == DAY_LENGTH):
                of_files = select(func.coalesce(func.sum(files.c.size), 0)).where(*self._where(files))
                found[day] = connection.execute(of_files.where(of_day(files.c.publish_hour, day))).scalar_one()
        return found

    def count_by_hour(self, first: str, last: str) -> dict[str, int]:
        """Count the files of each publish hour of `[first, last]`; hours without files are left out."""
        where = (*self._where(files), files.c.publish_hour.between(first, last))
        query = select(files.c.publish_hour, func.count()).where(*where).group_by(files.c.publish_hour)
        with self._ledger.engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def last_hour_before(self, hour: str) -> str | None:
        """Return the latest publish hour with files before an hour."""
        query = select(func.max(files.c.publish_hour)).where(*self._where(files), files.c.publish_hour < hour)
        with self._ledger.engine.connect() as connection:
            found: str | None = connection.execute(query).scalar()
            return found

    def newest_key(self) -> str | None:
        """Return the key of a file of the last publish hour; None if there is no file."""
        query = select(files.c.key).where(*self._where(files)).order_by(files.c.publish_hour.desc()).limit(1)
        with self._ledger.engine.connect() as connection:
            return connection.execute(query).scalar()

    def note_problem(self, name: str, problem: str | None) -> None:
        """Record why a landed file cannot be read; None if it can be read again."""
        with self._ledger.transaction() as connection:
            same = (*self._where(files), files.c.name == name)
            connection.execute(update(files).where(*same).values(problem=problem and problem[:2000]))

    def mark_unbuilt(self, hour: str) -> None:
        """Ask the next build to check a publish hour again, even if another build is running."""
        with self._ledger.transaction() as connection:
            mark_unbuilt(connection, self._lake, self._delivery, hour)

    def _where(self, table: Table) -> tuple[ColumnElement[bool], ...]:
        return (table.c.delivery == self._delivery, table.c.lake == self._lake)

    def _records(self, *conditions: ColumnElement[bool]) -> list[FileRecord]:
        return read_records(self._ledger, *self._where(files), *conditions)


def file_record(row: RowMapping) -> FileRecord:
    """Return the record of a row of the files table."""
    return FileRecord(**{name: row[name] for name in _FIELDS})


def read_records(ledger: Ledger, *conditions: ColumnElement[bool]) -> list[FileRecord]:
    """Return the files that meet all conditions, in rank order."""
    with ledger.engine.connect() as connection:
        rows = connection.execute(select(files).where(*conditions)).mappings()
        return sorted(map(file_record, rows), key=lambda record: record.rank)


def _unit(hour: str, closed: bool) -> str:  # noqa: FBT001 - a row's two columns
    return hour[:10] if closed else hour


def lock_recording(connection: Connection, lake: str) -> None:
    """Let no other process record a file of the lake before the end of this transaction.

    In an SQLite file, one process at a time writes anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:lake, 0))"), {"lake": lake})


def lock_files(connection: Connection, *conditions: ColumnElement[bool]) -> None:
    """Lock files in the order in which builds lock theirs, so that two transactions never wait for each other.

    In an SQLite file, one process at a time writes anyway.
    """
    if connection.dialect.name == "postgresql":
        # by code points, like ranks: a database may sort in another order
        query = select(files.c.id).where(*conditions).order_by(files.c.publish_hour, files.c.name.collate("C"))
        connection.execute(query.with_for_update())


def mark_unbuilt(connection: Connection, lake: str, delivery: str, hour: str) -> None:
    """Mark the files of a publish hour unbuilt, in a transaction of the caller."""
    where = (files.c.delivery == delivery, files.c.lake == lake, files.c.publish_hour == hour)
    lock_files(connection, *where)
    values: dict[str, Any] = {"built": False, "touched": files.c.touched + 1}
    connection.execute(update(files).where(*where).values(values))
