"""Migrate a ledger to the version of this program with Alembic, or print the statements."""

from __future__ import annotations

import io
import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Column, MetaData, PrimaryKeyConstraint, String, Table, text

from pismo_lake.ledger.tables import metadata
from pismo_lake.ledger.version import UNNUMBERED, VERSION, VERSION_TABLE, read_version, refuse_version

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection, Engine

LOG = logging.getLogger(__name__)
MIGRATIONS = Path(__file__).parent / "migrations"
# any number that other programs do not use as a lock in the same database
_LOCK = 7_060_111_801
# Alembic keeps the migration that runs in variables of its modules
_ONE_AT_A_TIME = threading.Lock()


def migrate(engine: Engine) -> str | None:
    """Migrate or create a ledger in one transaction; return its version before, if any.

    Raises:
        LedgerVersionError: the ledger is newer than this program.
    """
    with _ONE_AT_A_TIME, engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            # an SQLite transaction takes its lock at the start
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        found = _check_version(connection)
        if found is None and connection.dialect.name == "sqlite":
            _create(connection)
        elif found != VERSION:
            from alembic import command

            command.upgrade(_config(connection), "head")
            LOG.info("ledger %s: version %s, before %s", _show_url(connection), VERSION, found)
    return found


def _create(connection: Connection) -> None:
    """Create the tables of this version at once: the import of Alembic takes longer than all of its migrations."""
    number = Column("version_num", String(32), nullable=False)
    version = Table(VERSION_TABLE, MetaData(), number, PrimaryKeyConstraint(number, name=f"{VERSION_TABLE}_pkc"))
    metadata.create_all(connection)
    version.create(connection, checkfirst=True)
    connection.execute(version.insert().values(version_num=VERSION))


def migration_sql(engine: Engine) -> str:
    """Return the statements that `migrate` would run for this ledger; change nothing."""
    from alembic import command

    printed = io.StringIO()
    with _ONE_AT_A_TIME, engine.connect() as connection:
        found = _check_version(connection)
        if found == VERSION:
            return ""
        config = _config(connection)
        config.output_buffer = printed
        command.upgrade(config, "head" if found in {None, UNNUMBERED} else f"{found}:head", sql=True)
    return printed.getvalue()


def _check_version(connection: Connection) -> str | None:
    found = read_version(connection)
    if found is not None and found > VERSION:
        refuse_version(found, _show_url(connection))
    return found


def _show_url(connection: Connection) -> str:
    return connection.engine.url.render_as_string(hide_password=True)


def _config(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    # Alembic reads % as the beginning of a variable
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    return config
