"""Read the raw files of a part, and sort their events by type."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from pismo_lake import storage
from pismo_lake.contracts.columns import FastReader
from pismo_lake.decode.container import Plain, uncompress
from pismo_lake.decode.fields import LAKE_COLUMNS, TYPE_KEYS
from pismo_lake.errors import LakeError, LandedFileError, MemoryShortError
from pismo_lake.index.files import read_index
from pismo_lake.index.groups import number_groups
from pismo_lake.index.landed import landed_bytes, landed_map
from pismo_lake.index.parsed import Kept, read_kept
from pismo_lake.paths import event_name, event_path

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence
    from mmap import mmap

    from numpy.typing import NDArray

    from pismo_lake.contracts.contract import Contract
    from pismo_lake.index.dedupe import Verdict
    from pismo_lake.index.parsed import ParsedRows
    from pismo_lake.ledger import FileRecord
    from pismo_lake.settings.lake import LakeSettings

    Placed = tuple[NDArray[np.int64], pa.Table]

_TAKEN = (*LAKE_COLUMNS, "offset", "length", "regular", "payload_at")
_READ = tuple(dict.fromkeys(("reason", *TYPE_KEYS, *_TAKEN)))


@dataclass(slots=True)
class Group:
    """The events of one type in output order, file by file.

    `raw` are their bytes, `rows` their index rows, `files` (delivery, name, number of events). `parsed` are positions
    of events whose payloads are parsed already, with these payloads: their raw bytes are empty.
    """

    raw: list[bytes] = field(default_factory=list)
    parsed: list[Placed] = field(default_factory=list)
    rows: list[pa.Table] = field(default_factory=list)
    files: list[tuple[str, str, int]] = field(default_factory=list)

    def column(self, name: str) -> pa.ChunkedArray:
        """Return a column of the index."""
        return pa.chunked_array([chunk for table in self.rows for chunk in table.column(name).chunks])


@dataclass(slots=True)
class TypeCounts:
    """Counts of one event type; `conflicts` are the duplicates whose content differs."""

    events: int = 0
    rows: int = 0
    duplicates: int = 0
    conflicts: int = 0
    erased: int = 0

    def add(self, other: TypeCounts) -> None:
        """Add another part's counts."""
        for name in ("events", "rows", "duplicates", "conflicts", "erased"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(slots=True)
class PartRows:
    """A part, read and judged, ready to be flattened type by type."""

    groups: dict[tuple[str, str], Group] = field(default_factory=lambda: defaultdict(Group))
    rejects: list[dict[str, Any]] = field(default_factory=list)
    by_type: dict[str, TypeCounts] = field(default_factory=lambda: defaultdict(TypeCounts))
    events: int = 0
    duplicates: int = 0
    conflicts: int = 0
    erased: int = 0


class KeptPayloads:
    """Payloads kept since the index, if their columns fit the contracts."""

    def __init__(self, settings: LakeSettings, contract_of: Callable[[str, str], Contract]) -> None:
        self._settings, self._contract_of = settings, contract_of
        self._taken: dict[tuple[str, str, pa.Schema], bool] = {}

    def of(self, record: FileRecord) -> Kept:
        """Return the kept parts of a file, without payloads that do not fit their contracts."""
        found = read_kept(self._settings, record)
        fitting = {name: [rows for rows in parsed if self._takes(rows)] for name, parsed in found.parsed.items()}
        return Kept(fitting, found.left)

    def _takes(self, rows: ParsedRows) -> bool:
        key = (rows.domain, rows.name, rows.payload.schema)
        if key not in self._taken:
            reader = FastReader(self._contract_of(rows.domain, rows.name))
            self._taken[key] = reader.takes(rows.payload.schema)
        return self._taken[key]


@dataclass
class _Input:
    """A raw file, read only if its bytes are needed."""

    record: FileRecord

    @cached_property
    def raw(self) -> bytes:
        return landed_bytes(self.record)

    @cached_property
    def plain(self) -> Plain:
        return uncompress(self.raw, self.record.name, self.record.plain_size)

    @cached_property
    def data(self) -> bytes | mmap:
        """Return the uncompressed bytes; a local file is mapped, so that it takes no extra memory."""
        return landed_map(self.record) if self._is_mapped else self.plain.data

    def check(self) -> None:
        """Compare the bytes with those that were landed.

        Raises:
            LandedFileError: they differ, or the file is gone.
        """
        _ = self.data if self._is_mapped else self.raw

    @property
    def _is_mapped(self) -> bool:
        return self.record.framing == "plain" and storage.is_local(self.record.raw_uri) and self.record.size > 0


def read_part(
    files: Sequence[FileRecord],
    verdicts: dict[str, Verdict],
    payloads: KeptPayloads | None = None,
    *,
    bodies: bool = True,
    only: Container[str] | None = None,
) -> PartRows:
    """Read the files of a part, and sort their events into groups and rejects.

    Without `bodies`, the groups have only index rows, and no event is parsed. The bytes of the raw files are compared
    with those that were landed in any case. If `only` names event types, there are groups of these alone.

    Raises:
        LandedFileError: a file has changed since it was landed, or it needs too much memory.
    """
    part = PartRows()
    for record in files:
        file = _Input(record)
        if record.status == "unreadable":
            reject = {"source_offset": 0, "length": len(file.raw), "reason": "unsupported_framing"}
            part.rejects.append({"delivery": record.delivery, "source_file": record.name, **reject})
            continue
        try:
            if not bodies:
                file.check()
            _read_file(file, verdicts[record.name], part, payloads, bodies=bodies, only=only)
        except MemoryError:
            msg = f"{record.name} ({record.plain_size} bytes uncompressed) needs more memory than is free"
            raise MemoryShortError(msg, key=record.key, name=record.name) from None
    return part


def _read_file(
    file: _Input, verdict: Verdict, part: PartRows, payloads: KeptPayloads | None, *, bodies: bool,
    only: Container[str] | None,
) -> None:  # fmt: skip
    record = file.record
    index = read_index(record, list(_READ))
    usable = index.column("reason").is_null().to_numpy()
    events = index if usable.all() else index.filter(pa.array(usable))
    if len(events) != len(verdict.kept):
        msg = f"the index of {record.name} and the verdict on it differ: {len(events)} and {len(verdict.kept)} events"
        raise LakeError(msg)
    # the (domain, event name) in this file
    types, numbers = number_groups(events, TYPE_KEYS, _type)
    part.events += len(events)
    counted, kept, conflicts, row_counts = (
        np.bincount(numbers[mask], minlength=len(types)).tolist()
        for mask in (slice(None), verdict.kept, verdict.conflict, verdict.rows)
    )
    order = np.flatnonzero(verdict.rows)
    order = order[np.argsort(numbers[order], kind="stable")]
    rows = events.take(pa.array(order))
    starts = rows.column("offset").to_numpy()
    ends = starts + rows.column("length").to_numpy()
    fit = rows.column("regular").to_numpy()
    stored = payloads.of(record) if payloads and bodies else Kept()
    first = 0
    for number, (domain, name) in enumerate(types):
        count = row_counts[number]
        duplicates = counted[number] - kept[number]
        counts = TypeCounts(counted[number], count, duplicates, conflicts[number], kept[number] - count)
        part.by_type[event_path(domain, name)].add(counts)
        part.duplicates += counts.duplicates
        part.conflicts += counts.conflicts
        part.erased += counts.erased
        if count and (only is None or event_path(domain, name) in only):
            group = part.groups[domain, name]
            mine = slice(first, first + count)
            if bodies:
                found = [rows.at(starts[mine]) for rows in stored.parsed.get((domain, name), ())]
                placed = [each for each in found if fit[mine][each[0]].all()]
                _take(group, file, starts[mine], ends[mine], placed, stored.left)
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
        raw: bytes | None = None
        if reason == "gzip_damaged":
            # bytes that cannot be decompressed may hold an erased event, too
            raw = None if gone.any() else file.plain.lost
        elif not erased:
            raw = file.data[start : start + row["length"]]
        part.rejects.append(
            {
                "delivery": record.delivery,
                "source_file": record.name,
                "source_offset": start,
                "length": row["length"],
                "reason": reason,
                "event_id": row["event_id"],
                "raw": raw,
            }
        )


def _take(
    group: Group, file: _Input, starts: NDArray[np.int64], ends: NDArray[np.int64], found: Sequence[Placed],
    stored: Mapping[int, bytes],
) -> None:  # fmt: skip
    """Add events of a file to their group, with their parsed payloads or their bytes, which may be `stored`."""
    first = len(group.raw)
    left = np.ones(len(starts), dtype=bool)
    for here, payload in found:
        left[here] = False
        group.parsed.append((here + first, payload))
    bodies = [b""] * len(starts)
    for place in np.flatnonzero(left).tolist():
        kept = stored.get(int(starts[place]))
        bodies[place] = file.data[starts[place] : ends[place]] if kept is None else kept
        if not bodies[place].strip(b" "):
            # blanked like an erased event, although it is not erased
            msg = f"{file.record.name} has blanks at {starts[place]}, the place of an event that is not erased"
            raise LandedFileError(msg, key=file.record.key, name=file.record.name)
    group.raw += bodies


def _type(domain: str, event_type: str, schema_version: str | None) -> tuple[str, str]:
    return domain, event_name(event_type, schema_version)
