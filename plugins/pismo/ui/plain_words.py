"""Describe a run with given Params in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pismo.runs.window import day_of, window_of
from pismo_lake.html.words import count_text, day_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pismo_lake.settings import Delivery

_DRY = "It changes nothing: the log of the task {} names the files to land, to build and to remove."


def describe(kind: str, params: Mapping[str, Any], delivery: Delivery) -> list[str]:
    """Return the sentences for a run of the delivery's DAG `kind`.

    Raises:
        ParamsError: Params do not fit together.
    """
    return _DESCRIBED[kind](params, delivery)


def _close(params: Mapping[str, Any], _: Delivery) -> list[str]:
    context: Any = {"params": params}
    closed = day_text(str(day_of(context)))
    if params["dry_run"]:
        return [f"The run shows how it would close the publish day {closed}.", _DRY.format("await_settled_day")]
    return [
        f"The run closes the publish day {closed}.",
        "It looks for missing files at Pismo, and lands them." if params["relist"]
        else "It does not contact Pismo, and uses the landed files.",
        "It builds the day again even if nothing has changed." if params["force"]
        else "It builds the day if something has changed since the last time.",
        "Then it writes the day report, which says whether the day is complete.",
    ]  # fmt: skip


def _ingest(params: Mapping[str, Any], delivery: Delivery) -> list[str]:
    context: Any = {"params": params}
    window = window_of(context, delivery)
    keys, ids = len(window.object_keys), len(window.event_ids)
    if keys or ids:
        named = [(keys, "object(s)"), (ids, "event(s)")]
        texts = [f"{count_text(number)} {thing}" for number, thing in named if number]
        first = f"The run takes the files of {' and '.join(texts)} that you name."
    else:
        start, end = params.get("window_start"), params.get("window_end")
        first = f"The run looks for event files that Pismo published {_span(start, end, delivery.lookback_hours)}."
    if params["dry_run"]:
        return [first, _DRY.format("find_new_files")]
    always = "It lands them and builds their publish hours even if nothing has changed."
    usual = "It lands the new ones, and builds the publish hours that they belong to."
    again = ["It also tries all files that are in quarantine."] * bool(params["retry_failed"])
    return [first, always if window.force else usual, *again]


def _span(start: str | None, end: str | None, lookback: float) -> str:
    if start is None:
        return f"in the {lookback:g} hours before {end or 'now'}, and one hour around them"
    return f"from {start} to {end or 'now'}, and one hour around that"


def _replay(params: Mapping[str, Any], _: Delivery) -> list[str]:
    known = params["replay_id"]
    which = f"the rest of the replay {known}" if known else "the events that the Params name"
    if params["dry_run"]:
        return [f"The run counts {which}.", "It sends nothing: the log of the task plan_replay shows the counts."]
    return [f"The run sends {which} to the consumer again.", "A consumer may get an event twice."]


def _doctor(_: Mapping[str, Any], __: Delivery) -> list[str]:
    return [
        "The run checks the rights, keys and settings of each delivery where the tasks run.",
        "It lands nothing, takes no message, and leaves no file behind.",
    ]


_DESCRIBED = {"close": _close, "ingest": _ingest, "replay": _replay, "doctor": _doctor}
