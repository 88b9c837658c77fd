"""Begin transactions in an SQLite file: those that may write wait for each other at their start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import event

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_READS = "pismo_reads"
"""The execution option of a connection that writes nothing."""


def for_reading(engine: Engine) -> Engine:
    """Return the same engine for queries only, which never wait for a writer and never hold one up."""
    return engine.execution_options(**{_READS: True})


def prepare_sqlite(engine: Engine) -> None:
    """Set WAL, overwriting deletions, and transactions that take the write lock at the start."""

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _: Any) -> None:
        try:
            connection.isolation_level = None
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            # overwrite deleted values, because they may name a person
            connection.execute("PRAGMA secure_delete=ON")
        except BaseException:
            # the pool does not know this connection yet, so it cannot close it
            connection.close()
            raise

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        reads = connection.get_execution_options().get(_READS)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
