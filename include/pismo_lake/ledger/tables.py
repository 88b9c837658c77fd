"""The ledger's tables: what was landed, what was built from it, and how contracts came to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    inspect,
    text,
)

from pismo_lake.errors import LedgerError

if TYPE_CHECKING:
    from sqlalchemy import Engine

metadata = MetaData()

files = Table(
    "pismo_files",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("lake", String(500), nullable=False),
    Column("delivery", String(100), nullable=False),
    Column("name", String(1200), nullable=False, doc="key, with ~<sha> for a later version of it"),
    Column("key", String(1100), nullable=False),
    Column("size", BigInteger, nullable=False, doc="bytes as delivered"),
    Column("etag", String(200)),
    Column("sha256", String(64), nullable=False),
    Column("publish_hour", String(13), nullable=False),
    Column("raw_uri", Text, nullable=False),
    Column("index_uri", Text),
    Column("plain_size", BigInteger, nullable=False),
    Column("framing", String(20), nullable=False),
    Column("status", String(20), nullable=False, doc="landed | unreadable"),
    Column("problem", Text),
    Column("events", BigInteger, nullable=False),
    Column("rejects", BigInteger, nullable=False),
    Column("untimed", BigInteger, nullable=False),
    Column("min_timestamp", BigInteger, doc="microseconds since 1970 UTC"),
    Column("max_timestamp", BigInteger),
    Column("part", Integer, nullable=False),
    Column("built", Boolean, nullable=False),
    Column("closed", Boolean, nullable=False, doc="in the unit of its publish day, no more in its hour's"),
    Column(
        "touched", Integer, nullable=False, doc="how often it was marked unbuilt: a build that saw less marks nothing"
    ),
    Column("published_at", String(32), doc="last modified at the source"),
    Column("landed_at", String(32), nullable=False),
    Column("run", String(500), doc="who landed it: DAG and run, or the command line"),
    UniqueConstraint("delivery", "lake", "name"),
    Index("ix_pismo_files_hour", "lake", "publish_hour"),
    Index("ix_pismo_files_key", "delivery", "key"),
    Index("ix_pismo_files_unbuilt", "delivery", "built"),
    Index("ix_pismo_files_open", "lake", "closed"),
)

builds = Table(
    "pismo_builds",
    metadata,
    Column("lake", String(500), primary_key=True),
    Column("delivery", String(100), primary_key=True),
    Column("unit", String(13), primary_key=True, doc="a publish hour, or a publish day that was closed"),
    Column("part", Integer, primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("outputs", JSON, nullable=False, doc="paths below the lake"),
    Column(
        "superseded", JSON, nullable=False, doc="paths that may exist and are no outputs: planned, or to be removed"
    ),
    Column("pending", Boolean, nullable=False, doc="whether there are such paths"),
    Column("counts", JSON, nullable=False),
    Column("claim", String(32), doc="token of the builder now at work; the last one to claim wins"),
    Column("beat", BigInteger, nullable=False, doc="counts up while a long build is alive"),
    Column("built_at", String(32)),
    Column("run", String(500)),
    Index("ix_pismo_builds_pending", "delivery", "pending"),
)

sightings = Table(
    "pismo_sightings",
    metadata,
    Column("lake", String(500), primary_key=True),
    Column("delivery", String(100), primary_key=True),
    Column("key", String(1100), primary_key=True),
    Column("publish_hour", String(13), nullable=False),
    Column("seen_by", String(20), nullable=False, doc="announced | listed"),
    Column("first_seen", String(32), nullable=False),
    Column("problem", Text, doc="why it was not landed when last tried"),
    Index("ix_pismo_sightings_hour", "lake", "delivery", "publish_hour"),
)
"""Event files before they are landed; a row goes with its file's landing, so what stays was seen and never came."""


raw_files = Table(
    "pismo_raw_files",
    metadata,
    Column("lake", String(500), primary_key=True),
    Column("delivery", String(100), primary_key=True),
    Column("name", String(1200), primary_key=True, doc="as in pismo_files"),
    Column("key", String(1100), nullable=False),
    Column("size", BigInteger, nullable=False, doc="bytes as delivered"),
    Column("etag", String(200)),
    Column("sha256", String(64), doc="null where it was not needed yet: its index takes it"),
    Column("publish_hour", String(13), nullable=False, doc="- where the key names none"),
    Column("raw_uri", Text, nullable=False),
    Column("published_at", String(32)),
    Column("landed_at", String(32), nullable=False),
    Column("run", String(500)),
    Column("problem", Text, doc="why it could not be indexed when last tried"),
    Index("ix_pismo_raw_files_key", "delivery", "key"),
    Index("ix_pismo_raw_files_hour", "lake", "delivery", "publish_hour"),
)
"""Raw files that stand in landing without an index; a row goes, in one transaction, when its file is recorded."""

contracts = Table(
    "pismo_contracts",
    metadata,
    Column("lake", String(500), primary_key=True),
    Column("domain", String(250), primary_key=True),
    Column("event_type", String(250), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("tree", JSON, nullable=False),
)

contract_changes = Table(
    "pismo_contract_changes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("lake", String(500), nullable=False),
    Column("domain", String(250), nullable=False),
    Column("event_type", String(250), nullable=False),
    Column("version", Integer, nullable=False),
    Column("path", Text, nullable=False),
    Column("before", String(20), nullable=False),
    Column("after", String(20), nullable=False),
    Column("first_file", String(1200), nullable=False),
    Column("first_offset", BigInteger, doc="of the event in it that showed the change; null: a schema brought it"),
    Column("seen_at", String(32), nullable=False),
)

erasures = Table(
    "pismo_erasures",
    metadata,
    Column("lake", String(500), primary_key=True),
    Column("erasure_id", String(32), primary_key=True),
    Column("event_key", String(32), primary_key=True, doc="dedupe key in hex: a hash of organisation and event id"),
    Column("reference", String(500), nullable=False, doc="who asked, in words of theirs"),
    Column("erased_at", String(32), nullable=False),
    Column("run", String(500), nullable=False),
)


def prepare_tables(engine: Engine) -> None:
    """Make what is missing: tables, indexes, and columns that came since a table was made, if they may be null.

    `LedgerError` where a table lacks a column that may not: that ledger is to be made anew.
    """
    metadata.create_all(engine)
    seen = inspect(engine)
    for table in metadata.sorted_tables:
        indexed = {index["name"] for index in seen.get_indexes(table.name)}
        for index in (index for index in table.indexes if index.name not in indexed):
            index.create(engine)
        present = {column["name"] for column in seen.get_columns(table.name)}
        for column in (column for column in table.columns if column.name not in present):
            if not column.nullable:
                msg = f"the ledger is of an earlier version, {table.name} has no {column.name}: rebuild it"
                raise LedgerError(msg)
            kind = column.type.compile(engine.dialect)
            with engine.begin() as connection:
                connection.execute(text(f"ALTER TABLE {table.name} ADD COLUMN {column.name} {kind}"))
