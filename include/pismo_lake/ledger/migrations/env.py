"""Run migrations in the transaction of the caller's connection, or print their statements."""

from __future__ import annotations

from alembic import context
from sqlalchemy import inspect

from pismo_lake.ledger.version import VERSION_TABLE

connection = context.config.attributes["connection"]
options = {
    "version_table": VERSION_TABLE,
    # the engine's listeners begin a transaction of SQLite before its first statement
    "transactional_ddl": True,
    # the first migration compares these tables with its own, because a ledger without a version can have any of them
    "present": inspect(connection),
}
if context.is_offline_mode():
    context.configure(dialect_name=connection.dialect.name, literal_binds=True, **options)
else:
    context.configure(connection=connection, **options)
with context.begin_transaction():
    context.run_migrations()
