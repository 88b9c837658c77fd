"""Make the environment of the templates: escaping on, and the filters that all pages share."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pismo_lake.html import charts, words

HERE = Path(__file__).parent
MOST_LINES = 200
"""The most lines of a table, which says how many more there are."""


def environment(*folders: Path) -> Environment:
    """Return an environment that finds templates in folders, and the shared ones after them."""
    made = Environment(
        loader=FileSystemLoader([*folders, HERE]), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    made.filters |= {
        "count": words.count_text,
        "size": words.bytes_text,
        "duration": words.duration_text,
        "moment": words.moment_text,
        "hour": words.hour_text,
        "day": words.day_text,
    }
    made.globals |= {"meter": charts.meter, "most": MOST_LINES}
    return made
