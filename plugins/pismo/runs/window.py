"""Choose the publish hours of a run: from its Params, its data interval, or the clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pismo.names import FIRST_MOMENT
from pismo_lake.errors import ParamsError
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
    """The files that a run looks for: all new files of some hours, or given objects or events.

    `event_ids` become `object_keys` once the ledger is open. If `relist` is False, the run does not contact Pismo. If
    listing is denied, an `of_landed_day` window uses the files that the ledger knows; it also retries the quarantined
    files of its hours. `retry_failed` retries every quarantined file of the delivery.
    """

    hours: tuple[PublishHour, ...]
    object_keys: tuple[str, ...] = ()
    force: bool = False
    event_ids: tuple[str, ...] = ()
    relist: bool = True
    of_landed_day: bool = False
    retry_failed: bool = False


def window_of(context: Context, delivery: Delivery) -> Window:
    """Return the window of a run: from Params, else its data interval with look-back, else now.

    One hour on each side is added: Pismo does not document the time zone and the limits of its hour folders.

    Raises:
        ParamsError: a Param is unknown or not valid, or Params do not fit together.
    """
    params = read_params(context, INGEST_PARAMS)
    keys = tuple(key.lstrip("/") for key in read_texts(params, "object_keys"))
    ids = read_texts(params, "event_ids")
    force, retry = bool(params.get("force")), bool(params.get("retry_failed"))
    start, end = _moment(params, "window_start"), _moment(params, "window_end")
    if (keys or ids) and (start or end):
        given = " and ".join(name for name, texts in (("object_keys", keys), ("event_ids", ids)) if texts)
        msg = f"give either a window (window_start, window_end) or {given}, not both: a run does one of them"
        raise ParamsError(msg)
    if keys or ids:
        # a run with event ids builds their files again: the person doubts something about these events
        return Window((), keys, force or bool(ids), ids, retry_failed=retry)
    lookback = timedelta(hours=delivery.lookback_hours)
    if start is not None or end is not None:
        end = end or datetime.now(UTC)
        start = start or end - lookback
    else:
        end = context.get("data_interval_end") or datetime.now(UTC)
        start = context.get("data_interval_start") or end
        if start - timedelta(days=1) <= FIRST_MOMENT.replace(tzinfo=UTC):
            # the first run of @continuous: its interval begins at the DAG's start date
            start = end
        start -= lookback
    if end < start:
        msg = f"window_end {end.isoformat()} is before window_start {start.isoformat()}"
        raise ParamsError(msg)
    hours = hours_between(start - timedelta(hours=1), end + timedelta(hours=1))
    if len(hours) > LONGEST_HOURS:
        msg = f"the window has {len(hours)} publish hours; a run takes at most {LONGEST_HOURS}, so split it"
        raise ParamsError(msg)
    return Window(hours, (), force, retry_failed=retry)


def day_of(context: Context) -> PublishDay:
    """Return the publish day to close: from Params, else the data interval, else yesterday."""
    text = read_params(context, CLOSE_PARAMS).get("publish_day")
    if text:
        try:
            day = PublishDay.parse(str(text)[:10])
        except ValueError as error:
            msg = f"publish_day: {error}"
            raise ParamsError(msg) from None
        if day.start > datetime.now(UTC):
            msg = f"publish_day: {day} has not begun"
            raise ParamsError(msg)
        return day
    start = context.get("data_interval_start") if context.get("logical_date") else None
    return PublishDay.of_moment(start or datetime.now(UTC) - timedelta(days=1))


def day_window(context: Context) -> Window:
    """Return a window of the day's hours and one more on each side.

    Pismo does not document the time zone of its folders.
    """
    params, hours = context["params"], day_of(context).hours
    every = (hours[0].plus(-1), *hours, hours[-1].plus(1))
    return Window(every, force=False, relist=bool(params.get("relist", True)), of_landed_day=True)


def read_params(context: Context, names: frozenset[str]) -> Mapping[str, Any]:
    """Return the Params of a run; refuse unknown names, so that no typo is ignored."""
    params: Mapping[str, Any] = context["params"]
    unknown = sorted(set(params) - names)
    if unknown:
        msg = f"unknown Param {', '.join(unknown)}; valid names: {', '.join(sorted(names))}"
        raise ParamsError(msg)
    return params


def read_texts(params: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return the texts of a Param that is a list, without blank ones."""
    return tuple(str(text).strip() for text in params.get(name) or () if str(text).strip())


def _moment(params: Mapping[str, Any], name: str) -> datetime | None:
    text = params.get(name)
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        msg = f"{name} is {text!r}; give an ISO 8601 time, e.g. 2026-03-01T12:00:00Z"
        raise ParamsError(msg) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
