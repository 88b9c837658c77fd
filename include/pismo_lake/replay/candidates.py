"""Find the landed files that may hold the events of a selection, without reading their events."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pismo_lake import storage
from pismo_lake.events.find import read_again
from pismo_lake.index.files import read_index
from pismo_lake.ledger import FileLedger, LakeFiles
from pismo_lake.paths import IDS
from pismo_lake.replay.selection import Clock
from pismo_lake.storage.errors import sound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pismo_lake.ledger import FileRecord, Ledger
    from pismo_lake.replay.selection import Selection, TimeRange
    from pismo_lake.settings.lake import LakeSettings

_FIRST_HOUR, _LAST_HOUR = "0001-01-01T00", "9999-12-31T23"


def candidate_files(settings: LakeSettings, ledger: Ledger, selection: Selection) -> list[FileRecord]:
    """Return the files of the delivery that may hold events of a selection, in rank order."""
    if selection.times is not None:
        return _of_times(settings, ledger, selection.times)
    ordered = sorted(set(selection.event_ids))
    # a build may replace an id index meanwhile
    return read_again(lambda: files_with_ids(settings, ledger, ordered))


def _of_times(settings: LakeSettings, ledger: Ledger, times: TimeRange) -> list[FileRecord]:
    if times.clock is Clock.PUBLISH:
        first, last = times.hours
        found = LakeFiles(ledger, settings.lake).list_overlapping(first, last, None)
    else:
        found = LakeFiles(ledger, settings.lake).list_overlapping(_FIRST_HOUR, _LAST_HOUR, times.micros)
    return [record for record in found if record.delivery == settings.delivery]


def files_with_ids(settings: LakeSettings, ledger: Ledger, ordered: Sequence[str]) -> list[FileRecord]:
    """Return the delivery's files with events of these ids, which are sorted, in rank order.

    Of a closed day, only the parts of its sorted id index are read that may hold one of the ids.
    """
    ids = pa.array(ordered, pa.string())
    names = set[str]()
    # open files first: a close takes files from them, and none may be missed
    for record in LakeFiles(ledger, settings.lake).list_not_closed():
        if record.delivery == settings.delivery and record.events:
            there = pc.is_in(read_index(record, ["event_id"]).column("event_id"), ids)
            if pc.any(there).as_py():
                names.add(record.name)
    for delivery, outputs in LakeFiles(ledger, settings.lake).list_closed_days():
        if delivery == settings.delivery:
            for path in outputs:
                if path.startswith(f"{IDS}/"):
                    names |= _names_with(storage.join(settings.lake, path), ordered, ids)
    return FileLedger(ledger, settings.lake, settings.delivery).find_named(names)


def _names_with(uri: str, ordered: Sequence[str], ids: pa.Array) -> set[str]:
    found = set[str]()
    with storage.open_for_reading(uri) as source, sound(uri):
        file = pq.ParquetFile(source)
        for group in range(file.num_row_groups):
            if _may_hold(file, group, ordered):
                table = file.read_row_group(group, ["event_id", "name"], use_threads=False)
                found.update(table.filter(pc.is_in(table.column("event_id"), ids)).column("name").to_pylist())
    return found


def _may_hold(file: pq.ParquetFile, group: int, ordered: Sequence[str]) -> bool:
    """Return whether a row group of sorted ids may hold one of some sorted ids."""
    statistics = file.metadata.row_group(group).column(0).statistics
    if statistics is None or not statistics.has_min_max:
        return True
    # Parquet compares the bytes of UTF-8, which are in the order of the characters
    at = bisect_left(ordered, statistics.min)
    return at < len(ordered) and bool(ordered[at] <= statistics.max)
