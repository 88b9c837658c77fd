"""Read the form of a replay, and log the events that it would send."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from pismo.runs.window import read_params, read_texts
from pismo_lake.errors import ConfigError, ParamsError

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

    from airflow.sdk import Context

    from pismo_lake.replay.plan import Overview
    from pismo_lake.replay.selection import Selection

REPLAY_PARAMS = frozenset({
    "from", "to", "by", "event_types", "organisations", "accounts", "where", "event_ids", "seen", "dry_run",
    "per_second", "raw_bytes", "replay_id",
})  # fmt: skip
_SHOWN = 200


def selection_of(context: Context) -> Selection:
    """Return the selection of a run.

    Raises:
        ParamsError: a Param is unknown or not valid, or Params do not fit together.
        SeenFileError: the file of seen ids is missing or damaged.
    """
    from pismo_lake.replay.asked import Asked

    params = read_params(context, REPLAY_PARAMS)
    asked = Asked(
        first=_text(params, "from"),
        last=_text(params, "to"),
        clock=_text(params, "by") or "publish",
        types=read_texts(params, "event_types"),
        organisations=read_texts(params, "organisations"),
        accounts=read_texts(params, "accounts"),
        where=read_texts(params, "where"),
        event_ids=read_texts(params, "event_ids"),
        seen=_text(params, "seen"),
    )
    try:
        return asked.select()
    except ConfigError as error:
        raise ParamsError(str(error)) from None


def asked_replay(context: Context) -> str | None:
    """Return the id of the replay that a run continues, if it names one."""
    return _text(read_params(context, REPLAY_PARAMS), "replay_id")


def rate_of(context: Context, usual: float | None) -> float | None:
    """Return the most messages in a second: that of the run, or else the usual one.

    Raises:
        ParamsError: it is no number above 0.
    """
    asked = read_params(context, REPLAY_PARAMS).get("per_second")
    if asked is None or asked == "":
        return usual
    if isinstance(asked, bool) or not isinstance(asked, int | float) or asked <= 0:
        msg = f"per_second is {asked!r}: give a number above 0"
        raise ParamsError(msg)
    return float(asked)


def id_of_run(context: Context) -> str:
    """Return the id of the replay of a run: a retry of a task has the same one."""
    run = context["dag_run"]
    return hashlib.sha256(f"{run.dag_id} {run.run_id}".encode()).hexdigest()[:12]


def log_overview(overview: Overview, log: logging.Logger) -> None:
    """Log the counts by hour and type."""
    log.info("%d event(s), %.1f MB; %d more are seen", overview.events, overview.bytes / 1e6, overview.seen)
    if overview.waiting:
        log.warning("%d landed file(s) have no index yet, so their events are left out", overview.waiting)
    groups = sorted(overview.counts.items())
    for (hour, kind), count in groups[:_SHOWN]:
        log.info("  %s  %s: %d", hour, kind, count)
    if len(groups) > _SHOWN:
        log.info("  and %d more", len(groups) - _SHOWN)


def _text(params: Mapping[str, Any], name: str) -> str | None:
    return str(params.get(name) or "").strip() or None
