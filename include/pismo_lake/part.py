"""The rows of one part: raw files in, one Arrow table a partition out, and the rejects. No state, no writing."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pismo_lake import storage
from pismo_lake.child_tables import child_columns, child_tables, list_name
from pismo_lake.decode import Plain, uncompress
from pismo_lake.dedupe import Verdict, read_index
from pismo_lake.errors import LakeError
from pismo_lake.fixed_columns import REJECTS_SCHEMA
from pismo_lake.flatten import EventBytes, flatten
from pismo_lake.layout import event_name, event_path, items_path, partition_path, rejects_path
from pismo_lake.protect import protected
from pismo_lake.row_schema import lake_schema, typed_columns
from pismo_lake.times import typed_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from pismo_lake.contract import Contract
    from pismo_lake.ledger import FileRecord
    from pismo_lake.privacy import Privacy
    from pismo_lake.settings import LakeSettings

_NAMED_BY = ("domain", "event_type", "schema_version")
_ENVELOPE = ("event_id", "org_id", "cid", "schema_version", "event_type", "event_timestamp", "event_timestamp_text")
_TAKEN = (*_ENVELOPE, "offset", "length", "regular", "payload_at")
_READ = tuple(dict.fromkeys(("reason", *_NAMED_BY, *_TAKEN)))


@dataclass(slots=True)
class _Group:
    """The events of one type in output order, file by file: raw bytes, index rows, and (delivery, name, events)."""

    raw: list[bytes] = field(default_factory=list)
    rows: list[pa.Table] = field(default_factory=list)
    files: list[tuple[str, str, int]] = field(default_factory=list)

    def column(self, name: str) -> pa.ChunkedArray:
        """A column of the index."""
        return pa.chunked_array([chunk for table in self.rows for chunk in table.column(name).chunks])


@dataclass(slots=True)
class TypeCounts:
    """Of one event type: events, those that are rows, duplicates, of these the conflicting ones, and erased ones."""

    events: int = 0
    rows: int = 0
    duplicates: int = 0
    conflicts: int = 0
    erased: int = 0

    def add(self, other: TypeCounts) -> None:
        """Take another part's counts in."""
        for name in ("events", "rows", "duplicates", "conflicts", "erased"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(slots=True)
class PartRows:
    """A part read and judged, ready to be flattened type by type."""

    groups: dict[tuple[str, str], _Group] = field(default_factory=lambda: defaultdict(_Group))
    rejects: list[dict[str, Any]] = field(default_factory=list)
    by_type: dict[str, TypeCounts] = field(default_factory=lambda: defaultdict(TypeCounts))
    events: int = 0
    duplicates: int = 0
    conflicts: int = 0
    erased: int = 0


def read_part(files: Sequence[FileRecord], verdicts: dict[str, Verdict]) -> PartRows:
    """Read the files of a part and sort their events into groups; rejects and conflicts aside."""
    part = PartRows()
    for record in files:
        raw = storage.read_bytes(record.raw_uri)
        if record.status == "unreadable":
            reject = {"source_offset": 0, "length": len(raw), "reason": "unsupported_framing"}
            part.rejects.append({"delivery": record.delivery, "source_file": record.name, **reject})
            continue
        _read_file(record, uncompress(raw, record.name), verdicts[record.name], part)
    return part


def _read_file(record: FileRecord, plain: Plain, verdict: Verdict, part: PartRows) -> None:
    data, index = plain.data, read_index(record, list(_READ))
    usable = index.column("reason").is_null().to_numpy()
    events = index.filter(pa.array(usable))
    if len(events) != len(verdict.kept):
        msg = f"the index of {record.name} and the verdict on it differ: {len(events)} and {len(verdict.kept)} events"
        raise LakeError(msg)
    types, numbers = _types(events)
    part.events += len(events)
    counted, kept, conflicts, standing = (
        np.bincount(numbers[mask], minlength=len(types)).tolist()
        for mask in (slice(None), verdict.kept, verdict.conflict, verdict.rows)
    )
    order = np.flatnonzero(verdict.rows)
    order = order[np.argsort(numbers[order], kind="stable")]
    rows = events.take(pa.array(order))
    starts = rows.column("offset").to_numpy()
    ends = starts + rows.column("length").to_numpy()
    bodies = [data[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
    first = 0
    for number, (domain, name) in enumerate(types):
        count = standing[number]
        duplicates = counted[number] - kept[number]
        counts = TypeCounts(counted[number], count, duplicates, conflicts[number], kept[number] - count)
        part.by_type[event_path(domain, name)].add(counts)
        part.duplicates += counts.duplicates
        part.conflicts += counts.conflicts
        part.erased += counts.erased
        if count:
            group = part.groups[domain, name]
            group.raw += bodies[first : first + count]
            group.rows.append(rows.slice(first, count))
            group.files.append((record.delivery, record.name, count))
        first += count
    unusable = ~usable
    unusable[np.flatnonzero(usable)[verdict.conflict]] = True
    gone = np.zeros(len(index), dtype=bool)
    gone[np.flatnonzero(usable)[verdict.erased]] = True
    columns = index.filter(pa.array(unusable)).select(["offset", "length", "reason", "event_id"])
    for row, erased in zip(columns.to_pylist(), gone[unusable].tolist(), strict=True):
        start, reason = row["offset"], row["reason"] or "conflicting_duplicate"
        raw = plain.lost if reason == "gzip_damaged" else data[start : start + row["length"]]
        part.rejects.append(
            {
                "delivery": record.delivery,
                "source_file": record.name,
                "source_offset": start,
                "length": row["length"],
                "reason": reason,
                "event_id": row["event_id"],
                "raw": None if erased else raw,
            }
        )


def _types(events: pa.Table) -> tuple[list[tuple[str, str]], NDArray[np.int64]]:
    """The (domain, event name) that occur, and for each event the number of its own."""
    code = np.zeros(len(events), dtype=np.int64)
    for column in (events.column(name).combine_chunks().dictionary_encode() for name in _NAMED_BY):
        # schema_version may be null
        code = code * (len(column.dictionary) + 1) + column.indices.fill_null(len(column.dictionary)).to_numpy()
    _, first, inverse = np.unique(code, return_index=True, return_inverse=True)
    named = [
        (domain, event_name(event_type, version))
        for domain, event_type, version in zip(
            *(events.column(name).take(pa.array(first)).to_pylist() for name in _NAMED_BY), strict=True
        )
    ]
    types = list(dict.fromkeys(named))
    return types, np.array([types.index(name) for name in named], dtype=np.int64)[inverse]


def tables(
    part: PartRows, settings: LakeSettings, publish_date: str, contract_of: Callable[[str, str], Contract]
) -> Iterator[tuple[str, pa.Table]]:
    """Yield (folder, table) for every partition of the part, child tables and rejects too, in a stable order.

    Groups are used up.
    """
    for domain, name in sorted(part.groups):
        group, contract = part.groups.pop((domain, name)), contract_of(domain, name)
        payload = _payload(group, contract, settings.privacy, event_path(domain, name))
        table = _group_table(group, payload, contract, settings.privacy, event_path(domain, name))
        dates = event_dates(table.column("event_timestamp").combine_chunks(), settings.event_date_zone, publish_date)
        names = dates.dictionary.to_pylist()
        for date in sorted(names):
            # one date is the rule; a comparison of all rows for nothing is not free
            here = None if len(names) == 1 else pc.equal(dates.indices, names.index(date))
            mine, lists = (each if here is None else each.filter(here) for each in (table, payload))
            yield partition_path(domain, name, date), mine
            yield from child_tables(mine, lists, contract, settings.privacy, (domain, name), date)
    if part.rejects:
        rows = pa.Table.from_pylist(part.rejects, schema=REJECTS_SCHEMA)
        if settings.privacy is not None:
            # what cannot be read cannot be redacted: source, offset and length lead to it in landing
            rows = rows.set_column(REJECTS_SCHEMA.names.index("raw"), "raw", pa.nulls(len(rows), pa.binary()))
        yield rejects_path(publish_date), rows


def folders(
    part: PartRows, settings: LakeSettings, publish_date: str, contract_of: Callable[[str, str], Contract]
) -> list[str]:
    """The folders that `tables` may give, known before anything is flattened; a child table may have no rows."""
    found = []
    for domain, name in sorted(part.groups):
        stamps = part.groups[domain, name].column("event_timestamp").combine_chunks()
        dates = event_dates(stamps, settings.event_date_zone, publish_date).dictionary.to_pylist()
        found += [partition_path(domain, name, date) for date in sorted(dates)]
        children = child_columns(contract_of(domain, name))
        found += [items_path(domain, name, list_name(child), date) for child in children for date in sorted(dates)]
    return [*found, rejects_path(publish_date)] if part.rejects else found


def _payload(group: _Group, contract: Contract, privacy: Privacy | None, event: str) -> pa.Table:
    """The columns of a contract and `_rescued` as a policy leaves them, lists with a table of their own included."""
    cuts = group.column("payload_at").fill_null(0).to_numpy().astype(np.int64)
    payload = flatten(EventBytes(group.raw, group.column("regular").to_numpy(), cuts), contract)
    if payload.num_rows != len(group.raw):
        msg = f"{len(group.raw)} events went in, {payload.num_rows} rows came out"
        raise LakeError(msg)
    return payload if privacy is None else protected(payload, contract, privacy, event)


def _group_table(group: _Group, payload: pa.Table, contract: Contract, privacy: Privacy | None, event: str) -> pa.Table:
    envelope = [group.column(key).combine_chunks() for key in _ENVELOPE]
    deliveries, names = (
        pa.concat_arrays([pa.repeat(file[at], file[2]) for file in group.files]) for at in (0, 1)
    )  # fmt: skip
    source = [deliveries, names, group.column("offset").combine_chunks()]
    # from what a policy leaves: a date that became its year has no typed value
    typed = [
        typed_values(payload.column(column.name).combine_chunks(), field.type)
        for field, column in typed_columns(contract)
    ]
    children = [column.name for column in child_columns(contract)]
    counts = [pc.list_value_length(payload.column(name).combine_chunks()) for name in children]
    rescued = payload.column("_rescued")
    payload = payload.drop_columns(["_rescued", *children])
    return pa.table(
        [*envelope, *payload.columns, *typed, *counts, *source, rescued], schema=lake_schema(contract, privacy, event)
    )


def event_dates(stamps: pa.TimestampArray, zone: str, publish_date: str) -> pa.DictionaryArray:
    """Each event's own date (YYYY-MM-DD) in `zone`; the publish date where it has no usable timestamp."""
    days = pc.local_timestamp(stamps.cast(pa.timestamp("us", tz=zone))).cast(pa.date32(), safe=False)
    coded = days.dictionary_encode(null_encoding="encode")
    names = pc.fill_null(coded.dictionary.cast(pa.string()), publish_date)
    plain = names.dictionary_encode()
    # an event without a time may share its date with others
    return pa.DictionaryArray.from_arrays(plain.indices.take(coded.indices), plain.dictionary)
