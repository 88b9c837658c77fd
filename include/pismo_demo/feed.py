"""Publish a few hours of events up to now, with every kind of damage."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from pismo_demo.options import Options
    from pismo_sandbox.feed.publisher import Sink

_STEP = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Published:
    """The content of the bucket; `copies` also counts duplicates."""

    start: datetime
    end: datetime
    files: int
    bytes: int
    copies: int
    events: int
    rejects: int


def window(now: datetime, hours: int) -> tuple[datetime, datetime]:
    """Return the last hours, up to the last full five minutes."""
    end = datetime.fromtimestamp(now.timestamp() // _STEP.total_seconds() * _STEP.total_seconds(), UTC)
    return end - timedelta(hours=hours), end


def publish(options: Options, sink: Sink, truth_file: Path) -> Published:
    """Publish events to the channel's sink, and record them in the truth file."""
    from pismo_sandbox.check.truth import Truth
    from pismo_sandbox.feed.publisher import Dials, Publisher
    from pismo_sandbox.s3.notices import AnnouncingSink

    start, end = window(datetime.now(UTC), options.hours)
    truth = Truth(truth_file)
    try:
        publisher = Publisher(sink, truth, seed=options.seed, dials=Dials.everything())
        publisher.publish(start, end, int(options.megabytes * 1_000_000))
        if isinstance(sink, AnnouncingSink):
            sink.announce()
            sink.close()
        totals = truth.totals()
    finally:
        truth.close()
    return Published(start, end, **{name: totals[name] for name in ("files", "bytes", "copies", "events", "rejects")})
