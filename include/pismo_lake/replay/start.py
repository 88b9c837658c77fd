"""Begin a replay: plan it, and record it in the ledger."""

from __future__ import annotations

import math
import re
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING

from pismo_lake.errors import ConfigError, TargetDenied
from pismo_lake.ledger.replays import ReplayLedger, ReplayRecord
from pismo_lake.privacy.mark import refuse_unprotected
from pismo_lake.replay.plan import make_plan, write_plan

if TYPE_CHECKING:
    from pismo_lake.ledger import Ledger
    from pismo_lake.replay.plan import Overview
    from pismo_lake.replay.selection import Selection
    from pismo_lake.replay.target import Limits, Target
    from pismo_lake.settings.lake import LakeSettings

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)


def new_replay_id() -> str:
    """Return an id that no other replay has."""
    return uuid.uuid4().hex[:12]


def plan_replay(
    settings: LakeSettings, ledger: Ledger, selection: Selection, target: str, *, raw: bool = False,
    replay_id: str | None = None,
) -> tuple[ReplayRecord, Overview]:  # fmt: skip
    """Plan a replay and record it; nothing is sent.

    Args:
        settings: the settings of the lake.
        ledger: its ledger.
        selection: the events to send.
        target: the name of the target.
        raw: send raw bytes, although the lake has a privacy policy.
        replay_id: the id of the replay; a new one by default. A replay of this id that has not begun is replaced.

    Raises:
        ConfigError: the id has other signs than letters, digits, ``_``, ``.`` and ``-``, or is too long.
        ReplayError: a replay of this id has begun.
    """
    refuse_unprotected(settings)
    replay_id = new_replay_id() if replay_id is None else replay_id
    if not _ID.fullmatch(replay_id):
        msg = f"replay id {replay_id!r}: up to 64 letters, digits, _, . and -, beginning with a letter or a digit"
        raise ConfigError(msg)
    book = ReplayLedger(ledger, settings.lake, settings.delivery)
    book.refuse_begun(replay_id)
    plan, overview = make_plan(settings, ledger, selection)
    # the plan comes first: a recorded replay always has one
    write_plan(settings, replay_id, plan)
    book.add(ReplayRecord(replay_id, target, str(selection), raw, overview.events, overview.bytes))
    return book.find(replay_id), overview


def refuse_wrong_target(target: Target) -> None:
    """Look at a target before a replay is recorded, so that a wrong setting is told at once.

    The right to send may not include the right to look. Then the first message shows whether the target is right.

    Raises:
        TargetRefused: the address or the secret is wrong.
        TargetUnavailable: the target does not answer.
    """
    with suppress(TargetDenied):
        target.check()


def estimate_minutes(events: int, limits: Limits, per_second: float | None) -> int:
    """Return about how many minutes a replay takes, at least one."""
    rate = limits.usual_rate if per_second is None else min(per_second, limits.usual_rate)
    return max(math.ceil(events / rate / 60), 1)


def payload_words(settings: LakeSettings, *, raw: bool) -> str:
    """Return in words which bytes a replay sends."""
    if settings.privacy is None:
        return "raw bytes"
    return (
        "RAW BYTES in spite of the privacy policy" if raw else f"payloads under privacy policy {settings.privacy.name}"
    )
