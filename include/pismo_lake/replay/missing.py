"""Find the events that a consumer has not seen, by type and hour."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pismo_lake.replay.plan import count_waiting, hours_of
from pismo_lake.replay.scan import choose

if TYPE_CHECKING:
    from pismo_lake.ledger import Ledger
    from pismo_lake.replay.selection import Selection
    from pismo_lake.settings.lake import LakeSettings


@dataclass(slots=True)
class MissingGroup:
    """The events of a type in an hour: all of them, and the ids of those that the consumer has not seen."""

    events: int = 0
    ids: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Missing:
    """The comparison of a range with the ids that a consumer has.

    `groups` are by (hour, event type). `waiting` files have landed and have no index yet.
    """

    groups: dict[tuple[str, str], MissingGroup]
    events: int
    missing: int
    waiting: int


def find_missing(settings: LakeSettings, ledger: Ledger, selection: Selection) -> Missing:
    """Compare the events of a selection with its seen ids; each event counts once, erased ones not at all."""
    groups: dict[tuple[str, str], MissingGroup] = {}
    for chosen in choose(settings, ledger, selection):
        ids = chosen.table.column("event_id").to_pylist()
        for hour, kind, event_id, missing in zip(
            hours_of(chosen, selection), chosen.type_of, ids, chosen.wanted, strict=True
        ):
            group = groups.setdefault((hour, chosen.types[kind]), MissingGroup())
            group.events += 1
            if missing:
                group.ids.append(event_id)
    ordered = dict(sorted(groups.items()))
    events = sum(group.events for group in ordered.values())
    missing_ids = sum(len(group.ids) for group in ordered.values())
    return Missing(ordered, events, missing_ids, count_waiting(settings, ledger, selection))
