"""Define the ledger's tables: files, builds, contracts and their changes, erasures, replays.

A change here needs a migration in `migrations/versions`. `version.VERSION` is the number of the last one.
"""

from __future__ import annotations

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
)

metadata = MetaData()

files = Table(
    "pismo_files",
    metadata,
    Column("id", Integer, primary_key=True, doc="number of the row"),
    Column("lake", String(500), nullable=False, doc="root of the lake"),
    Column("delivery", String(100), nullable=False, doc="name of the delivery"),
    Column("name", String(1200), nullable=False, doc="key; a later version of the same key has `~<sha>` at its end"),
    Column("key", String(1100), nullable=False, doc="key of the object at Pismo"),
    Column("size", BigInteger, nullable=False, doc="bytes as delivered"),
    Column("etag", String(200), doc="ETag at the source, if it has one"),
    Column("sha256", String(64), nullable=False, doc="SHA-256 of the raw bytes"),
    Column("publish_hour", String(13), nullable=False, doc="publish hour of the key, YYYY-MM-DDTHH"),
    Column("raw_uri", Text, nullable=False, doc="place of the raw file in landing"),
    Column("index_uri", Text, doc="place of its index in landing; null: not readable"),
    Column("plain_size", BigInteger, nullable=False, doc="bytes after decompression"),
    Column("framing", String(20), nullable=False, doc="form of the file: how its events follow each other"),
    Column("status", String(20), nullable=False, doc="landed | unreadable"),
    Column("problem", Text, doc="why it is unreadable"),
    Column("events", BigInteger, nullable=False, doc="number of usable events, every copy counted"),
    Column("rejects", BigInteger, nullable=False, doc="number of byte ranges that are not an event"),
    Column("untimed", BigInteger, nullable=False, doc="number of events without a usable timestamp"),
    Column("min_timestamp", BigInteger, doc="earliest event, microseconds since 1970 UTC"),
    Column("max_timestamp", BigInteger, doc="latest event, microseconds since 1970 UTC"),
    Column("part", Integer, nullable=False, doc="number of the part of its publish hour"),
    Column("built", Boolean, nullable=False, doc="whether the lake has its present state"),
    Column(
        "closed",
        Boolean,
        nullable=False,
        doc="whether it belongs to the unit of its publish day, no longer to that of its hour",
    ),
    Column(
        "touched",
        Integer,
        nullable=False,
        doc="how often it was marked as unbuilt; a build clears only the marks that it has seen",
    ),
    Column("published_at", String(32), doc="last modified at the source"),
    Column("landed_at", String(32), nullable=False, doc="time of landing"),
    Column("run", String(500), doc="DAG and run that landed it, or the command line"),
    UniqueConstraint("delivery", "lake", "name"),
    Index("ix_pismo_files_hour", "lake", "publish_hour"),
    Index("ix_pismo_files_key", "delivery", "key"),
    Index("ix_pismo_files_unbuilt", "delivery", "built"),
    Index("ix_pismo_files_open", "lake", "closed"),
    info={"doc": "Indexed event files: one row for each version of a key."},
)

builds = Table(
    "pismo_builds",
    metadata,
    Column("lake", String(500), primary_key=True, doc="root of the lake"),
    Column("delivery", String(100), primary_key=True, doc="name of the delivery"),
    Column("unit", String(13), primary_key=True, doc="a publish hour, or a closed publish day"),
    Column("part", Integer, primary_key=True, doc="number of the part in its unit"),
    Column("fingerprint", String(64), nullable=False, doc="hash of everything that the outputs are a function of"),
    Column("outputs", JSON, nullable=False, doc="paths below the lake"),
    Column(
        "superseded", JSON, nullable=False, doc="paths that may exist and are not outputs: planned, to be removed, kept"
    ),
    Column("pending", Boolean, nullable=False, doc="whether a build has to remove such paths; if not, they are kept"),
    Column("counts", JSON, nullable=False, doc="events, rows, duplicates and rejects"),
    Column("claim", String(32), doc="token of the builder that is at work; the last one to claim wins"),
    Column("beat", BigInteger, nullable=False, doc="counts up while a long build is alive"),
    Column("built_at", String(32), doc="time of the build"),
    Column("run", String(500), doc="DAG and run that built it, or the command line"),
    Index("ix_pismo_builds_pending", "delivery", "pending"),
    info={"doc": "Built parts of units, with their outputs."},
)

sightings = Table(
    "pismo_sightings",
    metadata,
    Column("lake", String(500), primary_key=True, doc="root of the lake"),
    Column("delivery", String(100), primary_key=True, doc="name of the delivery"),
    Column("key", String(1100), primary_key=True, doc="key of the object at Pismo"),
    Column("publish_hour", String(13), nullable=False, doc="publish hour of the key"),
    Column("seen_by", String(20), nullable=False, doc="announced | listed"),
    Column("first_seen", String(32), nullable=False, doc="when it was first announced or listed"),
    Column("problem", Text, doc="why the last attempt to land it failed"),
    Column("tries", Integer, doc="number of runs in which it could not be landed; null: none was counted"),
    Column("quarantined", String(32), doc="when it was quarantined, after too many tries; null: it is not"),
    Index("ix_pismo_sightings_hour", "lake", "delivery", "publish_hour"),
    info={
        "doc": "Event files that were announced or listed and are not landed. A row is deleted when its file is landed."
    },
)

raw_files = Table(
    "pismo_raw_files",
    metadata,
    Column("lake", String(500), primary_key=True, doc="root of the lake"),
    Column("delivery", String(100), primary_key=True, doc="name of the delivery"),
    Column("name", String(1200), primary_key=True, doc="as in pismo_files"),
    Column("key", String(1100), nullable=False, doc="key of the object at Pismo"),
    Column("size", BigInteger, nullable=False, doc="bytes as delivered"),
    Column("etag", String(200), doc="ETag at the source, if it has one"),
    Column("sha256", String(64), doc="SHA-256 of the raw bytes; null: not needed yet, the index takes it"),
    Column("publish_hour", String(13), nullable=False, doc="publish hour of the key; - if the key names none"),
    Column("raw_uri", Text, nullable=False, doc="place of the raw file in landing"),
    Column("published_at", String(32), doc="last modified at the source"),
    Column("landed_at", String(32), nullable=False, doc="time of landing"),
    Column("run", String(500), doc="DAG and run that landed it, or the command line"),
    Column("problem", Text, doc="why the last attempt to index it failed"),
    Index("ix_pismo_raw_files_key", "delivery", "key"),
    Index("ix_pismo_raw_files_hour", "lake", "delivery", "publish_hour"),
    info={"doc": "Landed raw files without an index. The transaction that records the index deletes the row."},
)

contracts = Table(
    "pismo_contracts",
    metadata,
    Column("lake", String(500), primary_key=True, doc="root of the lake"),
    Column("domain", String(250), primary_key=True, doc="domain of the event type"),
    Column("event_type", String(250), primary_key=True, doc="name and version of the event type"),
    Column("version", Integer, nullable=False, doc="counts up with each change"),
    Column("tree", JSON, nullable=False, doc="JSON paths of the payload, each with its kind"),
    info={"doc": "The contract of each event type."},
)

contract_changes = Table(
    "pismo_contract_changes",
    metadata,
    Column("id", Integer, primary_key=True, doc="number of the row"),
    Column("lake", String(500), nullable=False, doc="root of the lake"),
    Column("domain", String(250), nullable=False, doc="domain of the event type"),
    Column("event_type", String(250), nullable=False, doc="name and version of the event type"),
    Column("version", Integer, nullable=False, doc="version of the contract that has the change"),
    Column("path", Text, nullable=False, doc="JSON path that changed"),
    Column("before", String(20), nullable=False, doc="kind before"),
    Column("after", String(20), nullable=False, doc="kind after"),
    Column("first_file", String(1200), nullable=False, doc="first file that showed the change"),
    Column("first_offset", BigInteger, doc="byte offset of the event in it; null: a schema brought the change"),
    Column("seen_at", String(32), nullable=False, doc="when the change was recorded"),
    info={"doc": "Every change of a contract, with the first event that showed it."},
)

erasures = Table(
    "pismo_erasures",
    metadata,
    Column("lake", String(500), primary_key=True, doc="root of the lake"),
    Column("erasure_id", String(32), primary_key=True, doc="id of the erasure"),
    Column("event_key", String(32), primary_key=True, doc="hash of organisation and event id, in hex"),
    Column("reference", String(500), nullable=False, doc="reference of the person who asked, without a name"),
    Column("erased_at", String(32), nullable=False, doc="time of the erasure"),
    Column("run", String(500), nullable=False, doc="DAG and run, or the command line"),
    Column("raw", Boolean, doc="whether the bytes in landing are erased too; null: they are not"),
    info={"doc": "Erased events, as hashes."},
)

lakes = Table(
    "pismo_lakes",
    metadata,
    Column("lake", String(500), primary_key=True, doc="root of the lake"),
    Column("lake_id", String(32), nullable=False, doc="id of the lake, as in its identity file"),
    Column("ledger_id", String(32), nullable=False, doc="id of this ledger for the lake, as in the identity file"),
    Column("generation", BigInteger, nullable=False, doc="number of the last change that an older copy must not miss"),
    Column("waiting", JSON, nullable=False, doc="deliveries that a rebuild of this ledger has yet to read"),
    info={"doc": "The bond of this ledger with each of its lakes."},
)

replays = Table(
    "pismo_replays",
    metadata,
    Column("lake", String(500), primary_key=True, doc="root of the lake"),
    Column("delivery", String(100), primary_key=True, doc="name of the delivery"),
    Column("replay_id", String(64), primary_key=True, doc="id of the replay, which each message carries"),
    Column("target", String(1000), nullable=False, doc="kind and address of the target, without secrets"),
    Column("selection", Text, nullable=False, doc="which events were asked for, without values of payloads"),
    Column("raw", Boolean, nullable=False, doc="whether raw bytes are sent, although the lake has a privacy policy"),
    Column("events", BigInteger, nullable=False, doc="number of events to send"),
    Column("bytes", BigInteger, nullable=False, doc="their raw bytes"),
    Column("position", BigInteger, nullable=False, doc="how many of them are dealt with: the place to continue at"),
    Column("sent", BigInteger, nullable=False, doc="events that the target has accepted"),
    Column("refused", BigInteger, nullable=False, doc="events that cannot be sent to this target"),
    Column("erased", BigInteger, nullable=False, doc="events that were erased after the replay was planned"),
    Column("problem", Text, doc="why the last attempt ended early; null: it did not"),
    Column("claim", String(32), doc="token of the process that sends; the last one to claim wins"),
    Column("planned_at", String(32), nullable=False, doc="when the replay was planned"),
    Column("sent_at", String(32), doc="when the last progress was recorded"),
    Column("finished_at", String(32), doc="when all events were dealt with; null: some are left"),
    Column("run", String(500), doc="DAG and run that planned it, or the command line"),
    info={"doc": "Replays: events that are sent again to a consumer, with their progress."},
)

replay_refusals = Table(
    "pismo_replay_refusals",
    metadata,
    Column("lake", String(500), primary_key=True, doc="root of the lake"),
    Column("delivery", String(100), primary_key=True, doc="name of the delivery"),
    Column("replay_id", String(64), primary_key=True, doc="id of the replay"),
    Column("position", BigInteger, primary_key=True, doc="place of the event in the order of the replay"),
    Column("name", String(1200), nullable=False, doc="file of the event, as in pismo_files"),
    Column("offset", BigInteger, nullable=False, doc="byte offset of the event in it"),
    Column("reason", Text, nullable=False, doc="why it was not sent"),
    info={"doc": "Events of replays that could not be sent, each with the reason."},
)
