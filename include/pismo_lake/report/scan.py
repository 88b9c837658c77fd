"""Count the events of a publish day in its indexes: reasons, lateness, heartbeats."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from pismo_lake.errors import LandedFileError
from pismo_lake.hours import PublishHour
from pismo_lake.index.files import read_index

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

    from pismo_lake.ledger import FileRecord

_COLUMNS = ["reason", "domain", "event_type", "event_timestamp", "offset", "length"]
_MINUTE = 60_000_000
_EDGES = [0, 65 * _MINUTE, 120 * _MINUTE, 360 * _MINUTE, 1440 * _MINUTE, 3 * 1440 * _MINUTE, 7 * 1440 * _MINUTE]
LATENESS = ("ahead", "in its hour", "up to 2 h", "up to 6 h", "up to 24 h", "up to 3 days", "up to 7 days", "older")
"""Classes of time from an event to the end of its publish hour; a batch may begin five minutes before its hour."""

NO_TIME = "no time"
_HEARTBEAT = "health"
# Pismo's page "JSON schema change"; the wire name may have either sign, and its version
_SCHEMA_CHANGE = "^json[_-]schema[_-]change"


@dataclass(slots=True)
class DayScan:
    """Counts over the indexes of a day's files.

    `unindexed` has the files without a valid index, with the reason. `schema_changes` are the places (file, offset,
    length) of Pismo's events that announce a change of a schema.
    """

    events: int = 0
    rejects: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    lateness: Counter[str] = field(default_factory=Counter)
    heartbeats: Counter[str] = field(default_factory=Counter)
    unindexed: dict[str, str] = field(default_factory=dict)
    schema_changes: list[tuple[FileRecord, int, int]] = field(default_factory=list)

    def lateness_lines(self) -> tuple[tuple[str, int], ...]:
        """Return all labels in order with their counts, also zeros."""
        return tuple((label, self.lateness[label]) for label in (*LATENESS, NO_TIME))


def scan_day(files: Iterable[FileRecord]) -> DayScan:
    """Read the index of each file once, and count its events."""
    scan = DayScan()
    for record in files:
        try:
            index = read_index(record, _COLUMNS)
        except LandedFileError as error:
            scan.unindexed[record.name] = str(error)
            continue
        _take(scan, record, index)
    return scan


def _take(scan: DayScan, record: FileRecord, index: pa.Table) -> None:
    usable = pc.is_null(index.column("reason"))
    events = index.filter(usable)
    scan.events += events.num_rows
    scan.rejects += index.num_rows - events.num_rows
    for counted in index.filter(pc.invert(usable)).column("reason").value_counts().to_pylist():
        scan.reasons[counted["values"]] += counted["counts"]
    stamps = events.column("event_timestamp").drop_null().cast("int64").to_numpy()
    end = int(PublishHour.parse(record.publish_hour).plus(1).start.timestamp()) * 1_000_000
    places, counts = np.unique(np.searchsorted(_EDGES, end - stamps, side="right"), return_counts=True)
    for place, count in zip(places.tolist(), counts.tolist(), strict=True):
        scan.lateness[LATENESS[place]] += count
    scan.lateness[NO_TIME] += events.num_rows - len(stamps)
    control = events.filter(pc.equal(events.column("domain"), "dataplatform"))
    beats = pc.starts_with(control.column("event_type"), _HEARTBEAT)
    scan.heartbeats[record.publish_hour] += pc.sum(beats).as_py() or 0
    announced = control.filter(pc.match_substring_regex(control.column("event_type"), _SCHEMA_CHANGE))
    for row in announced.select(["offset", "length"]).to_pylist():
        scan.schema_changes.append((record, row["offset"], row["length"]))
