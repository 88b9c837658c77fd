"""The rows of one part: raw files in, one Arrow table a partition out, and the rejects. No state, no writing."""

from __future__ import annotations

import io
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pismo_lake import storage
from pismo_lake.decode import Plain, uncompress
from pismo_lake.dedupe import Verdict, read_index
from pismo_lake.errors import LakeError
from pismo_lake.flatten import EventBytes, flatten
from pismo_lake.layout import event_name, partition_path, rejects_path, safe_segment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pismo_lake.contract import Contract
    from pismo_lake.ledger import FileRecord
    from pismo_lake.settings import LakeSettings

ENVELOPE_SCHEMA = pa.schema(
    [
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("org_id", pa.string()),
        pa.field("cid", pa.string()),
        pa.field("schema_version", pa.string()),
        pa.field("event_type_text", pa.string(), nullable=False),
        pa.field("event_timestamp", pa.timestamp("us", tz="UTC")),
        pa.field("event_timestamp_text", pa.string()),
    ]
)
SOURCE_SCHEMA = pa.schema(
    [
        pa.field("_source_delivery", pa.string(), nullable=False),
        pa.field("_source_file", pa.string(), nullable=False),
        pa.field("_source_offset", pa.int64(), nullable=False),
    ]
)
REJECTS_SCHEMA = pa.schema(
    [
        pa.field("delivery", pa.string(), nullable=False),
        pa.field("source_file", pa.string(), nullable=False),
        pa.field("source_offset", pa.int64(), nullable=False),
        pa.field("length", pa.int64(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("event_id", pa.string()),
        pa.field("raw", pa.binary()),
    ]
)

_LOOKED_AT = ("offset", "length", "reason", "domain", "event_type", "schema_version")
_ENVELOPE = ("event_id", "org_id", "cid", "schema_version", "event_type", "event_timestamp", "event_timestamp_text")
_TAKEN = (*_ENVELOPE, "offset", "regular")
_READ = tuple(dict.fromkeys((*_LOOKED_AT, *_TAKEN)))


@dataclass(slots=True)
class _Group:
    """The events of one type, column by column, in output order."""

    raw: list[bytes] = field(default_factory=list)
    delivery: list[str] = field(default_factory=list)
    name: list[str] = field(default_factory=list)
    columns: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in _TAKEN})

    def take(self, columns: dict[str, list[Any]], place: int) -> None:
        """Take one event's envelope from an index."""
        for name, values in self.columns.items():
            values.append(columns[name][place])


@dataclass(slots=True)
class TypeCounts:
    """Of one event type: events, those that stand as rows, duplicates, and of these the conflicting ones."""

    events: int = 0
    rows: int = 0
    duplicates: int = 0
    conflicts: int = 0

    def add(self, other: TypeCounts) -> None:
        """Take another part's counts in."""
        for name in ("events", "rows", "duplicates", "conflicts"):
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
    data, usable = plain.data, 0
    kept, conflict = verdict.kept.tolist(), verdict.conflict.tolist()
    index = read_index(record, list(_READ))
    columns = {name: index.column(name).to_pylist() for name in _READ}
    for place, (start, length, reason, domain, event_type, version) in enumerate(
        zip(*(columns[name] for name in _LOOKED_AT), strict=True)
    ):
        if reason is None:
            stands, differs = kept[usable], conflict[usable]
            usable += 1
            name = event_name(event_type, version)
            counts = part.by_type[f"{safe_segment(domain)}/{safe_segment(name)}"]
            counts.events += 1
            if stands:
                counts.rows += 1
                group = part.groups[domain, name]
                group.raw.append(data[start : start + length])
                group.take(columns, place)
                group.delivery.append(record.delivery)
                group.name.append(record.name)
                continue
            part.duplicates += 1
            counts.duplicates += 1
            if not differs:
                continue
            part.conflicts += 1
            counts.conflicts += 1
            reason = "conflicting_duplicate"
        part.rejects.append(
            {
                "delivery": record.delivery,
                "source_file": record.name,
                "source_offset": start,
                "length": length,
                "reason": reason,
                "event_id": columns["event_id"][place],
                "raw": plain.lost if reason == "gzip_damaged" else data[start : start + length],
            }
        )
    part.events += usable
    if usable != len(kept):
        msg = f"the index of {record.name} and the verdict on it differ: {usable} and {len(kept)} events"
        raise LakeError(msg)


def tables(
    part: PartRows, settings: LakeSettings, publish_date: str, contract_of: Callable[[str, str], Contract]
) -> Iterator[tuple[str, pa.Table]]:
    """Yield (partition folder, table) for every partition of the part, in a stable order; groups are used up."""
    for domain, name in sorted(part.groups):
        group = part.groups.pop((domain, name))
        table = _group_table(group, contract_of(domain, name))
        stamps = table.column("event_timestamp").combine_chunks()
        dates = event_dates(stamps, settings.event_date_zone, publish_date)
        for date in sorted(pc.unique(dates).to_pylist()):
            yield partition_path(domain, name, date), table.filter(pc.equal(dates, date))
    if part.rejects:
        rows = pa.Table.from_pylist(part.rejects, schema=REJECTS_SCHEMA)
        yield rejects_path(publish_date), rows


def folders(part: PartRows, settings: LakeSettings, publish_date: str) -> list[str]:
    """The partition folders that `tables` will give, known before anything is flattened."""
    found = []
    for domain, name in sorted(part.groups):
        stamps = pa.array(part.groups[domain, name].columns["event_timestamp"], pa.timestamp("us", tz="UTC"))
        dates = pc.unique(event_dates(stamps, settings.event_date_zone, publish_date)).to_pylist()
        found += [partition_path(domain, name, date) for date in sorted(dates)]
    return [*found, rejects_path(publish_date)] if part.rejects else found


def _group_table(group: _Group, contract: Contract) -> pa.Table:
    taken = group.columns
    payload = flatten(EventBytes(group.raw, taken["regular"]), contract)
    if payload.num_rows != len(group.raw):
        msg = f"{len(group.raw)} events went in, {payload.num_rows} rows came out"
        raise LakeError(msg)
    envelope = [pa.array(taken[key], item.type) for key, item in zip(_ENVELOPE, ENVELOPE_SCHEMA, strict=True)]
    places = (group.delivery, group.name, taken["offset"])
    source = [pa.array(values, item.type) for values, item in zip(places, SOURCE_SCHEMA, strict=True)]
    rescued = payload.column("_rescued")
    payload = payload.drop_columns(["_rescued"])
    fields = [*ENVELOPE_SCHEMA, *payload.schema, *SOURCE_SCHEMA, pa.field("_rescued", pa.string())]
    return pa.table([*envelope, *payload.columns, *source, rescued], schema=pa.schema(fields))


def event_dates(stamps: pa.Array, zone: str, publish_date: str) -> pa.Array:
    """Each event's own date in `zone`; the publish date where it has no usable timestamp."""
    dates = pc.strftime(stamps.cast(pa.timestamp("us", tz=zone)), format="%Y-%m-%d")
    return pc.fill_null(dates, publish_date)


def parquet_bytes(table: pa.Table) -> memoryview:
    """A table as a zstd Parquet file, the same bytes for the same rows."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", compression_level=3)
    return sink.getbuffer()
