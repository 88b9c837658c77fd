"""Find hours to rebuild because a late file holds an earlier copy of one of their events."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pismo_lake.errors import LandedFileError
from pismo_lake.hours import PublishHour, Rank
from pismo_lake.index.dedupe import time_range
from pismo_lake.index.files import read_index_at
from pismo_lake.index.keys import KEY_COLUMNS, usable_keys
from pismo_lake.ledger import LakeFiles

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa
    from numpy.typing import NDArray
    from sqlalchemy import Connection

    from pismo_lake.ledger import FileRecord, Ledger
    from pismo_lake.settings.lake import LakeSettings

_CACHED_BYTES = 256 << 20


@dataclass(slots=True)
class _HourKeys:
    """The dedupe keys, in order, of the files of one hour that were read.

    If an index is `lost`, its file may hold a copy of any event. The build of its hour then names the file.
    """

    names: set[str] = field(default_factory=set)
    keys: NDArray[np.bytes_] = field(default_factory=lambda: np.zeros(0, dtype="S16"))
    lost: bool = False

    def add(self, uris: dict[str, str]) -> None:
        fresh, self.lost = [], False
        for name, uri in uris.items():
            try:
                fresh.append(usable_keys(read_index_at(uri, KEY_COLUMNS)).keys)
            except (FileNotFoundError, LandedFileError):
                self.lost = True
            else:
                self.names.add(name)
        self.keys = np.sort(np.concatenate([self.keys, *fresh]))

    def shares(self, keys: NDArray[np.bytes_]) -> bool:
        if self.lost:
            return True
        if not len(self.keys):
            return False
        places = np.searchsorted(self.keys, keys).clip(max=len(self.keys) - 1)
        return bool((self.keys[places] == keys).any())


class LaterCopies:
    """Reads each index of later hours once in a landing, for any number of files in any order."""

    def __init__(self, settings: LakeSettings, ledger: Ledger) -> None:
        self._settings, self._ledger = settings, ledger
        self._hours: dict[tuple[str, str], _HourKeys] = {}

    def hours_sharing(
        self, record: FileRecord, index: Callable[[], pa.Table], within: Connection | None = None
    ) -> set[tuple[str, str]]:
        """Return (delivery, publish hour) of files whose copy of an event of this file loses now.

        `index` is called for the file's own index if there are later files. The hours need a new build: mark them
        unbuilt, so that a crash before the build does not leave a doubled event. Only hours with a file whose event
        times overlap are read. In a transaction of the caller, only indexes that came since the last call are read.
        """
        if not record.events:
            return set()
        settings = self._settings
        last = str(PublishHour.parse(record.publish_hour).plus(24 * settings.horizon_days))
        later: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
        times = time_range([record])
        for hour, name, delivery, uri in LakeFiles(self._ledger, settings.lake).list_overlapping_indexes(
            record.publish_hour, last, times, within
        ):
            if Rank(hour, name, delivery) > record.rank:
                later[delivery, hour][name] = uri
        if not later:
            return set()
        mine = usable_keys(index()).keys
        return {
            place for place, uris in later.items() if self._keys_of(place, uris, keep=within is not None).shares(mine)
        }

    def _keys_of(self, place: tuple[str, str], uris: dict[str, str], *, keep: bool) -> _HourKeys:
        if not keep and sum(hour.keys.nbytes for hour in self._hours.values()) > _CACHED_BYTES:
            self._hours.clear()
        hour = self._hours.setdefault(place, _HourKeys())
        missing = {name: uri for name, uri in uris.items() if name not in hour.names}
        if missing:
            hour.add(missing)
        return hour
