"""Search the landed files of a delivery by key, publish hour and state, a page at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pismo_lake.hours import DAY_LENGTH, PublishDay, PublishHour
from pismo_lake.ledger.lookups import Lookups

if TYPE_CHECKING:
    from datetime import datetime

    from pismo_lake.ledger import FileRecord, Ledger
    from pismo_lake.settings.lake import LakeSettings

PAGE = 50
WINDOW_DAYS = 31
"""The days that a search without an hour goes back."""
STATES = {"": "any", "unbuilt": "not in the lake yet", "unreadable": "unreadable", "problem": "with a problem"}


@dataclass(frozen=True, slots=True)
class FilePage:
    """Some landed files, the newest first, from the publish hours `[first, last]`; `more` names the next page."""

    files: tuple[FileRecord, ...]
    first: str
    last: str
    more: tuple[str, str] | None


def list_files(
    settings: LakeSettings, ledger: Ledger, now: datetime, *, text: str = "", hour: str = "", state: str = "",
    before: tuple[str, str] | None = None,
) -> FilePage:  # fmt: skip
    """Return a page of files.

    Args:
        settings: the lake and the delivery.
        ledger: the ledger.
        now: the time at which the last hour is not over.
        text: a part of the key; if it names an hour folder, only that hour is searched.
        hour: a publish hour (YYYY-MM-DDTHH) or day (YYYY-MM-DD); without it, the last days with files are searched.
        state: one of `STATES`.
        before: the last (publish hour, name) of the page before.

    Raises:
        ValueError: the hour is not an hour and not a day.
    """
    seen = Lookups(ledger, settings.lake, settings.delivery)
    first, last = _window(seen, now, text, hour)
    found = seen.find_files(first, last, text=text, status=state, before=before, most=PAGE + 1)
    more = (found[PAGE - 1].publish_hour, found[PAGE - 1].name) if len(found) > PAGE else None
    return FilePage(tuple(found[:PAGE]), first, last, more)


def _window(seen: Lookups, now: datetime, text: str, hour: str) -> tuple[str, str]:
    if hour:
        if len(hour) == DAY_LENGTH:
            hours = PublishDay.parse(hour).hours
            return str(hours[0]), str(hours[-1])
        return (str(PublishHour.parse(hour)),) * 2
    named = PublishHour.above_key(f"{text}/-") if text else None
    if named is not None:
        return str(named), str(named)
    newest = seen.newest_built_hour()
    last = max(PublishHour.of_moment(now), PublishHour.parse(newest)) if newest else PublishHour.of_moment(now)
    base = PublishHour.parse(newest) if newest else last
    return str(base.plus(-24 * WINDOW_DAYS)), str(last)
