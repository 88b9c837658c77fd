"""List the changes of builds in the lake, small enough for a message, and without payload values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pismo_lake.ledger.builds import BuildLedger, builds_of_run

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pismo_lake.hours import PublishDay
    from pismo_lake.ledger import Ledger
    from pismo_lake.ledger.builds import PartRecord
    from pismo_lake.settings.lake import LakeSettings

MOST_NAMES = 100
"""The most units, tables or dates that a message lists."""

_EVENT_DATE = re.compile(r"^events/.*/event_date=(\d{4}-\d{2}-\d{2})/")


@dataclass(frozen=True, slots=True)
class Changes:
    """The units that were built, with the rows of each event type and the event dates in them."""

    units: tuple[str, ...]
    tables: dict[str, int]
    dates: tuple[str, ...]
    files: int
    events: int
    rows: int

    def to_json(self) -> dict[str, Any]:
        """Return the changes as plain values, of a bounded size; `left_out` counts names that did not fit."""
        tables = sorted(self.tables)
        lists = {"units": self.units, "tables": tables, "event_dates": self.dates}
        kept = {name: list(values[-MOST_NAMES:]) for name, values in lists.items()}
        left_out = {name: len(values) - MOST_NAMES for name, values in lists.items() if len(values) > MOST_NAMES}
        return {"rows": self.rows, "events": self.events, "files": self.files, **kept, "left_out": left_out}


def changes_of_run(settings: LakeSettings, ledger: Ledger, run: str, units: Sequence[str] | None = None) -> Changes:
    """Return the changes that one run made, in some units or all; `run` as the ledger records it."""
    built = builds_of_run(ledger, settings.lake, settings.delivery, run)
    return _changes((unit, part) for unit, part in built if units is None or unit in units)


def changes_of_day(settings: LakeSettings, ledger: Ledger, day: PublishDay) -> Changes:
    """Return the present content of a closed day."""
    parts = BuildLedger(ledger, settings.lake, settings.delivery, str(day)).parts()
    return _changes([(str(day), part) for part in parts])


def _changes(parts: Iterable[tuple[str, PartRecord]]) -> Changes:
    units, tables, dates = set(), dict[str, int](), set()
    files = events = rows = 0
    for unit, part in parts:
        if not part.outputs and not part.counts:
            continue
        units.add(unit)
        dates |= {found[1] for path in part.outputs if (found := _EVENT_DATE.match(path))}
        for name, counts in part.counts.get("by_type", {}).items():
            tables[name] = tables.get(name, 0) + counts.get("rows", 0)
        files += part.counts.get("files", 0)
        events += part.counts.get("events", 0)
        rows += part.counts.get("rows", 0)
    return Changes(tuple(sorted(units)), tables, tuple(sorted(dates)), files, events, rows)
