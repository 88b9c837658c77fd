"""The index of an event file: one row an event or damaged range, made once when the file is landed.

It gives dedupe, lineage, control totals and random access to the raw bytes without parsing twice, and says which
events may take the fast road. Learning the contracts happens in the same pass.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from pismo_lake.decode import recover, split
from pismo_lake.envelope import Envelope, UnusableEventError, envelope_of, extra_keys, parse, text_or_none
from pismo_lake.heads import cut_of
from pismo_lake.layout import event_name
from pismo_lake.quick_index import quick_index
from pismo_lake.salvage import Span
from pismo_lake.times import timestamps_us

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pismo_lake.contract import Contract
    from pismo_lake.decode import Plain
    from pismo_lake.kept_columns import ParsedRows
    from pismo_lake.quick_index import QuickIndex

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
        pa.field("payload_at", pa.int32()),  # where the payload's key stands in an event whose head is closed
    ]
)


@dataclass(slots=True)
class IndexedFile:
    """The index table of a file and its totals; times are microseconds since the epoch, None without any.

    `parsed` are payloads that a build need not parse again.
    """

    table: pa.Table
    events: int
    rejects: int
    min_timestamp: int | None
    max_timestamp: int | None
    untimed: int
    parsed: Sequence[ParsedRows] = ()


@dataclass(slots=True)
class _Rows:
    columns: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in SCHEMA.names})

    def add(self, *values: object) -> None:
        for column, value in zip(self.columns.values(), values, strict=True):
            column.append(value)

    def damage(self, span: Span, reason: str, event_id: str | None = None) -> None:
        length = span.end - span.start
        self.add(span.start, length, reason, False, None, event_id, *[None] * 9)


def dedupe_key(org_id: str | None, event_id: str) -> bytes:
    """128 bits of (organisation in lower case, event id): facts say ids are plain text and org case varies."""
    return hashlib.blake2b(f"{(org_id or '').lower()}\0{event_id}".encode(), digest_size=16).digest()


def _dedupe_keys(org_ids: pa.StringArray, event_ids: pa.StringArray) -> bytes:
    """`dedupe_key` of many events, one after the other."""
    coded = org_ids.fill_null("").dictionary_encode()
    # few organisations: each in lower case once, by Python's rules
    lower = pa.array([org_id.lower() for org_id in coded.dictionary.to_pylist()], pa.string())
    named = pc.binary_join_element_wise(lower.take(coded.indices), event_ids, "\0").cast(pa.binary())
    digest = hashlib.blake2b
    return b"".join([digest(name, digest_size=16).digest() for name in named.to_pylist()])


def content_hash(raw: bytes) -> bytes:
    """64 bits of an event's bytes: tells copies that differ from those that do not."""
    return hashlib.blake2b(raw, digest_size=8).digest()


def index_file(plain: Plain, contract_of: Callable[[str, str], Contract]) -> IndexedFile:
    """Split, validate and index a file's events in byte order.

    `contract_of(domain, event name with version)` returns the contract that learns each event.
    """
    rows = _Rows()
    data = plain.data
    tables: list[pa.Table] = []
    parsed: list[ParsedRows] = []
    with_care = True
    for quick in quick_index(data, contract_of):
        with_care = False
        starts, ends = quick.pieces.starts, quick.pieces.ends
        for place in quick.others:
            _index_span(data, Span(int(starts[place]), int(ends[place])), rows, contract_of)
        tables += [_table_of(quick)] if len(quick.places) else []
        parsed += quick.parsed
    if with_care:
        _index_with_care(data, rows, contract_of)
    if plain.lost:
        rows.damage(Span(len(data), len(data)), "gzip_damaged")
    columns = rows.columns
    others = pa.table({name: pa.array(columns[name], SCHEMA.field(name).type) for name in SCHEMA.names}, SCHEMA)
    table = pa.concat_tables([others, *tables]).sort_by("offset").combine_chunks() if tables else others
    stamps = pc.min_max(table["event_timestamp"].cast(pa.int64()))
    events = table["reason"].null_count
    untimed = table["event_timestamp"].null_count - (len(table) - events)
    return IndexedFile(
        table, events, len(table) - events, stamps["min"].as_py(), stamps["max"].as_py(), untimed,
        parsed,
    )  # fmt: skip


def _index_with_care(data: bytes, rows: _Rows, contract_of: Callable[[str, str], Contract]) -> None:
    """Event by event, with damage wherever it is."""
    for span in split(data):
        if not _index_span(data, span, rows, contract_of):
            for part in recover(data, span.start):
                if not _index_span(data, part, rows, contract_of):
                    rows.damage(part, "invalid_json")
            break


def _table_of(quick: QuickIndex) -> pa.Table:
    """The index of the events that fit."""
    places, raw = quick.places, quick.pieces.raw
    envelopes = {name: quick.envelopes[name].combine_chunks() for name in quick.envelopes.column_names}
    digest = hashlib.blake2b
    # as `content_hash`, without the cost of calling it
    hashes = b"".join([digest(raw[place], digest_size=8).digest() for place in places.tolist()])
    keys = _dedupe_keys(envelopes["org_id"], envelopes["event_id"])
    made = {
        "offset": pa.array(quick.pieces.starts[places]),
        "length": pa.array((quick.pieces.ends - quick.pieces.starts)[places]),
        "reason": pa.nulls(len(places), pa.string()),
        "regular": pa.repeat(pa.scalar(value=True), len(places)),
        "event_timestamp": timestamps_us(envelopes["timestamp"]),
        "event_timestamp_text": envelopes["timestamp"],
        "dedupe_key": _fixed(keys, 16),
        "content_hash": _fixed(hashes, 8),
        "payload_at": pa.array(quick.cuts, pa.int32(), mask=quick.cuts == 0),
    }
    return pa.table([made.get(name, envelopes.get(name)) for name in SCHEMA.names], schema=SCHEMA)


def _fixed(joined: bytes, width: int) -> pa.FixedSizeBinaryArray:
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(joined) // width, [None, pa.py_buffer(joined)])


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
    fits = contract_of(envelope.domain, name).learn(event.get("data"), extras, span.start)
    regular = fits and strict and envelope.plain
    _add_event(rows, span, raw, envelope, cut_of(raw, event) if regular else 0, regular=regular)
    return True


def _add_event(rows: _Rows, span: Span, raw: bytes, envelope: Envelope, cut: int, *, regular: bool) -> None:
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
        content_hash(raw),
        cut or None,
    )
