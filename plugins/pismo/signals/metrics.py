"""Publish metrics through Airflow: OpenTelemetry, StatsD or Datadog, whichever it is set to.

A metric only says something about work that is done. So nothing here raises, and nothing waits for a sink: Airflow
sends in the background. Names are fixed; tags have few values.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pismo_lake.contracts.recorded import count_changes
from pismo_lake.hours import PublishHour
from pismo_lake.ledger import FileLedger
from pismo_lake.ledger.builds import BuildLedger
from pismo_lake.ledger.days import PART
from pismo_lake.ledger.state import delivery_backlog
from pismo_lake.report.model import DayVerdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence, Set

    from pismo_lake.build.summary import BuildSummary
    from pismo_lake.ledger import Ledger
    from pismo_lake.report.model import DayReport
    from pismo_lake.settings.deliveries import Delivery

_LOG = logging.getLogger(__name__)

COUNTERS = ("files", "bytes", "events", "rows", "duplicates", "conflicts", "rejects", "rescued", "erased")
"""The counts of a build that are metrics, each with the prefix ``pismo.``."""
STEPS = ("land", "index", "flatten", "close")
"""The steps whose seconds are metrics."""
GAUGES = ("lag", "backlog_files", "backlog_bytes", "day_complete", "missing_files", "gap_hours")
"""The states that are metrics."""
NAMES = frozenset({*COUNTERS, *STEPS, *GAUGES, "freshness", "day_verdicts", "contract_changes"})
"""Every metric, without the prefix."""


@contextmanager
def time_step(delivery: str, step: str) -> Iterator[None]:
    """Publish the seconds of a step after it has succeeded."""
    started = time.monotonic()
    yield
    with _harmless():
        _stats().timing(f"pismo.{step}", timedelta(seconds=time.monotonic() - started), tags={"delivery": delivery})


def find_fresh(delivery: Delivery, ledger: Ledger, unit: str, parts: Set[int] | None = None) -> list[datetime]:
    """Return the publish times of files that the next build of a unit, or of some parts, makes visible first.

    Files that an earlier build has taken, and that wait only to be built again, are left out.
    """
    found: list[datetime] = []
    with _harmless():
        known: dict[str, dict[int, str]] = {}
        for file in FileLedger(ledger, delivery.lake, delivery.name).unbuilt_of(unit):
            if file.unit not in known:
                records = BuildLedger(ledger, delivery.lake, delivery.name, file.unit).parts()
                known[file.unit] = {record.part: record.built_at or "" for record in records}
            built_at = known[file.unit].get(PART if file.closed else file.part, "")
            # the ledger's times are whole seconds
            is_new = file.landed_at > built_at or (file.landed_at == built_at and not file.touched)
            if file.published_at and is_new and (parts is None or file.part in parts):
                found.append(datetime.fromisoformat(file.published_at))
    return found


def publish_build(delivery: Delivery, built: BuildSummary, fresh: Sequence[datetime]) -> None:
    """Publish the counts of the parts that a build wrote, and how old its fresh files are now.

    Call it after the build is recorded. A retry finds unchanged parts and writes none, so it counts nothing.
    """
    if not built.parts_built:
        return
    tags, now = {"delivery": delivery.name}, datetime.now(UTC)
    with _harmless():
        for name in COUNTERS:
            if built.written[name]:
                _stats().incr(f"pismo.{name}", built.written[name], tags=tags)
        for published in fresh:
            _stats().timing("pismo.freshness", now - published, tags=tags)


def publish_backlog(delivery: Delivery, ledger: Ledger) -> None:
    """Publish lag and backlog, also if nothing new has come."""
    tags = {"delivery": delivery.name}
    with _harmless():
        backlog = delivery_backlog(ledger, delivery.lake, delivery.name)
        if backlog.newest_hour:
            lag = datetime.now(UTC) - PublishHour.parse(backlog.newest_hour).start
            _stats().gauge("pismo.lag", int(lag.total_seconds()), tags=tags)
        _stats().gauge("pismo.backlog_files", backlog.files, tags=tags)
        _stats().gauge("pismo.backlog_bytes", backlog.bytes, tags=tags)


def publish_day(report: DayReport) -> None:
    """Publish the verdict on a closed day; a day without files is neither complete nor incomplete."""
    tags = {"delivery": report.delivery}
    with _harmless():
        _stats().incr("pismo.day_verdicts", 1, tags=tags | {"verdict": report.verdict.value.replace(" ", "_")})
        if report.verdict is not DayVerdict.NO_FILES:
            _stats().gauge("pismo.day_complete", int(report.complete), tags=tags)
        _stats().gauge("pismo.missing_files", len(report.open_files), tags=tags)
        _stats().gauge("pismo.gap_hours", len(report.gaps), tags=tags)


def publish_changes(delivery: Delivery, ledger: Ledger, names: Sequence[str]) -> dict[str, dict[str, int]]:
    """Publish the contract changes that files have made; return their number by event type and kind."""
    changes: dict[str, dict[str, int]] = {}
    with _harmless():
        changes = count_changes(ledger, delivery.lake, names)
        total: Counter[str] = Counter()
        for kinds in changes.values():
            total.update(kinds)
        for kind, count in sorted(total.items()):
            _stats().incr("pismo.contract_changes", count, tags={"delivery": delivery.name, "kind": kind})
    return changes


@contextmanager
def _harmless() -> Iterator[None]:
    """Log an error and go on; the kind alone, because its text may name a sink with its key."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - a metric must not fail the work that it is about
        _LOG.warning("a metric could not be published: %s", type(error).__name__)


def _stats() -> Any:
    from airflow.sdk.observability import stats

    return stats
