"""The connection to the ledger: which event files are landed, and what was built from them.

The ledger is SQLAlchemy over SQLite (a file, the default) or PostgreSQL, never Airflow's own metadata tables. Every
write is an idempotent upsert in its own transaction. `pismo_lake.index.rebuild` makes a lost ledger anew from landing
and lake.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event, inspect, select
from sqlalchemy.exc import IntegrityError, NoSuchModuleError, OperationalError, ProgrammingError

from pismo_lake.errors import ConfigError, LedgerError, LedgerRefused, NoLedgerError
from pismo_lake.ledger.errors import name_errors, read_url
from pismo_lake.ledger.sqlite_files import holds_table, sqlite_file
from pismo_lake.ledger.tables import files, prepare_tables, raw_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from sqlalchemy import URL, Connection, Engine


def now_text() -> str:
    """Return the present time, UTC, as the ledger writes it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Ledger:
    """An open ledger; files, builds and contracts have their own classes on its engine.

    ``with Ledger.open(url) as ledger:`` closes it at the end.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.run: str | None = None
        """The user of the ledger, recorded with each landed file and build: a DAG and its run, or a command."""
        self.bound: set[str] = set()
        """The lakes whose bond with this ledger was checked since it was opened (see `ledger.binding`)."""

    @classmethod
    def open(cls, url: str, *, new: bool = True) -> Ledger:
        """Open the ledger at a SQLAlchemy URL, e.g. ``sqlite:////data/ledger.db``, and create missing tables.

        Args:
            url: The place of the ledger.
            new: Create a ledger that does not exist.

        Raises:
            NoLedgerError: There is no ledger and none may be created. Nothing is written then.
            ConfigError: The URL is none, or no driver for it is installed.
            LedgerError: The ledger cannot be opened; `LedgerRefused` if another try cannot help.
        """
        parsed = read_url(url)
        sqlite = parsed.get_backend_name() == "sqlite"
        if (file := sqlite_file(url)) is not None:
            if not (new or holds_table(file, files.name)):
                msg = f"there is no ledger {file}: is it the right lake, and the right --ledger?"
                raise NoLedgerError(msg)
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                msg = f"ledger {file}: its folder cannot be made: {type(error).__name__}: {error.strerror}"
                raise LedgerRefused(msg) from error
        try:
            engine = create_engine(parsed, pool_pre_ping=True, connect_args={"timeout": 60} if sqlite else {})
        except (NoSuchModuleError, ImportError) as error:
            shown = parsed.render_as_string(hide_password=True)
            msg = f"ledger {shown}: no driver for it is installed: {type(error).__name__}: {error}"
            raise ConfigError(msg) from error
        name_errors(engine)
        if sqlite:
            _prepare_sqlite(engine)
        try:
            _prepare(engine, parsed, new=new or sqlite)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine)

    @staticmethod
    def exists(url: str) -> bool:
        """Return whether an SQLite file exists; True for a server, which is asked only when the ledger is opened."""
        file = sqlite_file(url)
        return file is None or file.exists()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def is_empty(self) -> bool:
        """Say whether no lake has a landed file here, as in a ledger that is new."""
        with self.engine.connect() as connection:
            return not any(connection.execute(select(table.c.name).limit(1)).first() for table in (files, raw_files))

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Begin a write transaction (SQLite: immediate, so that it waits instead of failing)."""
        with self.engine.begin() as connection:
            yield connection


def _prepare(engine: Engine, url: URL, *, new: bool) -> None:
    try:
        if not (new or inspect(engine).has_table(files.name)):
            msg = f"there is no ledger in {url.render_as_string(hide_password=True)}"
            raise NoLedgerError(msg)
        prepare_tables(engine)
    except (IntegrityError, OperationalError, ProgrammingError):
        # another process made the tables at the same moment; a real fault shows itself again here
        try:
            prepare_tables(engine)
        except (OperationalError, ProgrammingError) as error:
            reason = str(error.orig).partition("\n")[0]
            msg = f"ledger {url.render_as_string(hide_password=True)} cannot be opened: {reason}"
            raise LedgerError(msg) from error


def _prepare_sqlite(engine: Engine) -> None:
    """Set WAL, a patient lock, and transactions that take the write lock at their start."""

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
