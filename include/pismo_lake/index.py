"""The index of an event file: one row an event or damaged range, made once when the file is landed.

It gives dedupe, lineage, control totals and random access to the raw bytes without parsing twice, and says which
events may take the fast road. Learning the contracts happens in the same pass.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pismo_lake.decode import recover, split
from pismo_lake.envelope import Envelope, UnusableEventError, envelope_of, extra_keys, parse, text_or_none
from pismo_lake.layout import event_name
from pismo_lake.salvage import Span

if TYPE_CHECKING:
    from collections.abc import Callable

    from pismo_lake.contract import Contract
    from pismo_lake.decode import Plain

SCHEMA = pa.schema(
    [
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("length", pa.int64(), nullable=False),
        pa.field("reason", pa.string()),  # null: a usable event
        pa.field("regular", pa.bool_(), nullable=False),
        pa.field("org_id", pa.string()),
        pa.field("event_id", pa.string()),
        pa.field("cid", pa.string()),
        pa.field("domain", pa.string()),
        pa.field("event_type", pa.string()),
        pa.field("schema_version", pa.string()),
        pa.field("event_timestamp", pa.timestamp("us", tz="UTC")),
        pa.field("event_timestamp_text", pa.string()),
        pa.field("dedupe_key", pa.binary(16)),
        pa.field("content_hash", pa.binary(8)),
    ]
)


@dataclass(slots=True)
class IndexedFile:
    """The index table of a file and its totals; times are microseconds since the epoch, None without any."""

    table: pa.Table
    events: int
    rejects: int
    min_timestamp: int | None
    max_timestamp: int | None
    untimed: int


@dataclass(slots=True)
class _Rows:
    columns: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in SCHEMA.names})

    def add(self, *values: object) -> None:
        for column, value in zip(self.columns.values(), values, strict=True):
            column.append(value)

    def damage(self, span: Span, reason: str, event_id: str | None = None) -> None:
        length = span.end - span.start
        self.add(span.start, length, reason, False, None, event_id, None, None, None, None, None, None, None, None)


def dedupe_key(org_id: str | None, event_id: str) -> bytes:
    """128 bits of (organisation in lower case, event id): facts say ids are plain text and org case varies."""
    return hashlib.blake2b(f"{(org_id or '').lower()}\0{event_id}".encode(), digest_size=16).digest()


def index_file(plain: Plain, contract_of: Callable[[str, str], Contract]) -> IndexedFile:
    """Split, validate and index a file's events in byte order.

    `contract_of(domain, event name with version)` returns the contract that learns each event.
    """
    rows = _Rows()
    data = plain.data
    for span in split(data):
        if not _index_span(data, span, rows, contract_of):
            for part in recover(data, span.start):
                if not _index_span(data, part, rows, contract_of):
                    rows.damage(part, "invalid_json")
            break
    if plain.lost:
        rows.damage(Span(len(data), len(data)), "gzip_damaged")
    columns = rows.columns
    table = pa.table({name: pa.array(columns[name], SCHEMA.field(name).type) for name in SCHEMA.names}, SCHEMA)
    stamps = [stamp for stamp in columns["event_timestamp"] if stamp is not None]
    events = columns["reason"].count(None)
    return IndexedFile(
        table,
        events,
        len(columns["reason"]) - events,
        min(stamps, default=None),
        max(stamps, default=None),
        events - len(stamps),
    )


def _index_span(data: bytes, span: Span, rows: _Rows, contract_of: Callable[[str, str], Contract]) -> bool:
    """Index one span; False where its balanced bytes are no JSON, so that the scan must have gone astray."""
    if span.damage:
        rows.damage(span, span.damage)
        return True
    raw = data[span.start : span.end]
    event: dict[str, Any] | None = None
    try:
        event, strict = parse(raw)
        envelope = envelope_of(event)
    except UnusableEventError as unusable:
        rows.damage(span, unusable.reason, text_or_none(event.get("event_id")) if event else None)
        return True
    except ValueError:
        return False
    name = event_name(envelope.event_type, envelope.schema_version)
    extras = extra_keys(event)
    fits = contract_of(envelope.domain, name).learn(event.get("data"), extras)
    _add_event(rows, span, raw, envelope, regular=fits and strict and envelope.plain)
    return True


def _add_event(rows: _Rows, span: Span, raw: bytes, envelope: Envelope, *, regular: bool) -> None:
    rows.add(
        span.start,
        span.end - span.start,
        None,
        regular,
        envelope.org_id,
        envelope.event_id,
        envelope.cid,
        envelope.domain,
        envelope.event_type,
        envelope.schema_version,
        envelope.timestamp_us,
        envelope.timestamp_text,
        dedupe_key(envelope.org_id, envelope.event_id),
        hashlib.blake2b(raw, digest_size=8).digest(),
    )
