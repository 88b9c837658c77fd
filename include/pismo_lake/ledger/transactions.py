"""Begin transactions: readers of an SQLite file wait for nobody, and writers wait for each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import event

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_WRITES = "pismo_writes"
"""The execution option of a connection that writes."""


def for_writing(engine: Engine) -> Engine:
    """Return the same engine for transactions that write.

    In an SQLite file, such a transaction takes the write lock at its start: so it waits for another writer instead of
    failing at its first write. Transactions of the plain engine only read.
    """
    return engine.execution_options(**{_WRITES: True})


def prepare_sqlite(engine: Engine) -> None:
    """Set WAL, overwriting deletions, and transactions that take a lock only if they write."""

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
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
