"""Publish a few hours of events up to now, and a whole yesterday, with every kind of damage."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from pismo_demo.options import Options
    from pismo_sandbox.feed.publisher import Sink

_STEP = timedelta(minutes=5)
_DAY_MEGABYTES = 4.0


@dataclass(frozen=True, slots=True)
class Published:
    """The content of the bucket; `copies` also counts duplicates, and `day` is a day that is there as a whole."""

    start: datetime
    end: datetime
    files: int
    bytes: int
    copies: int
    events: int
    rejects: int
    day: date | None = None


def window(now: datetime, hours: int) -> tuple[datetime, datetime]:
    """Return the last hours, up to the last full five minutes."""
    end = datetime.fromtimestamp(now.timestamp() // _STEP.total_seconds() * _STEP.total_seconds(), UTC)
    return end - timedelta(hours=hours), end


def publish(options: Options, sink: Sink, truth_file: Path, *, whole_day: bool = False) -> Published:
    """Publish events to the channel's sink, and record them in the truth file.

    With `whole_day`, it publishes a small yesterday first, from its first to its last hour.
    """
    from pismo_sandbox.check.truth import Truth
    from pismo_sandbox.feed.publisher import Dials, Publisher
    from pismo_sandbox.s3.notices import AnnouncingSink

    now = datetime.now(UTC)
    start, end = window(now, options.hours)
    yesterday = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    truth = Truth(truth_file)
    try:
        if whole_day:
            # events of its own: a copy in an earlier hour would win, and the close would build the last hours again
            earlier = Publisher(sink, truth, seed=options.seed + 1, dials=Dials.everything())
            # the last hours may be hours of yesterday too
            hours = [hour for n in range(24) if (hour := yesterday + timedelta(hours=n)) < start]
            for hour in hours:
                earlier.publish(hour, hour + _STEP, int(_DAY_MEGABYTES * 1_000_000 / len(hours)))
        publisher = Publisher(sink, truth, seed=options.seed, dials=Dials.everything())
        publisher.publish(start, end, int(options.megabytes * 1_000_000))
        if isinstance(sink, AnnouncingSink):
            sink.announce()
            sink.close()
        totals = truth.totals()
    finally:
        truth.close()
    counts = {name: totals[name] for name in ("files", "bytes", "copies", "events", "rejects")}
    return Published(start, end, **counts, day=yesterday.date() if whole_day else None)
