"""Draw the day report's plots as inline SVG: no script, no font file, stable bytes."""

from __future__ import annotations

import io
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from pismo_lake.report.model import DayReport

_BLUE, _GREY, _RED, _AMBER, _INK = "#3b6ea5", "#9aa5b1", "#b5443c", "#c98a1b", "#5b6673"
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "pismo_lake",
    "svg.fonttype": "none",
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.edgecolor": _GREY,
    "axes.labelcolor": _INK,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    # names come from outside: a dollar sign in a name is no formula
    "text.parse_math": False,
}
_METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
_MOST_TYPES = 25
_SPREAD = 100


def plots(report: DayReport) -> dict[str, str]:
    """Return the title and SVG of each plot, in the page's order."""
    with mpl.rc_context(_STYLE):
        return {
            "Files and events by publish hour": _by_hour(report),
            "Lateness of events": _lateness(report),
            "Events by type": _by_type(report),
            "Duplicates and rejects by publish hour": _troubles(report),
            "Rejects by reason": _reasons(report),
        }


def _svg(figure: Figure) -> str:
    sink = io.StringIO()
    figure.savefig(sink, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = sink.getvalue()
    # only the element: a page must not contain the declaration and the DTD's address
    text = _METADATA.sub("", text[text.index("<svg") :])
    return text.replace('width="', 'data-width="', 1).replace('height="', 'data-height="', 1)


def _format_counts(axes: Axes, *, horizontal: bool = False) -> None:
    axis = axes.xaxis if horizontal else axes.yaxis
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    if axis.get_scale() != "log":
        axis.set_major_locator(MaxNLocator(nbins=5, integer=True, min_n_ticks=1))
    axes.grid(axis="x" if horizontal else "y", color=_GREY, alpha=0.3, linewidth=0.6)
    axes.set_axisbelow(True)


def _hours(axes: Axes) -> None:
    axes.set_xticks(range(0, 24, 2), [f"{hour:02d}" for hour in range(0, 24, 2)])
    axes.set_xlim(-0.6, 23.6)


def _by_hour(report: DayReport) -> str:
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    silent = {hour.publish_hour: hour.verdict for hour in report.silent_hours}
    for axes, metric, label in ((upper, "files", "files"), (lower, "events", "events")):
        axes.bar(range(len(report.hours)), [getattr(hour, metric) for hour in report.hours], color=_BLUE)
        axes.set_ylabel(label)
        _format_counts(axes)
        _hours(axes)
        for place, hour in enumerate(report.hours):
            verdict = silent.get(hour.publish_hour)
            if verdict:
                color = {"gap": _RED, "suspect": _AMBER}.get(verdict, _GREY)
                axes.axvspan(place - 0.5, place + 0.5, color=color, alpha=0.25, linewidth=0)
    return _svg(figure)


def _bars(labels: Sequence[str], counts: Sequence[int], *, rotated: bool = False) -> str:
    figure = Figure(figsize=(10, 2.6), layout="constrained")
    axes = figure.subplots()
    axes.bar(range(len(labels)), counts, color=_BLUE)
    if _spread(counts):
        axes.set_yscale("log")
    axes.set_xticks(range(len(labels)), labels, rotation=20 if rotated else 0, ha="right" if rotated else "center")
    _format_counts(axes)
    return _svg(figure)


def _spread(counts: Sequence[int]) -> bool:
    some = [count for count in counts if count]
    return bool(some) and max(some) > _SPREAD * min(some)


def _lateness(report: DayReport) -> str:
    return _bars([label for label, _ in report.lateness], [count for _, count in report.lateness])


def _reasons(report: DayReport) -> str:
    if not report.reject_reasons:
        return ""
    return _bars([reason for reason, _ in report.reject_reasons], [count for _, count in report.reject_reasons])


def _by_type(report: DayReport) -> str:
    shown = sorted(report.types, key=lambda line: (-line.events, line.name))[:_MOST_TYPES][::-1]
    if not shown:
        return ""
    figure = Figure(figsize=(10, 0.8 + 0.22 * len(shown)), layout="constrained")
    axes = figure.subplots()
    counts = [line.events for line in shown]
    axes.barh(range(len(shown)), counts, color=_BLUE)
    if _spread(counts):
        axes.set_xscale("log")
    axes.set_yticks(range(len(shown)), [line.name if len(line.name) < 60 else f"{line.name[:57]}…" for line in shown])
    axes.set_ylim(-0.6, len(shown) - 0.4)
    _format_counts(axes, horizontal=True)
    return _svg(figure)


def _troubles(report: DayReport) -> str:
    figure = Figure(figsize=(10, 2.6), layout="constrained")
    axes = figure.subplots()
    places = range(len(report.hours))
    axes.bar([p - 0.2 for p in places], [h.duplicates for h in report.hours], 0.4, color=_AMBER, label="duplicates")
    axes.bar([p + 0.2 for p in places], [h.rejects for h in report.hours], 0.4, color=_RED, label="rejects")
    axes.legend(frameon=False, ncols=2, loc="upper right")
    _format_counts(axes)
    _hours(axes)
    return _svg(figure)


MOST_LINES = 200
"""The most lines of a table on the page, which says how many more there are; the JSON has all."""


def page(report: DayReport) -> str:
    """Return the report as an HTML document; keys and event types are escaped."""
    # matplotlib escapes the texts in its SVG
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
    return environment.get_template("page.html.j2")
