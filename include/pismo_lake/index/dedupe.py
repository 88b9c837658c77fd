"""Which copy of an event stands: the one in the smallest (publish hour, key, offset), by data alone.

Pismo delivers at least once and names `event_id` as the way to tell duplicates (Event base contract). The order
in which files were landed or built plays no part. Only files whose event times overlap are consulted: a
redelivered event keeps its timestamp.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from pismo_lake.hours import PublishHour
from pismo_lake.index.files import read_index
from pismo_lake.index.keys import KEY_COLUMNS, usable_keys
from pismo_lake.ledger import LakeFiles
from pismo_lake.ledger.erasures import erased_keys, erasure_count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pismo_lake.ledger import FileRecord, Ledger
    from pismo_lake.settings.lake import LakeSettings

_GROUP_EVENTS = 2_000_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """For each usable event of a file in byte order: is it the copy that stands; if not, does its content differ.

    `erased` events are no rows, whichever copy they are.
    """

    kept: NDArray[np.bool_]
    conflict: NDArray[np.bool_]
    erased: NDArray[np.bool_]

    @property
    def rows(self) -> NDArray[np.bool_]:
        """The events that become rows."""
        return self.kept & ~self.erased


def predecessors(settings: LakeSettings, ledger: Ledger, own: Sequence[FileRecord]) -> list[FileRecord]:
    """Files that may hold an earlier copy of an event of `own`, in rank order."""
    if not own:
        return []
    hours = [record.publish_hour for record in own]
    first = str(PublishHour.parse(min(hours)).plus(-24 * settings.horizon_days))
    names = {(record.delivery, record.name) for record in own}
    found = LakeFiles(ledger, settings.lake).overlapping(first, max(hours), time_range(own))
    last = max(record.rank for record in own)
    return [record for record in found if (record.delivery, record.name) not in names and record.rank < last]


def time_range(records: Sequence[FileRecord]) -> tuple[int, int] | None:
    """The event-time range of files; None where some event has no time, so that nothing can be ruled out."""
    if any(record.untimed for record in records):
        return None
    lows = [record.min_timestamp for record in records if record.min_timestamp is not None]
    highs = [record.max_timestamp for record in records if record.max_timestamp is not None]
    return (min(lows), max(highs)) if lows else (1, 0)


def judge_all(settings: LakeSettings, ledger: Ledger, own: Sequence[FileRecord]) -> dict[str, Verdict]:
    """`judge` for files of any number of hours, a few million events at a time, so that memory is bounded."""
    verdicts: dict[str, Verdict] = {}
    erased = np.array(sorted(erased_keys(ledger, settings.lake)), dtype="S16")
    group: list[FileRecord] = []
    events = 0
    for _, files in groupby(sorted(own, key=lambda record: record.rank), key=lambda record: record.publish_hour):
        of_hour = list(files)
        size = sum(record.events for record in of_hour)
        if group and events + size > _GROUP_EVENTS:
            verdicts |= judge(group, predecessors(settings, ledger, group), settings.horizon_days, erased)
            group, events = [], 0
        group += of_hour
        events += size
    return verdicts | judge(group, predecessors(settings, ledger, group), settings.horizon_days, erased)


class JudgedInputs:
    """Files of a unit with the verdict on them, judged anew only where these, their predecessors or erasures differ.

    A unit is looked at before its claim and after it, an hour once a part.
    """

    def __init__(self, settings: LakeSettings, ledger: Ledger) -> None:
        self._settings, self._ledger = settings, ledger
        self._judged: tuple[object, dict[str, Verdict]] | None = None

    def of(self, files: list[FileRecord]) -> tuple[list[FileRecord], dict[str, Verdict]]:
        """The files as they came, and `judge_all` of them by file name."""
        ranks = [record.rank for record in predecessors(self._settings, self._ledger, files)]
        seen = (files, ranks, erasure_count(self._ledger, self._settings.lake))
        if self._judged is None or self._judged[0] != seen:
            self._judged = (seen, judge_all(self._settings, self._ledger, files))
        return files, self._judged[1]


def judge(
    own: Sequence[FileRecord], earlier: Sequence[FileRecord], horizon_days: int, erased: NDArray[np.bytes_]
) -> dict[str, Verdict]:
    """The verdict for each of `own`, by file name: an event stands unless a copy within the horizon comes before it.

    Of `earlier` only the keys that `own` has too are kept in memory, so it is bounded by the events of `own`.
    """
    mine = {(record.delivery, record.name) for record in own}
    mine_read = {record.name: usable_keys(read_index(record, KEY_COLUMNS)) for record in own}
    known = np.sort(_short(np.concatenate([keys for keys, _ in mine_read.values()]))) if own else np.zeros(0, np.uint64)
    keys, hashes, hours, sizes = [], [], [], []
    order = sorted([*own, *earlier], key=lambda record: record.rank)
    for record in order:
        if (record.delivery, record.name) in mine:
            key, content = mine_read.pop(record.name)
        else:
            key, content = usable_keys(read_index(record, KEY_COLUMNS))
            shared = _contains(known, _short(key))
            key, content = key[shared], content[shared]
        keys.append(key)
        hashes.append(content)
        hours.append(np.full(len(key), _hour_number(record.publish_hour), dtype=np.int64))
        sizes.append(len(key))
    if not order:
        return {}
    every = np.concatenate(keys)
    gone = np.isin(every, erased) if len(erased) else np.zeros(len(every), dtype=bool)
    winner = _winners(every, np.concatenate(hours), 24 * horizon_days)
    content_of = np.concatenate(hashes)
    kept = winner == np.arange(len(winner))
    conflict = content_of != content_of[winner]
    verdicts: dict[str, Verdict] = {}
    start = 0
    for record, size in zip(order, sizes, strict=True):
        if (record.delivery, record.name) in mine:
            part = slice(start, start + size)
            verdicts[record.name] = Verdict(kept[part], conflict[part], gone[part])
        start += size
    return verdicts


def _hour_number(hour: str) -> int:
    return int(PublishHour.parse(hour).start.timestamp()) // 3600


def _short(keys: NDArray[np.bytes_]) -> NDArray[np.uint64]:
    """The first eight bytes of each key: enough to tell most keys apart, and quick to compare."""
    return np.ascontiguousarray(keys).view(np.uint64).reshape(-1, 2)[:, 0] if len(keys) else np.zeros(0, np.uint64)


def _contains(ordered: NDArray[np.uint64], values: NDArray[np.uint64]) -> NDArray[np.bool_]:
    if not len(ordered):
        return np.zeros(len(values), dtype=bool)
    found: NDArray[np.bool_] = ordered[np.searchsorted(ordered, values).clip(max=len(ordered) - 1)] == values
    return found


def _winners(keys: NDArray[np.bytes_], hours: NDArray[np.int64], horizon: int) -> NDArray[np.int64]:
    """For each copy (in rank order) the position of the first copy of its key within `horizon` hours before it."""
    order, fresh = _grouped(keys)
    # hours never fall within a key, so (key, hour) as one number is in order too
    since = hours[order] - hours.min(initial=0)
    span = int(since.max(initial=0)) + 1
    group = (np.cumsum(fresh) - 1) * span
    first = np.searchsorted(group + since, group + np.maximum(since - horizon, 0), side="left")
    winner = np.empty(len(keys), dtype=np.int64)
    winner[order] = order[first]
    return winner


def _grouped(keys: NDArray[np.bytes_]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """An order in which equal keys follow each other as they came, and where in it another key begins."""
    short = _short(keys)
    order = np.argsort(short, kind="stable")
    fresh = np.ones(len(keys), dtype=bool)
    fresh[1:] = short[order[1:]] != short[order[:-1]]
    alike = np.flatnonzero(~fresh)
    if (keys[order[alike]] != keys[order[alike - 1]]).any():
        # eight bytes do not tell them apart
        order = np.argsort(keys, kind="stable")
        fresh[1:] = keys[order[1:]] != keys[order[:-1]]
    return order, fresh
