"""Find the copies of an event in a delivery, with bounded work: places, never payloads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pismo_lake.events.find import Bounds, find_event
from pismo_lake.hours import PublishDay

if TYPE_CHECKING:
    from pismo_lake.events.find import Place
    from pismo_lake.ledger import Ledger
    from pismo_lake.settings.lake import LakeSettings

MOST_DAYS = 31
"""The most publish days of one search."""
MOST_INDEXES = 500
"""The most indexes of files that no close has taken; each of them is read."""
LONGEST_ID = 200


@dataclass(frozen=True, slots=True)
class EventSearch:
    """The copies of an event in the publish days `[first, last]`; `skipped` files were not searched."""

    event_id: str
    first: str
    last: str
    places: tuple[Place, ...]
    skipped: int


def find_copies(settings: LakeSettings, ledger: Ledger, event_id: str, first: str, last: str) -> EventSearch:
    """Return the copies of an event in the landed files of the delivery.

    Raises:
        ValueError: the days are no days, or too many.
    """
    start, end = PublishDay.parse(first), PublishDay.parse(last)
    if not 0 <= (end.start - start.start).days < MOST_DAYS:
        msg = f"{first} to {last}: give 1 to {MOST_DAYS} days"
        raise ValueError(msg)
    bounds = Bounds(settings.delivery, first, last, MOST_INDEXES)
    places = find_event(settings, ledger, event_id[:LONGEST_ID], bounds)
    return EventSearch(event_id, first, last, tuple(places), bounds.skipped)
