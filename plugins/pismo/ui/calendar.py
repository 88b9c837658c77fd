"""Arrange publish days as a calendar: a column for each week, a row for each weekday."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pismo_lake.hours import PublishDay
from pismo_lake.html.words import count_text, day_text
from pismo_lake.report.status import OPEN, UNREPORTED

if TYPE_CHECKING:
    from pismo_lake.report.status import DayStatus
    from pismo_lake.state import Overview

SIGNS = {
    "complete": ("✓", "good"), "incomplete": ("✕", "bad"), "no files": ("\N{EN DASH}", "no"), OPEN: ("○", "open"),
    UNREPORTED: ("?", "warn"),
}  # fmt: skip
"""The sign and the colour of each verdict."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A day: its sign, its colour, and the sentence that a screen reader reads. An earlier day has no sign."""

    day: str
    sign: str
    color: str
    label: str


@dataclass(frozen=True, slots=True)
class Week:
    """A week: the month that begins in it, or an empty text, and seven days, with None outside the calendar."""

    month: str
    cells: tuple[Cell | None, ...]


def weeks_of(overview: Overview) -> list[Week]:
    """Return the weeks of a calendar, the oldest first."""
    cells = {day.publish_date: _cell(day, overview.first_day) for day in overview.days}
    if not cells:
        return []
    first, last = PublishDay.parse(min(cells)), PublishDay.parse(max(cells))
    monday = first.hours[0].plus(-24 * first.start.weekday())
    weeks, month = [], ""
    while monday <= last.hours[0]:
        days = [str(monday.plus(24 * number))[:10] for number in range(7)]
        inside = [day for day in days if day in cells]
        name = f"{PublishDay.parse(inside[-1]).start:%b}"
        weeks.append(Week("" if name == month else name, tuple(cells.get(day) for day in days)))
        month, monday = name, monday.plus(24 * 7)
    return weeks


def _cell(day: DayStatus, first_day: str | None) -> Cell:
    if first_day is None or day.publish_date < first_day:
        return Cell(day.publish_date, "", "before", f"{day_text(day.publish_date)}: before the first file")
    sign, color = SIGNS.get(day.verdict, ("?", "warn"))
    files = f", {count_text(day.files)} files" if day.files else ""
    return Cell(day.publish_date, sign, color, f"{day_text(day.publish_date)}: {day.verdict}{files}")
