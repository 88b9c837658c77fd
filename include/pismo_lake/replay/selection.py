"""Say which events a consumer needs: by time, type, organisation, values, and ids."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from pismo_lake.errors import ConfigError

if TYPE_CHECKING:
    from pismo_lake.replay.ids import IdSet

_DAY_OR_HOUR = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d)?", re.ASCII)


class Clock(StrEnum):
    """The time that a range is about: the publish hour of a file, or the event's own time."""

    PUBLISH = "publish"
    EVENT = "event"


@dataclass(frozen=True, slots=True)
class TimeRange:
    """The times `[first, last)`; of publish times, every hour that the range touches is taken whole."""

    first: datetime
    last: datetime
    clock: Clock = Clock.PUBLISH

    def __post_init__(self) -> None:
        if self.first >= self.last:
            msg = f"the range from {_show(self.first)} to {_show(self.last)} is empty: its end is not taken any more"
            raise ConfigError(msg)

    @classmethod
    def parse(cls, first: str, last: str, clock: str = Clock.PUBLISH) -> TimeRange:
        """Return the range between two texts, in UTC if they have no zone.

        Raises:
            ConfigError: a text is no time, or the range is empty.
        """
        if clock not in set(Clock):
            msg = f"{clock!r} is no clock of events, allowed: {', '.join(Clock)}"
            raise ConfigError(msg)
        return cls(parse_time(first), parse_time(last), Clock(clock))

    @property
    def hours(self) -> tuple[str, str]:
        """Return the first and the last publish hour, each as YYYY-MM-DDTHH."""
        last = self.last - timedelta(microseconds=1)
        return _hour(self.first), _hour(last)

    @property
    def micros(self) -> tuple[int, int]:
        """Return the first and the last microsecond since 1970 UTC."""
        return _micros(self.first), _micros(self.last) - 1

    def __str__(self) -> str:
        kind = "published" if self.clock is Clock.PUBLISH else "with event times"
        return f"{kind} from {_show(self.first)} to {_show(self.last)}"


@dataclass(frozen=True, slots=True)
class Selection:
    """The events to send; every part that is given narrows it.

    Attributes:
        times: a range of time.
        types: patterns of event types, ``<domain>/<name with version>``; one must match.
        organisations: ids of organisations, in any case.
        values: columns with their values, ``data__account_id``. Of one column one value must match, and every column
            must have a match.
        accounts: account ids; one must match.
        event_ids: the ids of events.
        seen: the ids that the consumer has: they are left out.
    """

    times: TimeRange | None = None
    types: tuple[str, ...] = ()
    organisations: tuple[str, ...] = ()
    values: tuple[tuple[str, str], ...] = ()
    accounts: tuple[str, ...] = ()
    event_ids: tuple[str, ...] = ()
    seen: IdSet | None = None

    def __post_init__(self) -> None:
        if self.times is None and not self.event_ids:
            msg = "name a range of time (from and to), or event ids: nothing else says where the events begin and end"
            raise ConfigError(msg)
        if wrong := [column for column, value in self.values if not column or not value]:
            msg = (
                f"a value is given as COLUMN=VALUE, such as data__account_id=42; {wrong[0]!r} has no value or no column"
            )
            raise ConfigError(msg)

    def __str__(self) -> str:
        # the ledger and the log show this: name no value of a payload
        parts = [str(self.times)] if self.times else []
        parts += [f"types {', '.join(self.types)}"] if self.types else []
        parts += [f"organisations {', '.join(self.organisations)}"] if self.organisations else []
        columns = list(dict.fromkeys(column for column, _ in self.values))
        parts += [f"with values of {', '.join(columns)}"] if columns else []
        parts += [f"{len(self.accounts)} account(s)"] if self.accounts else []
        parts += [f"{len(self.event_ids)} event id(s)"] if self.event_ids else []
        parts += [f"without {self.seen.count} seen"] if self.seen is not None else []
        return "; ".join(parts)


def parse_time(text: str) -> datetime:
    """Return the moment that a text names: a day, an hour (``2026-03-01T12``), or a time with any ISO 8601 zone.

    Raises:
        ConfigError: it names none.
    """
    plain = text.strip()
    if _DAY_OR_HOUR.fullmatch(plain):
        plain = f"{plain}T00" if len(plain) == len("YYYY-MM-DD") else plain
        plain = f"{plain}:00"
    try:
        moment = datetime.fromisoformat(plain)
        return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).astimezone(UTC)
    except (ValueError, OverflowError):
        msg = f"{text!r} is no time: write 2026-03-01, 2026-03-01T12 or 2026-03-01T12:30:00Z"
        raise ConfigError(msg) from None


def _micros(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _hour(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()[: len("YYYY-MM-DDTHH")]


def _show(moment: datetime) -> str:
    text = moment.astimezone(UTC).isoformat()
    return text.removesuffix("+00:00") + "Z"
