"""Build hours and close days: in one process, in several, or in several tasks.

A close has three steps. *Begin* claims the day, judges its events and plans groups of event types. *Write* makes the
files of a group. *Commit* checks all files, moves them in, records the day and removes the files of its hours. One
process takes all three at once.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from pismo_lake.build.day_builder import DayBuilder
from pismo_lake.build.hour import HourBuilder
from pismo_lake.hours import PublishHour, unit_of
from pismo_lake.progress import SILENT

if TYPE_CHECKING:
    from collections.abc import Callable

    from pismo_lake.build.day_builder import Spread
    from pismo_lake.build.summary import BuildSummary
    from pismo_lake.build.unit_builder import UnitBuilder
    from pismo_lake.hours import PublishDay
    from pismo_lake.ledger import Ledger
    from pismo_lake.progress import Progress
    from pismo_lake.settings.lake import LakeSettings

_LOG = logging.getLogger(__name__)


def build_unit(
    settings: LakeSettings, ledger: Ledger, unit: str, *, force: bool = False, **options: Any
) -> BuildSummary:
    """Build a publish hour, or a closed publish day that has changed."""
    return unit_builder(settings, ledger, unit, **options).run(force=force)


def close_day(
    settings: LakeSettings,
    ledger: Ledger,
    day: PublishDay,
    *,
    force: bool = False,
    log: logging.Logger = _LOG,
    checkpoint: Callable[[str], None] | None = None,
    progress: Progress = SILENT,
    spread: Spread | None = None,
    begun: str | None = None,
) -> BuildSummary:
    """Bring the lake's closed day up to date with its landed files; write only if they changed.

    The files are the same bytes for any number of processes or tasks.

    Args:
        settings: the lake and how to write it.
        ledger: the ledger of the lake.
        day: the day.
        force: if true, an unchanged day is built too.
        log: the logger of the run.
        checkpoint: gets the name of the next step ("read", "write", "record", "late", "remove"). Tests kill the
            process in it.
        progress: shows how much of the day is read.
        spread: processes that write the files of the day.
        begun: the token that `begin_close` returned. The files that tasks have staged for it are used, if its plan is
            still valid; others are written here.
    """
    builder = DayBuilder(settings, ledger, day, log, checkpoint, progress, spread)
    if begun is not None:
        builder.take_begun(begun)
    return builder.run(force=force)


def begin_close(
    settings: LakeSettings,
    ledger: Ledger,
    day: PublishDay,
    *,
    most: int,
    least: int,
    force: bool = False,
    log: logging.Logger = _LOG,
) -> tuple[str, int] | None:
    """Claim and plan a day whose files several tasks write; return its token, and the number of groups.

    Return None if one task is enough: the day has not changed, or it is small.

    Args:
        settings: the lake and how to write it.
        ledger: the ledger of the lake.
        day: the day.
        most: the most groups.
        least: the raw bytes for which another group is worth its start.
        force: if true, an unchanged day is built too.
        log: the logger of the run.
    """
    return DayBuilder(settings, ledger, day, log).begin(most, least, force=force)


def unit_builder(settings: LakeSettings, ledger: Ledger, unit: str, **options: Any) -> UnitBuilder:
    """Return the builder of a publish hour (YYYY-MM-DDTHH) or a publish day (YYYY-MM-DD)."""
    parsed = unit_of(unit)
    if isinstance(parsed, PublishHour):
        return HourBuilder(settings, ledger, parsed, **options)
    return DayBuilder(settings, ledger, parsed, **options)
