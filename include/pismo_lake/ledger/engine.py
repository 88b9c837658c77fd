"""Open the ledger, which records the landed event files and the builds from them.

The ledger uses SQLAlchemy over SQLite (a file, the default) or PostgreSQL, never Airflow's own metadata tables. Every
write is an idempotent upsert in its own transaction. `pismo_lake.index.rebuild` makes a lost ledger again from landing
and lake.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

from sqlalchemy import create_engine, select
from sqlalchemy.exc import NoSuchModuleError

from pismo_lake.errors import ConfigError, LedgerRefused, NoLedgerError
from pismo_lake.ledger.errors import name_errors, read_url
from pismo_lake.ledger.migrate import migrate
from pismo_lake.ledger.sqlite_files import holds_table, sqlite_file
from pismo_lake.ledger.tables import files, raw_files
from pismo_lake.ledger.transactions import for_reading, prepare_sqlite
from pismo_lake.ledger.version import VERSION, advise_migration, read_version, refuse_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Self

    from sqlalchemy import Connection, Engine


def now_text() -> str:
    """Return the present time, UTC, as the ledger writes it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class _Closable(Protocol):
    def close(self) -> None:
        """Close all connections."""


C = TypeVar("C", bound=_Closable)


class Ledger:
    """An open ledger; files, builds and contracts have their own classes on its engine.

    ``with Ledger.open(url) as ledger:`` closes it at the end.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.run: str | None = None
        """The user of the ledger, recorded with each landed file and build: a DAG and its run, or a command."""
        self.bound: set[str] = set()
        """The lakes whose binding to this ledger was checked after it was opened (see `ledger.binding`)."""
        self._kept: dict[object, _Closable] = {}

    @classmethod
    def open(cls, url: str, *, new: bool = True, migrated: bool = True) -> Ledger:
        """Open the ledger at a SQLAlchemy URL, e.g. ``sqlite:////data/ledger.db``.

        Args:
            url: the place of the ledger.
            new: create a ledger that does not exist.
            migrated: create tables on a server, and migrate an older ledger. Tasks do neither, because they have no
                right to do it, and other tasks may still run with the older version. An SQLite file is created in any
                case.

        Raises:
            NoLedgerError: the ledger is missing, and may not be created. Nothing is written.
            LedgerVersionError: the ledger is newer, or it is older and may not be migrated.
            ConfigError: the URL is invalid, or no driver for it is installed.
            LedgerError: the ledger cannot be opened; `LedgerRefused` if a retry cannot help.
        """
        file = sqlite_file(url)
        if file is not None and not (new or holds_table(file, files.name)):
            msg = f"there is no ledger {file}: is it the right lake, and the right --ledger?"
            raise NoLedgerError(msg)
        engine = connect(url)
        try:
            _prepare(engine, new=new, migrated=migrated)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine)

    @staticmethod
    def exists(url: str) -> bool:
        """Return whether an SQLite file exists; for a server return True without asking it."""
        file = sqlite_file(url)
        return file is None or file.exists()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def is_empty(self) -> bool:
        """Return whether no lake has a landed file here, as in a new ledger."""
        with self.engine.connect() as connection:
            return not any(connection.execute(select(table.c.name).limit(1)).first() for table in (files, raw_files))

    def for_reading(self) -> Ledger:
        """Return the same ledger for queries only, which never wait for a writer and never hold one up."""
        return Ledger(for_reading(self.engine))

    def keep(self, key: object, make: Callable[[], C]) -> C:
        """Return the object of a key; make it at the first call. It is closed with the ledger."""
        if key not in self._kept:
            self._kept[key] = make()
        return cast("C", self._kept[key])

    def close(self) -> None:
        """Close all connections, and the objects that are kept."""
        while self._kept:
            self._kept.popitem()[1].close()
        self.engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Begin a write transaction (SQLite: immediate, so that it waits instead of failing)."""
        with self.engine.begin() as connection:
            yield connection


@contextmanager
def open_engine(url: str) -> Iterator[Engine]:
    """Connect to a ledger as `connect` does, and close all connections after the block."""
    engine = connect(url)
    try:
        yield engine
    finally:
        engine.dispose()


def connect(url: str) -> Engine:
    """Return an engine for a ledger, which need not exist; create the folder of an SQLite file.

    Raises:
        ConfigError: the URL is invalid, or no driver for it is installed.
        LedgerRefused: the folder cannot be created.
    """
    parsed = read_url(url)
    sqlite = parsed.get_backend_name() == "sqlite"
    if (file := sqlite_file(url)) is not None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"ledger {file}: its folder cannot be created: {type(error).__name__}: {error.strerror}"
            raise LedgerRefused(msg) from error
    try:
        engine = create_engine(parsed, pool_pre_ping=True, connect_args={"timeout": 60} if sqlite else {})
    except (NoSuchModuleError, ImportError) as error:
        shown = parsed.render_as_string(hide_password=True)
        msg = f"ledger {shown}: no driver for it is installed: {type(error).__name__}: {error}"
        raise ConfigError(msg) from error
    name_errors(engine)
    if sqlite:
        prepare_sqlite(engine)
    return engine


def _prepare(engine: Engine, *, new: bool, migrated: bool) -> None:
    """Bring a ledger to the version of this program if that is allowed; refuse it otherwise."""
    shown, sqlite = engine.url.render_as_string(hide_password=True), engine.dialect.name == "sqlite"
    # not a moment's wait for a writer: many processes may open a ledger at once
    with for_reading(engine).connect() as connection:
        found = read_version(connection)
    if found == VERSION:
        return
    if found is None and not (sqlite or (new and migrated)):
        msg = f"there is no ledger in {shown}: to create one, {advise_migration(shown)}"
        raise NoLedgerError(msg)
    if found is not None and not migrated:
        refuse_version(found, shown)
    migrate(engine)
