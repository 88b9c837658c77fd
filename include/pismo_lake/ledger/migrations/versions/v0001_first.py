"""Make the first numbered version: of nothing, or of any ledger of the time before versions.

Ledgers of that time differ, and nothing in them says how. So this migration compares a ledger with the tables below
and adds everything that is missing. The tables are those of version 0001 for ever: later versions have migrations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alembic import op
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    column,
    literal_column,
    select,
)
from sqlalchemy import table as named_table
from sqlalchemy.schema import CreateTable

from pismo_lake.errors import LedgerVersionError

if TYPE_CHECKING:
    from sqlalchemy import ColumnClause, Inspector
    from sqlalchemy.engine.interfaces import ReflectedColumn

revision = "0001"
down_revision = None

TABLES = MetaData()

Table(
    "pismo_files",
    TABLES,
    Column("id", Integer, primary_key=True),
    Column("lake", String(500), nullable=False),
    Column("delivery", String(100), nullable=False),
    Column("name", String(1200), nullable=False),
    Column("key", String(1100), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("etag", String(200)),
    Column("sha256", String(64), nullable=False),
    Column("publish_hour", String(13), nullable=False),
    Column("raw_uri", Text, nullable=False),
    Column("index_uri", Text),
    Column("plain_size", BigInteger, nullable=False),
    Column("framing", String(20), nullable=False),
    Column("status", String(20), nullable=False),
    Column("problem", Text),
    Column("events", BigInteger, nullable=False),
    Column("rejects", BigInteger, nullable=False),
    Column("untimed", BigInteger, nullable=False),
    Column("min_timestamp", BigInteger),
    Column("max_timestamp", BigInteger),
    Column("part", Integer, nullable=False),
    Column("built", Boolean, nullable=False),
    Column("closed", Boolean, nullable=False),
    Column("touched", Integer, nullable=False),
    Column("published_at", String(32)),
    Column("landed_at", String(32), nullable=False),
    Column("run", String(500)),
    UniqueConstraint("delivery", "lake", "name"),
    Index("ix_pismo_files_hour", "lake", "publish_hour"),
    Index("ix_pismo_files_key", "delivery", "key"),
    Index("ix_pismo_files_unbuilt", "delivery", "built"),
    Index("ix_pismo_files_open", "lake", "closed"),
)
Table(
    "pismo_builds",
    TABLES,
    Column("lake", String(500), primary_key=True),
    Column("delivery", String(100), primary_key=True),
    Column("unit", String(13), primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("outputs", JSON, nullable=False),
    Column("superseded", JSON, nullable=False),
    Column("pending", Boolean, nullable=False),
    Column("counts", JSON, nullable=False),
    Column("claim", String(32)),
    Column("beat", BigInteger, nullable=False),
    Column("built_at", String(32)),
    Column("run", String(500)),
    Index("ix_pismo_builds_pending", "delivery", "pending"),
)
Table(
    "pismo_sightings",
    TABLES,
    Column("lake", String(500), primary_key=True),
    Column("delivery", String(100), primary_key=True),
    Column("key", String(1100), primary_key=True),
    Column("publish_hour", String(13), nullable=False),
    Column("seen_by", String(20), nullable=False),
    Column("first_seen", String(32), nullable=False),
    Column("problem", Text),
    Column("tries", Integer),
    Column("quarantined", String(32)),
    Index("ix_pismo_sightings_hour", "lake", "delivery", "publish_hour"),
)
Table(
    "pismo_raw_files",
    TABLES,
    Column("lake", String(500), primary_key=True),
    Column("delivery", String(100), primary_key=True),
    Column("name", String(1200), primary_key=True),
    Column("key", String(1100), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("etag", String(200)),
    Column("sha256", String(64)),
    Column("publish_hour", String(13), nullable=False),
    Column("raw_uri", Text, nullable=False),
    Column("published_at", String(32)),
    Column("landed_at", String(32), nullable=False),
    Column("run", String(500)),
    Column("problem", Text),
    Index("ix_pismo_raw_files_key", "delivery", "key"),
    Index("ix_pismo_raw_files_hour", "lake", "delivery", "publish_hour"),
)
Table(
    "pismo_contracts",
    TABLES,
    Column("lake", String(500), primary_key=True),
    Column("domain", String(250), primary_key=True),
    Column("event_type", String(250), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("tree", JSON, nullable=False),
)
Table(
    "pismo_contract_changes",
    TABLES,
    Column("id", Integer, primary_key=True),
    Column("lake", String(500), nullable=False),
    Column("domain", String(250), nullable=False),
    Column("event_type", String(250), nullable=False),
    Column("version", Integer, nullable=False),
    Column("path", Text, nullable=False),
    Column("before", String(20), nullable=False),
    Column("after", String(20), nullable=False),
    Column("first_file", String(1200), nullable=False),
    Column("first_offset", BigInteger),
    Column("seen_at", String(32), nullable=False),
)
Table(
    "pismo_erasures",
    TABLES,
    Column("lake", String(500), primary_key=True),
    Column("erasure_id", String(32), primary_key=True),
    Column("event_key", String(32), primary_key=True),
    Column("reference", String(500), nullable=False),
    Column("erased_at", String(32), nullable=False),
    Column("run", String(500), nullable=False),
)
Table(
    "pismo_lakes",
    TABLES,
    Column("lake", String(500), primary_key=True),
    Column("lake_id", String(32), nullable=False),
    Column("ledger_id", String(32), nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("waiting", JSON, nullable=False),
)

_RENAMED = {("pismo_builds", "unit"): "publish_hour"}
"""Earlier names of columns: before days were closed, each unit was a publish hour."""

_FIRST_VALUES = {
    ("pismo_files", "closed"): "false",
    ("pismo_files", "touched"): "0",
    ("pismo_builds", "pending"): "false",
    ("pismo_builds", "beat"): "0",
}
"""The values that old rows get in columns that were added later and may not be null."""


def upgrade() -> None:
    """Create missing tables, columns and indexes."""
    context = op.get_context()
    present: Inspector = context.opts["present"]
    existing = set(present.get_table_names())
    for table in TABLES.sorted_tables:
        indexed = set[str | None]()
        if table.name not in existing:
            op.execute(CreateTable(table))
        elif context.dialect.name == "sqlite":
            indexed = _rebuild(table, present)
        else:
            indexed = _alter(table, present)
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            if index.name not in indexed:
                op.create_index(index.name, table.name, [column.name for column in index.columns])


def _alter(table: Table, present: Inspector) -> set[str | None]:
    """Add the columns that a table lacks; return the names of its indexes."""
    columns = {item["name"]: item for item in present.get_columns(table.name)}
    for wanted in table.columns:
        old = _earlier_name(table, wanted, columns)
        if old is None:
            value = _first_value(table, wanted)
            default: ColumnClause[Any] | None = None if value is None else literal_column(value)
            added = Column(wanted.name, wanted.type, nullable=wanted.nullable, server_default=default)
            op.add_column(table.name, added)
            if value is not None:
                op.alter_column(table.name, wanted.name, server_default=None)
            continue
        if old != wanted.name:
            op.alter_column(table.name, old, new_column_name=wanted.name)
        if wanted.nullable and not columns[old]["nullable"]:
            op.alter_column(table.name, wanted.name, nullable=True)
    return {index["name"] for index in present.get_indexes(table.name)}


def _rebuild(table: Table, present: Inspector) -> set[str | None]:
    """Copy a table of SQLite if it differs; return the names of its indexes.

    SQLite cannot make all the needed changes to a table in place.
    """
    columns = {item["name"]: item for item in present.get_columns(table.name)}
    earlier = {wanted.name: _earlier_name(table, wanted, columns) for wanted in table.columns}
    same = all(name == old for name, old in earlier.items())
    if same and all(wanted.nullable == columns[wanted.name]["nullable"] for wanted in table.columns):
        return {index["name"] for index in present.get_indexes(table.name)}
    copy = table.to_metadata(MetaData(), name=f"{table.name}_migrated")
    values: list[ColumnClause[Any]] = [
        column(old) if old is not None else literal_column(_first_value(table, table.c[name]) or "null")
        for name, old in earlier.items()
    ]
    op.execute(CreateTable(copy))
    rows = select(*values).select_from(named_table(table.name))
    op.execute(copy.insert().from_select(list(earlier), rows))
    op.drop_table(table.name)
    op.rename_table(copy.name, table.name)
    return set()


def _earlier_name(table: Table, wanted: Column[object], columns: dict[str, ReflectedColumn]) -> str | None:
    """Return the name that a column has in a ledger; None if there is no such column."""
    names = (wanted.name, _RENAMED.get((table.name, wanted.name)))
    return next((name for name in names if name in columns), None)


def _first_value(table: Table, wanted: Column[object]) -> str | None:
    """Return the SQL of a new column's value in old rows; None if it is null."""
    value = _FIRST_VALUES.get((table.name, wanted.name))
    if value is None and not wanted.nullable:
        msg = f"{table.name} has no {wanted.name}: no version made such a ledger, remove it and run: ledger rebuild"
        raise LedgerVersionError(msg)
    return value
