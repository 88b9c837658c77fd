"""Find all events of a person: by rows of the lake, by landed raw files, by ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pismo_lake.events.find_landed import search_landed
from pismo_lake.events.find_rows import Found, find_copies, refuse_unknown, search_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pismo_lake.events.find_rows import Blind, Condition
    from pismo_lake.ledger import Ledger
    from pismo_lake.settings.lake import LakeSettings


@dataclass(frozen=True, slots=True)
class Person:
    """The events of a person.

    `blind` are columns of files that may hold the person, but in which no search can find them. `by_landing` are such
    columns too, but all their rows were searched in landing.
    """

    events: tuple[Found, ...]
    blind: tuple[Blind, ...]
    by_landing: tuple[Blind, ...]


def find_person(
    settings: LakeSettings, ledger: Ledger, conditions: Sequence[Condition], event_ids: Iterable[str] = ()
) -> Person:
    """Return the events that meet any condition (column, value), or have one of the ids.

    Raises:
        ConfigError: Neither a row nor a raw file has a column, or a key of the policy is missing or wrong.
    """
    wanted = set(event_ids)
    rows = search_rows(settings, conditions, wanted)
    landed = search_landed(settings, ledger, conditions)
    refuse_unknown(conditions, rows.columns | landed.columns, rows.present)
    found = landed.events | rows.events
    # also without a row: erased before, and still in landing
    copies = find_copies(settings, ledger, wanted - {event.event_id for event in found.values()})
    found |= {(event.org_id, event.event_id): event for event in copies}
    seen = [blind for blind in rows.blind if blind.sources and landed.searched.issuperset(blind.sources)]
    blind = tuple(blind for blind in rows.blind if blind not in seen)
    return Person(
        tuple(found[key] for key in sorted(found, key=lambda key: (key[1], key[0] or ""))), blind, tuple(seen)
    )
