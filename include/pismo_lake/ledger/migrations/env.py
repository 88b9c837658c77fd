"""Run migrations on the connection and in the transaction of the caller, or print their statements."""

from __future__ import annotations

from alembic import context
from sqlalchemy import inspect

from pismo_lake.ledger.version import VERSION_TABLE

connection = context.config.attributes["connection"]
options = {
    "version_table": VERSION_TABLE,
    # the events of the ledger's engine begin a transaction of SQLite before its first statement
    "transactional_ddl": True,
    # for the first migration, which starts from every ledger that has no version
    "present": inspect(connection),
}
if context.is_offline_mode():
    context.configure(dialect_name=connection.dialect.name, literal_binds=True, **options)
else:
    context.configure(connection=connection, **options)
with context.begin_transaction():
    context.run_migrations()
