"""Draw charts as inline SVG without a script.

The bars are SVG that stretches to the width of the page. Labels are HTML beside it, so they keep their size on a phone.
Each bar has a title, which a browser shows under the pointer and a screen reader reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from pismo_lake.html.words import count_text

if TYPE_CHECKING:
    from collections.abc import Sequence

_GAP = 0.18
_HEIGHT = 100.0
_LEAST = 1.5


@dataclass(frozen=True, slots=True)
class Series:
    """A row of numbers, its name, and its colour: a class of the style sheet."""

    name: str
    values: Sequence[int]
    color: str = "accent"


@dataclass(frozen=True, slots=True)
class Shade:
    """A marked place behind the bars: its number, its reason, and its colour."""

    place: int
    reason: str
    color: str


def bars(labels: Sequence[str], series: Sequence[Series], shades: Sequence[Shade] = (), *, every: int = 1) -> Markup:
    """Return vertical bars; a label is shown at each place that `every` divides."""
    top = max((value for one in series for value in one.values), default=0)
    drawn = [_shade(shade) for shade in shades]
    width = (1 - _GAP) / len(series)
    for number, one in enumerate(series):
        for place, value in enumerate(one.values):
            if value:
                left, title = place + _GAP / 2 + number * width, f"{labels[place]}: {count_text(value)} {one.name}"
                drawn.append(_bar(left, width, value / top, title, one.color))
    marks = Markup("").join(
        Markup("<span>{}</span>").format(label if place % every == 0 else "") for place, label in enumerate(labels)
    )
    said = ", ".join(f"{count_text(sum(one.values))} {one.name}" for one in series)
    return Markup(
        '<figure class="chart"><div class="top" aria-hidden="true">{top}</div>'
        '<svg role="img" aria-label="{said}" viewBox="0 0 {wide} {high}" preserveAspectRatio="none">'
        '<line class="half" x1="0" x2="{wide}" y1="{half}" y2="{half}"/>{drawn}</svg>'
        '<div class="marks" aria-hidden="true" style="--n:{wide}">{marks}</div></figure>'
    ).format(
        top=count_text(top), said=said, wide=len(labels), high=_HEIGHT, half=_HEIGHT / 2,
        drawn=Markup("").join(drawn), marks=marks,
    )  # fmt: skip


def _bar(left: float, width: float, share: float, title: str, color: str) -> Markup:
    high = max(share * _HEIGHT, _LEAST)
    shape = Markup('<rect class="{}" x="{:.3f}" y="{:.2f}" width="{:.3f}" height="{:.2f}"><title>{}</title></rect>')
    return shape.format(color, left, _HEIGHT - high, width, high, title)


def _shade(shade: Shade) -> Markup:
    shape = Markup('<rect class="shade {}" x="{}" y="0" width="1" height="{}"><title>{}</title></rect>')
    return shape.format(shade.color, shade.place, _HEIGHT, shade.reason)


def meter(value: int, top: int) -> Markup:
    """Return a thin horizontal bar beside a number that a reader sees already."""
    share = value / top if top else 0.0
    shape = Markup(
        '<svg class="meter" aria-hidden="true" viewBox="0 0 100 6" preserveAspectRatio="none">'
        '<rect class="accent" x="0" y="0" width="{:.2f}" height="6"/></svg>'
    )
    return shape.format(share * 100)


def legend(series: Sequence[Series]) -> Markup:
    """Return the names of series with their colours."""
    return Markup('<p class="legend">{}</p>').format(
        Markup("").join(Markup('<span class="{}">{}</span>').format(one.color, escape(one.name)) for one in series)
    )
