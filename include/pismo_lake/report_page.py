"""The day report as one page for people: self-contained, printable, readable by day and by night."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from pismo_lake.report_plots import plots

if TYPE_CHECKING:
    from pismo_lake.day_report import DayReport

MOST_LINES = 200
"""A table of the page shows so many lines and says how many more there are; JSON has them all."""


def page(report: DayReport) -> str:
    """One HTML document; keys and event types in it are text from outside and are escaped."""
    # the SVG's own texts are escaped by its writer
    figures = {title: Markup(svg) for title, svg in plots(report).items()}  # noqa: S704
    return _template().render(report=report, plots=figures, most=MOST_LINES)


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["count"] = lambda value: f"{value:,}"
    environment.filters["megabytes"] = lambda value: f"{value / 1e6:,.1f} MB"
    environment.filters["seconds"] = lambda value: "-" if value is None else f"{value:,.1f} s"
    return environment.get_template("report_page.html.j2")
