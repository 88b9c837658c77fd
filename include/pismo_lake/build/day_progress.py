"""Show and log how much of a closing day is read."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pismo_lake.progress import size_text

if TYPE_CHECKING:
    import logging
    from collections.abc import Sequence

    from pismo_lake.build.day_plan import DayPlan
    from pismo_lake.ledger import FileRecord
    from pismo_lake.progress import Progress

_SECONDS = 10.0


class DayProgress:
    """Shows each chunk, or each of several groups, and logs every ten seconds."""

    def __init__(
        self, label: str, day: str, plan: DayPlan, log: logging.Logger, shown: Progress, groups: int = 1
    ) -> None:  # fmt: skip
        self._label, self._log, self._shown = label, log, shown
        self._files, self._bytes, self._groups = len(plan.files), plan.bytes, groups
        self._done = self._group = 0
        self._started = self._logged = time.monotonic()
        shown.start(f"closing {day}", self._files, self._bytes)

    def add(self, chunk: Sequence[FileRecord]) -> None:
        """Count the files of a chunk that is read now."""
        size = sum(record.plain_size for record in chunk)
        self._shown.advance(len(chunk), size)
        self._add(size)

    def add_group(self) -> None:
        """Count a group: an equal share of the files."""
        first, last = self._group, self._group + 1
        self._group = last
        totals = (self._files, self._bytes)
        files, size = (total * last // self._groups - total * first // self._groups for total in totals)
        self._shown.advance(files, size)
        self._add(size)

    def _add(self, size: int) -> None:
        self._done += size
        if time.monotonic() - self._logged <= _SECONDS:
            return
        self._logged = time.monotonic()
        rate = size_text(self._done / (self._logged - self._started))
        self._log.info("%s: %s of %s, %s/s", self._label, size_text(self._done), size_text(self._bytes), rate)
