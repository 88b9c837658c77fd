"""Write the state of each delivery as metrics in the text format of Prometheus."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pismo_lake.hours import PublishHour
from pismo_lake.ledger.state import delivery_backlog
from pismo_lake.report.model import DayVerdict
from pismo_lake.report.status import OPEN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from pismo_lake.ledger import Ledger
    from pismo_lake.report.status import DeliveryStatus

METRICS = {
    "pismo_lag_seconds": "Seconds since the newest publish hour in the lake began.",
    "pismo_landed_files": "Files that are landed.",
    "pismo_backlog_files": "Files that are announced, listed or landed, and not in the lake yet.",
    "pismo_backlog_bytes": "Bytes of the landed files that are not in the lake yet.",
    "pismo_recent_verdicts": "Publish days among the last ones, by verdict.",
}
"""Each metric, a gauge, with its meaning."""
_VERDICTS = (*(verdict.value for verdict in DayVerdict), OPEN)


def prometheus_text(found: Sequence[DeliveryStatus], ledger: Ledger, lake: str, now: datetime) -> str:
    """Return the metrics of all deliveries, for a scrape or the textfile collector of the node exporter."""
    values: dict[str, list[tuple[dict[str, str], int]]] = {name: [] for name in METRICS}
    for one in found:
        for name, labels, value in _values(one, ledger, lake, now):
            values[name].append(({"delivery": one.state.delivery, **labels}, value))
    return "".join(line for name, samples in values.items() if samples for line in _lines(name, samples))


def _values(one: DeliveryStatus, ledger: Ledger, lake: str, now: datetime) -> Iterator[tuple[str, dict[str, str], int]]:
    """Yield name, labels and value of each metric of a delivery."""
    backlog = delivery_backlog(ledger, lake, one.state.delivery)
    if backlog.newest_hour:
        yield "pismo_lag_seconds", {}, round((now - PublishHour.parse(backlog.newest_hour).start).total_seconds())
    yield "pismo_landed_files", {}, one.state.files
    yield "pismo_backlog_files", {}, backlog.files
    yield "pismo_backlog_bytes", {}, backlog.bytes
    verdicts = Counter(day.verdict for day in one.days)
    for verdict in _VERDICTS:
        yield "pismo_recent_verdicts", {"verdict": verdict.replace(" ", "_")}, verdicts[verdict]


def _lines(name: str, samples: Sequence[tuple[dict[str, str], int]]) -> Iterator[str]:
    yield f"# HELP {name} {METRICS[name]}\n# TYPE {name} gauge\n"
    for labels, value in samples:
        shown = ",".join(f'{label}="{_escape(text)}"' for label, text in labels.items())
        yield f"{name}{{{shown}}} {value}\n"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
