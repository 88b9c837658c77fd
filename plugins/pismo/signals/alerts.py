"""Send alerts about the findings of landing, indexing and closing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pismo.notifications import Alert
from pismo_lake.report.model import DayVerdict
from pismo_lake.settings.alerts import AlertEvent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pismo.runs.failures import FailedFile
    from pismo.runs.land import Landed
    from pismo_lake.report.model import DayReport
    from pismo_lake.schemas import Pull
    from pismo_lake.settings.deliveries import Delivery

_SHOWN = 20


def alert_day(report: DayReport, place: str) -> Alert | None:
    """Return the alert about a closed day; None if the day is complete."""
    details = f"{report}\n{place}"
    match report.verdict:
        case DayVerdict.COMPLETE:
            return None
        case DayVerdict.INCOMPLETE:
            about = f"{report.publish_date} is closed and incomplete"
            return Alert(AlertEvent.INCOMPLETE, report.delivery, about, details)
        case DayVerdict.NO_FILES if report.ever:
            return Alert(AlertEvent.NO_FILES, report.delivery, f"{report.publish_date} has no files", details)
        case DayVerdict.NO_FILES:
            return Alert(AlertEvent.NEVER_A_FILE, report.delivery, "no event file has ever arrived", details)


def alert_contracts(delivery: Delivery, changes: Mapping[str, Mapping[str, int]]) -> Alert:
    """Return the alert about changes of contracts, from their number by event type and kind."""
    lines = [
        f"{event_type}: {', '.join(f'{count} {kind}' for kind, count in sorted(kinds.items()))}"
        for event_type, kinds in sorted(changes.items())
    ]
    about = f"{len(lines)} event type(s) changed"
    return Alert(AlertEvent.CONTRACT_CHANGE, delivery.name, about, _shorten(lines))


def alert_schemas(delivery: str, pulled: Pull) -> Alert:
    """Return the alert about the schemas of a pull that are news, those that were not applied first."""
    news = sorted(pulled.news, key=lambda schema: schema.fate == "written")
    lines = [line for schema in news for line in (str(schema), *(f"  {meaning}" for meaning in schema.meanings()))]
    return Alert(
        AlertEvent.CONTRACT_CHANGE, delivery, f"{len(news)} schema(s) changed", _shorten([str(pulled), *lines])
    )


def alerts_of_landing(delivery: Delivery, landed: Landed, failed: Sequence[FailedFile]) -> Iterator[Alert]:
    """Yield an alert if files are quarantined now, and one if notices stay in their queue."""
    lost = [file for file in failed if file.quarantined]
    if lost:
        about = f"{len(lost)} file(s) are quarantined"
        yield Alert(AlertEvent.QUARANTINED, delivery.name, about, _shorten([f"{file.key}: {file}" for file in lost]))
    notices = delivery.notices
    taken = landed.counts.get("notices")
    if notices is None or taken is None:
        return
    reasons = []
    if taken["bad"]:
        reasons.append(f"{taken['bad']} message(s) cannot be read, or are of another delivery")
    if taken["messages"] >= notices.most:
        reasons.append(f"the run took {taken['messages']} messages, and takes no more at once")
    if notices.queue in landed.failures:
        reasons.append("messages of landed files could not be deleted")
    if reasons:
        details = f"{notices.queue}: {'; '.join(reasons)}"
        yield Alert(AlertEvent.NOTICES_LEFT, delivery.name, "notices stay in their queue", details)


def _shorten(lines: Sequence[str]) -> str:
    """Return the first lines, and the number of the others."""
    more = [f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return "\n".join([*lines[:_SHOWN], *more])
