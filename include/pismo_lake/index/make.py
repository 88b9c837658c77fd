"""Make the index of an event file: one row for each event or damaged range.

The index is made once, after the file is landed. It serves dedupe, lineage, control totals and random access to the
raw bytes without a second parse, and it says which events can take the fast path. The contracts learn in the same
pass.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from pismo_lake.decode.container import MAX_PLAIN_BYTES, Plain, uncompress
from pismo_lake.decode.envelope import Envelope, UnusableEventError, envelope_of, extra_keys, parse, text_or_none
from pismo_lake.decode.fields import ENVELOPE, TIME_COLUMN
from pismo_lake.decode.heads import cut_of
from pismo_lake.decode.salvage import Span, is_too_large
from pismo_lake.decode.split import recover, split
from pismo_lake.errors import FramingError, PismoError
from pismo_lake.index.fast import quick_index
from pismo_lake.index.keys import content_hash, dedupe_key, dedupe_keys
from pismo_lake.index.table import SCHEMA, IndexedFile
from pismo_lake.paths import event_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pismo_lake.contracts.contract import Contract
    from pismo_lake.contracts.store import ContractStore
    from pismo_lake.index.fast import QuickIndex
    from pismo_lake.index.parsed import ParsedRows


MOST_REJECTS = 100_000
"""A file with more ranges that are no events is refused as a whole: each would be a row of the index and of rejects."""

_ROWS_AT_ONCE = 1 << 15
# an eighth of a file: if more events are left, the build reads the raw file for all of them
_MOST_LEFT = 8


_TEXTS = tuple(field.column for field in ENVELOPE)


@dataclass(slots=True)
class _Rows:
    """Rows of an index under construction, with few of them as Python values."""

    damaged: int = 0
    columns: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in SCHEMA.names})
    done: list[pa.Table] = field(default_factory=list)

    def add(self, **values: object) -> None:
        """Add a row; missing columns are null."""
        for name, column in self.columns.items():
            column.append(values.get(name))
        if len(self.columns["offset"]) == _ROWS_AT_ONCE:
            self._convert()

    def damage(self, span: Span, reason: str, event_id: str | None = None) -> None:
        """Add a range that is no event.

        Raises:
            FramingError: there are too many for a file of events.
        """
        self.damaged += 1
        if self.damaged > MOST_REJECTS:
            msg = f"holds more than {MOST_REJECTS} ranges that are no events"
            raise FramingError(msg)
        length = span.end - span.start
        self.add(offset=span.start, length=length, reason=reason, regular=False, event_id=event_id)

    def table(self) -> pa.Table:
        """Return all rows in the order in which they were added."""
        self._convert()
        return pa.concat_tables(self.done).combine_chunks()

    def _convert(self) -> None:
        columns = self.columns
        self.done.append(pa.table({name: pa.array(columns[name], SCHEMA.field(name).type) for name in columns}, SCHEMA))
        for column in columns.values():
            column.clear()


def index_file(plain: Plain, contract_of: Callable[[str, str], Contract]) -> IndexedFile:
    """Split, validate and index a file's events in byte order.

    `contract_of(domain, event name with version)` returns the contract that learns from each event.

    Raises:
        FramingError: the bytes hold too many values to be events.
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
    found = _join([rows.table(), *tables], parsed)
    return replace(found, left=_find_left(data, found)) if parsed else found


def _join(tables: Sequence[pa.Table], parsed: Sequence[ParsedRows]) -> IndexedFile:
    """Return the index of a file from its pieces, the first of which is in the order of offsets."""
    table = pa.concat_tables(tables).sort_by("offset").combine_chunks() if len(tables) > 1 else tables[0]
    stamps = pc.min_max(table["event_timestamp"].cast(pa.int64()))
    events = table["reason"].null_count
    untimed = table["event_timestamp"].null_count - (len(table) - events)
    return IndexedFile(
        table, events, len(table) - events, stamps["min"].as_py(), stamps["max"].as_py(), untimed,
        parsed,
    )  # fmt: skip


def _find_left(data: bytes, found: IndexedFile) -> pa.Table | None:
    """Return the offsets and bytes of the events without parsed payloads; None if they are many."""
    events = found.table.select(["offset", "length"]).filter(found.table["reason"].is_null())
    offsets = events["offset"].to_numpy()
    left = np.ones(len(offsets), dtype=bool)
    for rows in found.parsed:
        left[np.searchsorted(offsets, rows.offsets)] = False
    starts, lengths = offsets[left], events["length"].to_numpy()[left]
    if lengths.sum() > len(data) // _MOST_LEFT:
        return None
    raw = [data[start : start + length] for start, length in zip(starts.tolist(), lengths.tolist(), strict=True)]
    return pa.table({"offset": starts, "raw": pa.array(raw, pa.binary())})


def add_erased(made: MadeIndex, erased: pa.Table) -> MadeIndex:
    """Return a blanked file's index with its blanked events' rows from the earlier index.

    A later copy of such an event is then still a duplicate, and all counts stay as they were. Builds read nothing of
    an erased event, so whether it fits its contract does not matter.
    """
    never = pa.repeat(pa.scalar(value=False), len(erased))
    rows = erased.set_column(SCHEMA.names.index("regular"), SCHEMA.field("regular"), never)
    rows = rows.set_column(
        SCHEMA.names.index("payload_at"), SCHEMA.field("payload_at"), pa.nulls(len(rows), pa.int32())
    )
    found = _join([made.found.table, rows.cast(SCHEMA)], made.found.parsed)
    return replace(made, found=replace(found, left=made.found.left))


def _index_with_care(data: bytes, rows: _Rows, contract_of: Callable[[str, str], Contract]) -> None:
    """Index event by event; damage may be anywhere."""
    for span in split(data):
        if not _index_span(data, span, rows, contract_of):
            for part in recover(data, span.start):
                if not _index_span(data, part, rows, contract_of):
                    rows.damage(part, "invalid_json")
            break


def _table_of(quick: QuickIndex) -> pa.Table:
    """Return the index of the events that fit."""
    places = quick.places
    envelopes = {name: quick.envelopes[name].combine_chunks() for name in quick.envelopes.column_names}
    digest, data = xxhash.xxh3_64_digest, memoryview(quick.pieces.data)
    # like `content_hash`, but without the cost of a call and of a copy
    hashes = b"".join([digest(data[start:end]) for start, end in quick.pieces.spans_of(places)])
    keys = dedupe_keys(envelopes["org_id"], envelopes["event_id"])
    made = {
        "offset": pa.array(quick.pieces.starts[places]),
        "length": pa.array((quick.pieces.ends - quick.pieces.starts)[places]),
        "reason": pa.nulls(len(places), pa.string()),
        "regular": pa.repeat(pa.scalar(value=True), len(places)),
        **{field.column: envelopes[field.key] for field in ENVELOPE},
        TIME_COLUMN: envelopes[TIME_COLUMN],
        "dedupe_key": _to_fixed_width(keys, 16),
        "content_hash": pa.nulls(len(places), pa.binary(8)),
        "content_xxh3": _to_fixed_width(hashes, 8),
        "payload_at": pa.array(quick.cuts, pa.int32(), mask=quick.cuts == 0),
    }
    return pa.table([made[name] for name in SCHEMA.names], schema=SCHEMA)


def _to_fixed_width(joined: bytes, width: int) -> pa.FixedSizeBinaryArray:
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(joined) // width, [None, pa.py_buffer(joined)])


def _index_span(data: bytes, span: Span, rows: _Rows, contract_of: Callable[[str, str], Contract]) -> bool:
    """Index one span; return False if its bytes are not JSON, so that the scan went wrong."""
    if span.damage:
        rows.damage(span, span.damage)
        return True
    if is_too_large(data, span.start, span.end):
        rows.damage(span, "too_large")
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
        offset=span.start,
        length=span.end - span.start,
        regular=regular,
        **{column: getattr(envelope, column) for column in _TEXTS},
        **{TIME_COLUMN: envelope.timestamp_us},
        dedupe_key=dedupe_key(envelope.org_id, envelope.event_id),
        content_xxh3=content_hash(raw),
        payload_at=cut or None,
    )


_RELEARN = 50


@dataclass(frozen=True, slots=True)
class MadeIndex:
    """A file's index, its uncompressed size in bytes and its framing.

    `problem` says why the file could not be read. If the index is `written` already, `found` has only its totals.
    """

    found: IndexedFile
    plain_size: int
    framing: str
    problem: str | None = None
    written: bool = False


def make_index(raw: bytes, name: str, contracts: ContractStore, limit: int = MAX_PLAIN_BYTES) -> MadeIndex:
    """Index a raw file, and save the changes that its events made to contracts.

    A file that is not readable has no events. `limit` is the largest number of uncompressed bytes.
    """
    try:
        plain = uncompress(raw, name, limit)
        found = _learn(plain, name, contracts)
    except FramingError as error:
        # contracts may have learned from events before the error
        contracts.forget_learned()
        return MadeIndex(index_file(Plain(b"", "unreadable"), contracts.get), 0, "unreadable", str(error))
    return MadeIndex(found, len(plain.data), plain.framing)


def _learn(plain: Plain, name: str, contracts: ContractStore) -> IndexedFile:
    for _ in range(_RELEARN):
        try:
            indexed = index_file(plain, contracts.get)
        except FramingError as error:
            msg = f"{name} {error}"
            raise FramingError(msg) from None
        if contracts.save(name):
            return indexed
    msg = f"contracts kept changing under {name}"
    raise PismoError(msg)
