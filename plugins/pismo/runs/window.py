"""Which publish hours a run is about: from its data interval, its Params, or the present time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pismo_lake.errors import ConfigError
from pismo_lake.hours import PublishDay, PublishHour, hours_between

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context

    from pismo_lake.settings.deliveries import Delivery

LONGEST_HOURS = 1000
"""More publish hours than this in one run would pass Airflow's limit on mapped tasks (1024)."""
INGEST_PARAMS = frozenset(
    {"window_start", "window_end", "object_keys", "event_ids", "force", "retry_failed", "dry_run"}
)
CLOSE_PARAMS = frozenset({"publish_day", "relist", "force", "dry_run"})


@dataclass(frozen=True, slots=True)
class Window:
    """What a run looks for: all new files of some hours, or the objects, or the objects of the events, it was given.

    `event_ids` become `object_keys` once the ledger is open; `relist` False leaves Pismo alone. A `of_landed_day`
    window is content with the files that the ledger knows if listing is denied, and tries the quarantined files of its
    hours once more. `retry_failed` asks for every quarantined file of the delivery.
    """

    hours: tuple[PublishHour, ...]
    object_keys: tuple[str, ...] = ()
    force: bool = False
    event_ids: tuple[str, ...] = ()
    relist: bool = True
    of_landed_day: bool = False
    retry_failed: bool = False


def window_of(context: Context, delivery: Delivery) -> Window:
    """The window of a run: Params first, then the data interval with its look-back, else from now.

    One hour on each side is added: the zone and the cut of Pismo's hour folders are undocumented.
    """
    params = _read_params(context, INGEST_PARAMS)
    keys = tuple(key.lstrip("/") for key in _texts(params, "object_keys"))
    ids = _texts(params, "event_ids")
    force, retry = bool(params.get("force")), bool(params.get("retry_failed"))
    if keys or ids:
        # an event is asked for because something about it is in doubt: its files are fetched and built anew
        return Window((), keys, force or bool(ids), ids, retry_failed=retry)
    lookback = timedelta(hours=delivery.lookback_hours)
    start, end = _moment(params, "window_start"), _moment(params, "window_end")
    if start is not None or end is not None:
        end = end or datetime.now(UTC)
        start = start or end - lookback
    else:
        end = context.get("data_interval_end") or datetime.now(UTC)
        start = (context.get("data_interval_start") or end) - lookback
    if end < start:
        msg = f"window_end {end.isoformat()} is before window_start {start.isoformat()}"
        raise ConfigError(msg)
    hours = hours_between(start - timedelta(hours=1), end + timedelta(hours=1))
    if len(hours) > LONGEST_HOURS:
        msg = f"a window of {len(hours)} publish hours; at most {LONGEST_HOURS} in one run, split it"
        raise ConfigError(msg)
    return Window(hours, (), force, retry_failed=retry)


def day_of(context: Context) -> PublishDay:
    """The publish day of a closing run: from its Params, else the day its data interval begins on, else yesterday."""
    text = _read_params(context, CLOSE_PARAMS).get("publish_day")
    if text:
        try:
            day = PublishDay.parse(str(text)[:10])
        except ValueError as error:
            msg = f"publish_day: {error}"
            raise ConfigError(msg) from None
        if day.start > datetime.now(UTC):
            msg = f"publish_day: {day} has not begun"
            raise ConfigError(msg)
        return day
    start = context.get("data_interval_start") if context.get("logical_date") else None
    return PublishDay.containing(start or datetime.now(UTC) - timedelta(days=1))


def day_window(context: Context) -> Window:
    """All hours of the day and its neighbours: the zone of Pismo's folders is undocumented."""
    params, hours = context["params"], day_of(context).hours
    every = (hours[0].plus(-1), *hours, hours[-1].plus(1))
    return Window(every, force=False, relist=bool(params.get("relist", True)), of_landed_day=True)


def _read_params(context: Context, names: frozenset[str]) -> Mapping[str, Any]:
    """The Params of a run; a misspelt one is an error, not a run that does something else."""
    params: Mapping[str, Any] = context["params"]
    unknown = sorted(set(params) - names)
    if unknown:
        msg = f"no Param is named {', '.join(unknown)}; there are {', '.join(sorted(names))}"
        raise ConfigError(msg)
    return params


def _texts(params: Mapping[str, Any], name: str) -> tuple[str, ...]:
    return tuple(str(text).strip() for text in params.get(name) or () if str(text).strip())


def _moment(params: Mapping[str, Any], name: str) -> datetime | None:
    text = params.get(name)
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        msg = f"{name} is {text!r}, an ISO 8601 time is expected, e.g. 2026-03-01T12:00:00Z"
        raise ConfigError(msg) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
