"""Compare publish hours without a file with the delivery's usual rhythm: gap, or no traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pismo_lake.hours import PublishHour
from pismo_lake.report.model import SilentHour

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pismo_lake.hours import PublishDay

HISTORY_DAYS = 14
_LEAST_DAYS = 3
_USUAL, _RARE = 0.8, 0.2
_LEAST_BEATS = 6
_STEADY = 0.9


def silent_hours(
    day: PublishDay, files: Mapping[str, int], heartbeats: Mapping[str, int], until: PublishHour | None = None
) -> tuple[SilentHour, ...]:
    """Return the hours of a day without files, with a verdict on each.

    `files` counts files by publish hour for the day, for the hour after it, and for the two weeks that end with the
    last earlier day that had files: even after a long silence, a feed is compared with its usual rhythm. `heartbeats`
    are Pismo's health checks (facts: Platform health check event) by hour of the day. Hours from `until` on are not
    over.
    """
    steady = _is_steady(day, files, heartbeats)
    last = max((hour for hour, count in files.items() if count and hour < str(day.hours[0])), default=None)
    # the number of whole days without files, up to this one
    silent = 0 if last is None else (day.start.date() - PublishHour.parse(last).start.date()).days - 1
    known = [
        {hour.start.hour for hour in _list_earlier(day, silent + back) if files.get(str(hour))}
        for back in range(1, HISTORY_DAYS + 1)
    ]
    known = [hours for hours in known if hours]
    found = []
    # if the delivery begins on this day, its earlier silence is no fault
    begins = None if known else min((hour for hour in day.hours if files.get(str(hour))), default=None)
    for hour in day.hours:
        if begins is not None and hour < begins:
            found.append(SilentHour(str(hour), "no traffic", "before the delivery's first file"))
        elif not files.get(str(hour)) and (until is None or hour < until):
            usual = sum(hour.start.hour in hours for hours in known)
            neighbours = sum(bool(files.get(str(hour.plus(step)))) for step in (-1, 1))
            found.append(_find_silent(hour, usual, len(known), neighbours, steady=steady))
    return tuple(found)


def _list_earlier(day: PublishDay, back: int) -> list[PublishHour]:
    return [hour.plus(-24 * back) for hour in day.hours]


def _is_steady(day: PublishDay, files: Mapping[str, int], heartbeats: Mapping[str, int]) -> bool:
    """Return whether health checks arrive in nearly every hour that has files."""
    busy = [str(hour) for hour in day.hours if files.get(str(hour))]
    beating = sum(bool(heartbeats.get(hour)) for hour in busy)
    return beating >= _LEAST_BEATS and beating >= _STEADY * len(busy)


def _find_silent(hour: PublishHour, usual: int, known: int, neighbours: int, *, steady: bool) -> SilentHour:
    evidence = [f"{usual} of the last {known} days with files had some at this hour"] if known else ["no history"]
    evidence.append(
        ("neither neighbouring hour has", "one neighbouring hour has", "both neighbouring hours have")[neighbours]
    )
    evidence[-1] += " files"
    share = usual / known if known else None
    if steady:
        evidence.append("health checks arrive in the day's other hours")
    if share is not None and share <= _RARE and known >= _LEAST_DAYS:
        verdict = "no traffic"
    elif steady or (share is not None and share >= _USUAL and known >= _LEAST_DAYS):
        verdict = "gap"
    else:
        # one or two days are too few for a gap, but enough to ask a person to check
        verdict = "suspect" if neighbours == 2 or (share is not None and share >= _USUAL) else "no traffic"
    return SilentHour(str(hour), verdict, "; ".join(evidence))
