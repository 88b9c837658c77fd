"""Which copy of an event stands: the one in the smallest (publish hour, key, offset), by data alone.

Pismo delivers at least once and names `event_id` as the way to tell duplicates (Event base contract). The order
in which files were landed or built plays no part. Only files whose event times overlap are consulted: a
redelivered event keeps its timestamp.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pismo_lake import storage

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from pismo_lake.layout import PublishHour
    from pismo_lake.ledger import FileRecord, Ledger
    from pismo_lake.settings import LakeSettings

KEY_COLUMNS = ["reason", "dedupe_key", "content_hash"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """For each usable event of a file in byte order: does it stand; if not, does its content differ."""

    kept: NDArray[np.bool_]
    conflict: NDArray[np.bool_]


def read_index(record: FileRecord, columns: list[str] | None = None) -> pa.Table:
    """A landed file's index table."""
    return read_index_at(str(record.index_uri), columns)


def read_index_at(uri: str, columns: list[str] | None = None) -> pa.Table:
    """The index table at a URI."""
    return pq.read_table(io.BytesIO(storage.read_bytes(uri)), columns=columns)


def usable_keys(table: pa.Table) -> tuple[NDArray[np.bytes_], NDArray[np.bytes_]]:
    """Dedupe keys and content hashes of the usable events, as fixed-width bytes."""
    usable = table.filter(pc.is_null(table.column("reason")))
    keys = usable.column("dedupe_key").combine_chunks()
    hashes = usable.column("content_hash").combine_chunks()
    return _fixed(keys, 16), _fixed(hashes, 8)


def _fixed(array: pa.FixedSizeBinaryArray, width: int) -> NDArray[np.bytes_]:
    if not len(array):
        return np.zeros(0, dtype=f"S{width}")
    raw = np.frombuffer(array.buffers()[1], dtype=f"S{width}")
    return raw[array.offset : array.offset + len(array)]


def predecessors(
    settings: LakeSettings, ledger: Ledger, hour: PublishHour, own: Sequence[FileRecord]
) -> list[FileRecord]:
    """Files that may hold an earlier copy of an event of `own` (the files of one hour), in rank order."""
    if not own:
        return []
    first = str(hour.plus(-24 * settings.horizon_days))
    names = {(record.delivery, record.name) for record in own}
    found = ledger.overlapping(settings.lake, first, str(hour), time_range(own))
    last = max(record.rank for record in own)
    return [record for record in found if (record.delivery, record.name) not in names and record.rank < last]


def time_range(records: Sequence[FileRecord]) -> tuple[int, int] | None:
    """The event-time range of files; None where some event has no time, so that nothing can be ruled out."""
    if any(record.untimed for record in records):
        return None
    lows = [record.min_timestamp for record in records if record.min_timestamp is not None]
    highs = [record.max_timestamp for record in records if record.max_timestamp is not None]
    return (min(lows), max(highs)) if lows else (1, 0)


def judge(own: Sequence[FileRecord], earlier: Sequence[FileRecord]) -> dict[str, Verdict]:
    """The verdict for each file of one hour, by file name; memory is 24 bytes an event consulted."""
    mine = {(record.delivery, record.name) for record in own}
    order = sorted([*own, *earlier], key=lambda record: record.rank)
    keys, hashes, sizes = [], [], []
    for record in order:
        key, content = usable_keys(read_index(record, KEY_COLUMNS))
        keys.append(key)
        hashes.append(content)
        sizes.append(len(key))
    if not order:
        return {}
    winner = _first_place(np.concatenate(keys))
    content_of = np.concatenate(hashes)
    kept = winner == np.arange(len(winner))
    conflict = content_of != content_of[winner]
    verdicts: dict[str, Verdict] = {}
    start = 0
    for record, size in zip(order, sizes, strict=True):
        if (record.delivery, record.name) in mine:
            part = slice(start, start + size)
            verdicts[record.name] = Verdict(kept[part], conflict[part])
        start += size
    return verdicts


def _first_place(keys: NDArray[np.bytes_]) -> NDArray[np.int64]:
    """For each key the position of its first occurrence."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    fresh = np.ones(len(keys), dtype=bool)
    fresh[1:] = ordered[1:] != ordered[:-1]
    first = np.empty(len(keys), dtype=np.int64)
    first[order] = order[np.flatnonzero(fresh)][np.cumsum(fresh) - 1]
    return first
