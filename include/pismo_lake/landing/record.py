"""Record landed files in the ledger, several at a time, and count them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pismo_lake.hours import NO_HOUR
from pismo_lake.progress import size_text

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable
    from typing import Self

    from pismo_lake.landing.lander import Landed
    from pismo_lake.ledger.binding import LakeBinding
    from pismo_lake.ledger.raw_files import RawLedger

_PROGRESS_SECONDS = 10.0
_NOTED_TOGETHER, _NOTED_SECONDS = 100, 1.0


@dataclass(frozen=True, slots=True)
class LandSummary:
    """The result of a landing.

    `skipped` files were in landing before. The `publish_hours` of the others wait for an index.
    """

    files: int
    skipped: int
    bytes: int
    publish_hours: tuple[str, ...]


def add_summaries(summaries: Iterable[LandSummary]) -> LandSummary:
    """Add the summaries of several landings."""
    every = list(summaries)
    hours = {hour for summary in every for hour in summary.publish_hours}
    return LandSummary(
        sum(summary.files for summary in every),
        sum(summary.skipped for summary in every),
        sum(summary.bytes for summary in every),
        tuple(sorted(hours)),
    )


class LandingRecord:
    """Records landed files, and logs the progress."""

    def __init__(self, raws: RawLedger, binding: LakeBinding, total: int, log: logging.Logger) -> None:
        self._raws, self._binding, self._total, self._log = raws, binding, total, log
        self._hours: set[str] = set()
        self._unnoted: list[Landed] = []
        self._started = self._logged = self._noted = time.monotonic()
        self._files = self._skipped = self._bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.note()

    def take(self, landed: Landed, failed: int) -> None:
        """Record files in the ledger, several at a time; after a kill, the next run finds the rest."""
        self._unnoted.append(landed)
        if len(self._unnoted) >= _NOTED_TOGETHER or time.monotonic() - self._noted > _NOTED_SECONDS:
            self.note()
        if time.monotonic() - self._logged > _PROGRESS_SECONDS:
            self._logged = time.monotonic()
            self.log_progress(failed)

    def note(self) -> None:
        """Record the files that are landed and not yet noted."""
        landed, self._unnoted, self._noted = self._unnoted, [], time.monotonic()
        noted = [raw for one in landed for raw in one.raws]
        if noted:
            # not earlier: a landing without files must not create a lake
            self._binding.bind()
            self._raws.note(noted)
        known = {one.same.name: (one.file.key, one.file.etag) for one in landed if one.same is not None}
        if known:
            self._raws.touch(known)
        self._hours.update(raw.publish_hour for raw in noted)
        self._skipped += len(known)
        self._files += len(landed) - len(known)
        self._bytes += sum(one.size for one in landed)

    def log_progress(self, failed: int) -> None:
        """Log a line of progress."""
        speed = size_text(self._bytes / max(time.monotonic() - self._started, 1e-6))
        done = self._files + self._skipped + failed
        self._log.info(
            "landing: %d of %d files, %s, %s/s, %d to go",
            done, self._total, size_text(self._bytes), speed, max(self._total - done, 0),
        )  # fmt: skip

    def summary(self) -> LandSummary:
        """Return the summary of the files landed so far."""
        return LandSummary(self._files, self._skipped, self._bytes, tuple(sorted(self._hours - {NO_HOUR})))
