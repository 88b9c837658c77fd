"""Decide which copy of an event wins: the one with the smallest (publish hour, key, offset).

Pismo delivers at least once and names `event_id` as the means to find duplicates (Event base contract). The order in
which files were landed or built does not matter. Only files whose event times overlap are read, because a redelivered
event keeps its timestamp.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from pismo_lake.errors import LandedFileError
from pismo_lake.hours import PublishHour
from pismo_lake.index.files import read_index
from pismo_lake.index.keys import KEY_COLUMNS, UsableKeys, earlier_hash, usable_keys
from pismo_lake.index.landed import usable_events
from pismo_lake.ledger import LakeFiles
from pismo_lake.ledger.erasures import count_erasures, erased_keys, erasure_count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from sqlalchemy import Connection

    from pismo_lake.ledger import FileRecord, Ledger
    from pismo_lake.settings.lake import LakeSettings

_GROUP_EVENTS = 2_000_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """For each usable event of a file, in byte order: does it win, and does its content differ.

    `kept` events win. `conflict` events lose, and their content differs from the winner's. `erased` events become no
    rows, even if they win. `winners` are (delivery, name) of the other files with the winning copies.
    """

    kept: NDArray[np.bool_]
    conflict: NDArray[np.bool_]
    erased: NDArray[np.bool_]
    winners: frozenset[tuple[str, str]] = frozenset()

    @property
    def rows(self) -> NDArray[np.bool_]:
        """The events that become rows."""
        return self.kept & ~self.erased


def predecessors(settings: LakeSettings, ledger: Ledger, own: Sequence[FileRecord]) -> list[FileRecord]:
    """Return the files that may hold an earlier copy of an event of `own`, in rank order."""
    if not own:
        return []
    hours = [record.publish_hour for record in own]
    first = str(PublishHour.parse(min(hours)).plus(-24 * settings.horizon_days))
    names = {(record.delivery, record.name) for record in own}
    found = LakeFiles(ledger, settings.lake).list_overlapping(first, max(hours), time_range(own))
    last = max(record.rank for record in own)
    return [record for record in found if (record.delivery, record.name) not in names and record.rank < last]


def time_range(records: Sequence[FileRecord]) -> tuple[int, int] | None:
    """Return the event-time range of files; None (any file may overlap) if an event has no time."""
    if any(record.untimed for record in records):
        return None
    lows = [record.min_timestamp for record in records if record.min_timestamp is not None]
    highs = [record.max_timestamp for record in records if record.max_timestamp is not None]
    return (min(lows), max(highs)) if lows else (1, 0)


def judge_all(settings: LakeSettings, ledger: Ledger, own: Sequence[FileRecord]) -> dict[str, Verdict]:
    """Judge the files of any number of hours, a few million events at a time to bound memory."""
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
    """Cache of verdicts for a unit's files.

    It is recomputed only if its files, earlier files or erasures change. A build needs the verdicts before its claim
    and after it, an hour's build once for each part.

    Attributes:
        erasures: how many events were erased before the verdicts were made.
    """

    def __init__(self, settings: LakeSettings, ledger: Ledger) -> None:
        self._settings, self._ledger = settings, ledger
        self._judged: tuple[object, dict[str, Verdict]] | None = None
        self.erasures = 0

    def is_outdated(self, connection: Connection) -> bool:
        """Return whether events were erased since the files were judged."""
        return count_erasures(connection, self._settings.lake) != self.erasures

    def of(self, files: list[FileRecord]) -> tuple[list[FileRecord], dict[str, Verdict]]:
        """Return the same files, and the verdict on each by file name."""
        ranks = [record.rank for record in predecessors(self._settings, self._ledger, files)]
        self.erasures = erasure_count(self._ledger, self._settings.lake)
        # whether a file is built changes no verdict, but changes while its unit is built part by part
        own = [(record.rank, record.index_uri, record.sha256, record.events) for record in files]
        seen = (own, ranks, self.erasures)
        if self._judged is None or self._judged[0] != seen:
            self._judged = (seen, judge_all(self._settings, self._ledger, files))
        return files, self._judged[1]


def judge(
    own: Sequence[FileRecord], earlier: Sequence[FileRecord], horizon_days: int, erased: NDArray[np.bytes_]
) -> dict[str, Verdict]:
    """Return the verdict on each of `own` by file name.

    An event wins unless a copy within the horizon comes before it. Of `earlier`, only the keys that `own` also has are
    kept in memory, so memory is bounded by the events of `own`.
    """
    mine = {(record.delivery, record.name) for record in own}
    mine_read = {record.name: usable_keys(read_index(record, KEY_COLUMNS)) for record in own}
    known = (
        np.sort(_shorten_keys(np.concatenate([each.keys for each in mine_read.values()])))
        if own
        else np.zeros(0, np.uint64)
    )
    read: list[UsableKeys] = []
    hours, rows = [], []
    order = sorted([*own, *earlier], key=lambda record: record.rank)
    for record in order:
        if (record.delivery, record.name) in mine:
            found = mine_read.pop(record.name)
            rows.append(np.arange(len(found.keys)))
        else:
            found = usable_keys(read_index(record, KEY_COLUMNS))
            rows.append(np.flatnonzero(_contains(known, _shorten_keys(found.keys))))
            found = found.at(rows[-1])
        read.append(found)
        hours.append(np.full(len(found.keys), _hour_number(record.publish_hour), dtype=np.int64))
    if not order:
        return {}
    every = np.concatenate([each.keys for each in read])
    gone = np.isin(every, erased) if len(erased) else np.zeros(len(every), dtype=bool)
    winner = _winners(every, np.concatenate(hours), 24 * horizon_days)
    kept = winner == np.arange(len(winner))
    conflict = _find_conflicts(order, read, rows, winner)
    verdicts: dict[str, Verdict] = {}
    sizes = [len(each.keys) for each in read]
    ends = np.cumsum(sizes)
    for place, record in enumerate(order):
        if (record.delivery, record.name) in mine:
            part = slice(ends[place] - sizes[place], ends[place])
            from_files = np.unique(np.searchsorted(ends, winner[part][~kept[part]], side="right"))
            winners = frozenset((order[i].delivery, order[i].name) for i in from_files if i != place)
            verdicts[record.name] = Verdict(kept[part], conflict[part], gone[part], winners)
    return verdicts


def _find_conflicts(
    files: Sequence[FileRecord], read: Sequence[UsableKeys], rows: Sequence[NDArray[np.int64]],
    winner: NDArray[np.int64],
) -> NDArray[np.bool_]:  # fmt: skip
    """Return which copies differ from their winners.

    `rows` are the places of the copies `read` among the usable events of their files. If the hashes of a copy and its
    winner are of different kinds, the event with the hash of today is read, and hashed as in earlier versions. If its
    file is gone, they count as different, so that the copy is among the rejects. A blank event is erased.
    """
    hashes = np.concatenate([each.hashes for each in read])
    earlier = np.concatenate([each.earlier for each in read])
    differ: NDArray[np.bool_] = hashes != hashes[winner]
    mixed = np.flatnonzero(earlier != earlier[winner])
    if not len(mixed):
        return differ
    today = np.where(earlier[mixed], winner[mixed], mixed)
    known = hashes[np.where(earlier[mixed], mixed, winner[mixed])]
    ends = np.cumsum([len(each) for each in rows])
    owners = np.searchsorted(ends, today, side="right")
    for owner in np.unique(owners).tolist():
        these = np.flatnonzero(owners == owner)
        places = rows[owner][today[these] - (ends[owner] - len(rows[owner]))]
        try:
            events = usable_events(files[owner], places)
        except LandedFileError:
            differ[mixed[these]] = True
        else:
            found = np.array([earlier_hash(event) for event in events], dtype=hashes.dtype)
            blank = np.array([not event.strip(b" ") for event in events])
            differ[mixed[these]] = (found != known[these]) & ~blank
    return differ


def _hour_number(hour: str) -> int:
    return int(PublishHour.parse(hour).start.timestamp()) // 3600


def _shorten_keys(keys: NDArray[np.bytes_]) -> NDArray[np.uint64]:
    """Return the first eight bytes of each key: they tell most keys apart, and compare quickly."""
    return np.ascontiguousarray(keys).view(np.uint64).reshape(-1, 2)[:, 0] if len(keys) else np.zeros(0, np.uint64)


def _contains(ordered: NDArray[np.uint64], values: NDArray[np.uint64]) -> NDArray[np.bool_]:
    if not len(ordered):
        return np.zeros(len(values), dtype=bool)
    found: NDArray[np.bool_] = ordered[np.searchsorted(ordered, values).clip(max=len(ordered) - 1)] == values
    return found


def _winners(keys: NDArray[np.bytes_], hours: NDArray[np.int64], horizon: int) -> NDArray[np.int64]:
    """Return for each copy its key's first copy within `horizon` hours before it, by position.

    Copies are in rank order.
    """
    order, fresh = _sort_by_key(keys)
    # the hours of a key never decrease, so (key, hour) as one number is in order too
    since = hours[order] - hours.min(initial=0)
    span = int(since.max(initial=0)) + 1
    group = (np.cumsum(fresh) - 1) * span
    first = np.searchsorted(group + since, group + np.maximum(since - horizon, 0), side="left")
    winner = np.empty(len(keys), dtype=np.int64)
    winner[order] = order[first]
    return winner


def _sort_by_key(keys: NDArray[np.bytes_]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return an order that puts equal keys together, and the places in it of each new key.

    Equal keys keep their order.
    """
    short = _shorten_keys(keys)
    order = np.argsort(short, kind="stable")
    fresh = np.ones(len(keys), dtype=bool)
    fresh[1:] = short[order[1:]] != short[order[:-1]]
    alike = np.flatnonzero(~fresh)
    if (keys[order[alike]] != keys[order[alike - 1]]).any():
        # the first eight bytes of some different keys are equal
        order = np.argsort(keys, kind="stable")
        fresh[1:] = keys[order[1:]] != keys[order[:-1]]
    return order, fresh
