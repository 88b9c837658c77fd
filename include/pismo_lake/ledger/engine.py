"""The ledger: which event files are landed, and what was built from them.

SQLAlchemy over SQLite (a file, the default) or PostgreSQL, never Airflow's own metadata tables. Every write is an
idempotent upsert in its own transaction. Losing it loses nothing: `pismo_lake.index.rebuild` makes it anew from
landing.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, delete, event, func, select, union, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

from pismo_lake.errors import ConfigError, LedgerError
from pismo_lake.hours import NO_HOUR
from pismo_lake.ledger.tables import builds, files, prepare_tables, raw_files
from pismo_lake.paths import can_be_kept

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlalchemy import ColumnElement, Connection, Engine, RowMapping

_KEYS_PER_QUERY = 500


@dataclass(frozen=True, slots=True)
class KnownFile:
    """What the ledger knows of an object key: its latest version's size in bytes and ETag."""

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
    def rank(self) -> tuple[str, str, str]:
        """The order that decides which copy of an event wins: publish hour, name, delivery."""
        return (self.publish_hour, self.name, self.delivery)

    @property
    def unit(self) -> str:
        """What builds it: its publish hour, or its publish day once that is closed."""
        return _unit(self.publish_hour, self.closed)


_FIELDS = tuple(item.name for item in fields(FileRecord))


def _unit(hour: str, closed: bool) -> str:  # noqa: FBT001 - a row's two columns
    return hour[:10] if closed else hour


def _record(row: RowMapping) -> FileRecord:
    return FileRecord(**{name: row[name] for name in _FIELDS})


def now_text() -> str:
    """The present time, UTC, as the ledger writes it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Ledger:
    """Files and their state; builds and contracts have their own classes on the same engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.run: str | None = None
        """Who works with it now, noted with what is landed and built: a DAG and its run, or a command."""

    @classmethod
    def open(cls, url: str, *, new: bool = True) -> Ledger:
        """Open the ledger at a SQLAlchemy URL, e.g. ``sqlite:////data/ledger.db``, and create it where needed.

        Where it may not be `new`, an SQLite file that is not there is a `ConfigError`.
        """
        parsed = make_url(url)
        sqlite = parsed.get_backend_name() == "sqlite"
        if sqlite and parsed.database and parsed.database != ":memory:":
            if not (new or Path(parsed.database).exists()):
                msg = f"there is no ledger {parsed.database}: is it the right lake, and the right --ledger?"
                raise ConfigError(msg)
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(parsed, pool_pre_ping=True, connect_args={"timeout": 60} if sqlite else {})
        if sqlite:
            _prepare_sqlite(engine)
        try:
            prepare_tables(engine)
        except (IntegrityError, OperationalError, ProgrammingError):
            # another process made the tables at the same moment; a real fault shows itself again here
            try:
                prepare_tables(engine)
            except (OperationalError, ProgrammingError) as error:
                reason = str(error.orig).partition("\n")[0]
                msg = f"ledger {parsed.render_as_string(hide_password=True)} cannot be opened: {reason}"
                raise LedgerError(msg) from error
        return cls(engine)

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One write transaction (SQLite: immediate, so that it waits instead of failing)."""
        with self.engine.begin() as connection:
            yield connection

    def known(self, delivery: str, keys: Iterable[str]) -> dict[str, KnownFile]:
        """The landed ones among `keys`, indexed or not, each with its latest version."""
        wanted, found = [key for key in keys if can_be_kept(key)], {}
        with self.engine.connect() as connection:
            for start in range(0, len(wanted), _KEYS_PER_QUERY):
                chunk = wanted[start : start + _KEYS_PER_QUERY]
                # what waits for its index came after what has one
                for table, order in ((files, files.c.id), (raw_files, raw_files.c.landed_at)):
                    query = select(table.c.key, table.c.size, table.c.etag)
                    where = (table.c.delivery == delivery, table.c.key.in_(chunk))
                    for key, size, etag in connection.execute(query.where(*where).order_by(order)):
                        found[key] = KnownFile(size, etag)
        return found

    def record(self, record: FileRecord, part_bytes: int, sharing: Iterable[tuple[str, str]] = ()) -> FileRecord:
        """Record an indexed file once and give it a part: the hour's last one while it has room, else a new one.

        It waits for an index no more. `sharing` are the (delivery, publish hour) that hold a copy which loses
        now: they are marked unbuilt at the same moment.
        """
        place = (files.c.lake == record.lake, files.c.delivery == record.delivery)
        hour = (*place, files.c.publish_hour == record.publish_hour)
        same = (files.c.delivery == record.delivery, files.c.lake == record.lake, files.c.name == record.name)
        with self.transaction() as connection:
            if connection.execute(select(files.c.id).where(*same)).first() is None:
                last = connection.execute(select(func.max(files.c.part)).where(*hour)).scalar()
                part = int(last or 0)
                filled = connection.execute(
                    select(func.coalesce(func.sum(files.c.plain_size), 0)).where(*hour, files.c.part == part)
                ).scalar_one()
                if filled and filled + record.plain_size > part_bytes:
                    part += 1
                values = asdict(record) | {"part": part, "built": False}
                values |= {"landed_at": record.landed_at or now_text(), "run": record.run or self.run}
                for delivery, sharer in sharing:
                    _mark_unbuilt(connection, delivery, record.lake, sharer)
                try:
                    with connection.begin_nested():
                        connection.execute(files.insert().values(values))
                except IntegrityError:
                    pass  # another run recorded the same version first: its row stands
            waiting = (raw_files.c.delivery == record.delivery, raw_files.c.lake == record.lake)
            connection.execute(delete(raw_files).where(*waiting, raw_files.c.name == record.name))
            return _record(connection.execute(select(files).where(*same)).mappings().one())

    def files_of_hour(self, lake: str, delivery: str, hour: str) -> list[FileRecord]:
        """The files of one publish hour that its closed day has not taken in, in rank order."""
        query = select(files).where(files.c.lake == lake, files.c.delivery == delivery, files.c.publish_hour == hour)
        return sorted(self._records(query.where(files.c.closed.is_(False))), key=lambda record: record.rank)

    def files_of_day(self, lake: str, delivery: str, day: str) -> list[FileRecord]:
        """All files of one publish day (YYYY-MM-DD), in rank order."""
        query = select(files).where(
            files.c.lake == lake, files.c.delivery == delivery, of_day(files.c.publish_hour, day)
        )
        return sorted(self._records(query), key=lambda record: record.rank)

    def overlapping(self, lake: str, first: str, last: str, times: tuple[int, int] | None) -> list[FileRecord]:
        """Files of a lake in publish hours `[first, last]` whose event times may overlap `times`, in rank order.

        Files with untimed events always count; with `times` None every file does.
        """
        query = select(files).where(*_overlap(lake, first, last, times))
        return sorted(self._records(query), key=lambda record: record.rank)

    def indexes_overlapping(
        self, lake: str, first: str, last: str, times: tuple[int, int] | None
    ) -> list[tuple[str, str, str, str]]:
        """(publish hour, name, delivery, index URI) of the files that `overlapping` gives, in no order."""
        columns = (files.c.publish_hour, files.c.name, files.c.delivery, files.c.index_uri)
        with self.engine.connect() as connection:
            rows = connection.execute(select(*columns).where(*_overlap(lake, first, last, times)))
            return [(hour, name, delivery, uri) for hour, name, delivery, uri in rows]

    def unbuilt_units(self, delivery: str, lake: str) -> list[str]:
        """Publish hours, and closed publish days, that a build has to look at, oldest first.

        They have files that no build has taken in, some of them not even an index, or superseded outputs that a crash
        left.
        """
        where = (files.c.delivery == delivery, files.c.lake == lake, files.c.built.is_(False))
        changed = select(files.c.publish_hour, files.c.closed).where(*where).distinct()
        left = select(builds.c.unit).where(builds.c.delivery == delivery, builds.c.lake == lake, builds.c.pending)
        raw = select(raw_files.c.publish_hour).where(raw_files.c.delivery == delivery, raw_files.c.lake == lake)
        with self.engine.connect() as connection:
            units = {_unit(hour, closed) for hour, closed in connection.execute(changed)}
            units |= set(connection.execute(left).scalars())
            return sorted(units | set(connection.execute(raw.distinct()).scalars()) - {NO_HOUR})

    def hours_of_keys(self, delivery: str, keys: Iterable[str]) -> set[str]:
        """The publish hours that landed keys belong to."""
        wanted, found = list(keys), set[str]()
        query = select(files.c.publish_hour).where(files.c.delivery == delivery).distinct()
        with self.engine.connect() as connection:
            for start in range(0, len(wanted), _KEYS_PER_QUERY):
                chunk = wanted[start : start + _KEYS_PER_QUERY]
                found.update(connection.execute(query.where(files.c.key.in_(chunk))).scalars())
        return found

    def files_by_hour(self, lake: str, delivery: str, first: str, last: str) -> dict[str, int]:
        """How many files the publish hours of `[first, last]` have; hours without any are left out."""
        where = (files.c.lake == lake, files.c.delivery == delivery, files.c.publish_hour.between(first, last))
        query = select(files.c.publish_hour, func.count()).where(*where).group_by(files.c.publish_hour)
        with self.engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def last_hour_before(self, lake: str, delivery: str, hour: str) -> str | None:
        """The latest publish hour with files before an hour."""
        where = (files.c.lake == lake, files.c.delivery == delivery, files.c.publish_hour < hour)
        with self.engine.connect() as connection:
            found: str | None = connection.execute(select(func.max(files.c.publish_hour)).where(*where)).scalar()
            return found

    def units_of(self, delivery: str, lake: str, hours: Iterable[str]) -> list[str]:
        """The units that hold the files of publish hours: the hours, and the days that have been closed."""
        query = select(files.c.publish_hour, files.c.closed).where(files.c.delivery == delivery, files.c.lake == lake)
        with self.engine.connect() as connection:
            rows = connection.execute(query.where(files.c.publish_hour.in_(list(hours))).distinct())
            return sorted({_unit(hour, closed) for hour, closed in rows})

    def mark_unbuilt(self, delivery: str, lake: str, hour: str) -> None:
        """Ask for an hour to be looked at again by the next build, whatever build is at work on it now."""
        with self.transaction() as connection:
            _mark_unbuilt(connection, delivery, lake, hour)

    def all_files(self, lake: str, *, day: str | None = None) -> list[FileRecord]:
        """Every file of a lake, or those of one publish day (YYYY-MM-DD), in rank order."""
        query = select(files).where(files.c.lake == lake)
        if day is not None:
            query = query.where(of_day(files.c.publish_hour, day))
        return sorted(self._records(query), key=lambda record: record.rank)

    def files_named(self, lake: str, delivery: str, names: Iterable[str]) -> list[FileRecord]:
        """The files of these names."""
        wanted, found = list(names), []
        for start in range(0, len(wanted), _KEYS_PER_QUERY):
            chunk = wanted[start : start + _KEYS_PER_QUERY]
            where = (files.c.lake == lake, files.c.delivery == delivery, files.c.name.in_(chunk))
            found += self._records(select(files).where(*where))
        return found

    def newest_key(self, lake: str, delivery: str) -> str | None:
        """The key of a file of a delivery's last publish hour; None where there is none."""
        query = select(files.c.key).where(files.c.lake == lake, files.c.delivery == delivery)
        with self.engine.connect() as connection:
            return connection.execute(query.order_by(files.c.publish_hour.desc()).limit(1)).scalar()

    def deliveries(self, lake: str) -> list[str]:
        """The deliveries of which a lake has landed files, by name."""
        with self.engine.connect() as connection:
            each = (select(table.c.delivery).where(table.c.lake == lake) for table in (files, raw_files))
            return sorted(connection.execute(union(*each)).scalars())

    def open_files(self, lake: str) -> list[FileRecord]:
        """Every file of a lake that no closed day holds, in rank order."""
        query = select(files).where(files.c.lake == lake, files.c.closed.is_(False))
        return sorted(self._records(query), key=lambda record: record.rank)

    def closed_days(self, lake: str) -> list[tuple[str, list[str]]]:
        """(delivery, outputs) of every closed day of a lake."""
        query = select(builds.c.delivery, builds.c.outputs).where(builds.c.lake == lake)
        with self.engine.connect() as connection:
            rows = connection.execute(query.where(func.length(builds.c.unit) == len("YYYY-MM-DD")))
            return [(row[0], row[1]) for row in rows]

    def _records(self, query: Any) -> list[FileRecord]:
        with self.engine.connect() as connection:
            return [_record(row) for row in connection.execute(query).mappings()]


def of_day(column: ColumnElement[str], day: str) -> ColumnElement[bool]:
    """Whether a publish hour belongs to a publish day (YYYY-MM-DD)."""
    return column.between(f"{day}T00", f"{day}T23")


def _mark_unbuilt(connection: Connection, delivery: str, lake: str, hour: str) -> None:
    where = (files.c.delivery == delivery, files.c.lake == lake, files.c.publish_hour == hour)
    connection.execute(update(files).where(*where).values(built=False, touched=files.c.touched + 1))


def _overlap(lake: str, first: str, last: str, times: tuple[int, int] | None) -> list[ColumnElement[bool]]:
    hours = files.c.publish_hour.between(first, last)
    if times is None:
        return [files.c.lake == lake, hours, files.c.events > 0]
    within = (files.c.min_timestamp <= times[1]) & (files.c.max_timestamp >= times[0])
    return [files.c.lake == lake, hours, files.c.events > 0, within | (files.c.untimed > 0)]


def _prepare_sqlite(engine: Engine) -> None:
    """WAL, a patient lock, and transactions that take the write lock at their start."""

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
