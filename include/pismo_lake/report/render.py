"""Make the page of a day report: one HTML document without a script, with stable bytes."""

from __future__ import annotations

from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pismo_lake.html.charts import Series, Shade, bars, legend
from pismo_lake.html.render import environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from jinja2 import Template
    from markupsafe import Markup

    from pismo_lake.report.model import DayReport, DriftLine, SilentHour, TypeLine

FOLDER = Path(__file__).parent
"""The folder of the templates `page.html.j2` and `parts.html.j2`."""
_EVERY = 2
_SHOWN_TYPES = 12


def page(report: DayReport) -> str:
    """Return the report as an HTML document; keys and event types are escaped."""
    return _template().render(report=report, plots=plots(report))


def plots(report: DayReport) -> dict[str, Markup]:
    """Return the charts of a day by name."""
    labels = [hour.publish_hour[-2:] for hour in report.hours]
    silent = {hour.publish_hour: hour for hour in report.silent_hours}
    shades = [
        Shade(place, f"{labels[place]}: {silent[hour.publish_hour].verdict}", _color(silent[hour.publish_hour]))
        for place, hour in enumerate(report.hours)
        if hour.publish_hour in silent
    ]
    troubles = (
        Series("duplicates", [hour.duplicates for hour in report.hours], "warn"),
        Series("rejects", [hour.rejects for hour in report.hours], "bad"),
    )
    return {
        "files": bars(labels, [Series("files", [hour.files for hour in report.hours])], shades, every=_EVERY),
        "events": bars(labels, [Series("events", [hour.events for hour in report.hours])], shades, every=_EVERY),
        "troubles": legend(troubles) + bars(labels, troubles, every=_EVERY),
    }


def _color(hour: SilentHour) -> str:
    return {"gap": "bad", "suspect": "warn"}.get(hour.verdict, "no")


def group_silent_hours(report: DayReport) -> list[tuple[str, str, int, str, str]]:
    """Return (first, last, number, verdict, evidence) of hours without files; equal neighbours are one line."""
    lines = []
    for (verdict, evidence, _), hours in groupby(enumerate(report.silent_hours), _same_silence):
        names = [hour.publish_hour for _, hour in hours]
        lines.append((names[0], names[-1], len(names), verdict, evidence))
    return lines


def _same_silence(numbered: tuple[int, SilentHour]) -> tuple[str, str, int]:
    number, hour = numbered
    # only hours in a row make one line: for them, the number of the hour grows as the place in the list does
    return hour.verdict, hour.evidence, int(hour.publish_hour[-2:]) - number


def group_changes(report: DayReport) -> list[tuple[str, bool, list[DriftLine]]]:
    """Return (event type, whether it is new, changes) of a day, by event type; known types come first."""
    found: dict[str, list[DriftLine]] = {}
    for line in report.drift:
        found.setdefault(line.event_type, []).append(line)
    lines = [(name, _is_new(changes), changes) for name, changes in found.items()]
    return sorted(lines, key=lambda line: (line[1], line[0]))


def _is_new(changes: Iterable[DriftLine]) -> bool:
    return all(line.before in _NOTHING for line in changes)


_NOTHING = frozenset({"", "-", "null", "new"})
"""The kinds of a path before its first value."""


def split_types(report: DayReport) -> list[Sequence[TypeLine]]:
    """Return the event types with the most events, and the others if there are any."""
    ordered = sorted(report.types, key=lambda line: (-line.events, line.name))
    return [part for part in (ordered[:_SHOWN_TYPES], ordered[_SHOWN_TYPES:]) if part]


HELPERS: dict[str, Any] = {"silent": group_silent_hours, "changes": group_changes, "by_events": split_types}
"""The functions that `parts.html.j2` calls."""


@lru_cache(maxsize=1)
def _template() -> Template:
    made = environment(FOLDER)
    made.globals |= HELPERS
    return made.get_template("page.html.j2")
