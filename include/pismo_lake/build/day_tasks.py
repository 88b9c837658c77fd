"""Write a group of a closing day in a task or a process of its own.

`day.begin_close` has made the plan before, and `day.close_day` records the day after it. All of them share the claim on
the day, by its token in the ledger, and a place for the plan and the files. If another builder takes the day over, the
plan is stale: nothing that was written for it is used any more.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pismo_lake import storage
from pismo_lake.build.day_files import write_group
from pismo_lake.build.day_plan import rules_of
from pismo_lake.build.heartbeat import beat_while
from pismo_lake.build.staging import Staging
from pismo_lake.build.units import note_problems
from pismo_lake.contracts.store import ContractStore
from pismo_lake.errors import StalePlanError
from pismo_lake.ledger import FileLedger
from pismo_lake.ledger.days import PART, DayLedger
from pismo_lake.ledger.erasures import erasure_count

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pismo_lake.build.day_plan import DayPlan
    from pismo_lake.ledger import FileRecord, Ledger
    from pismo_lake.settings.lake import LakeSettings

_LOG = logging.getLogger(__name__)
_LAST: dict[tuple[str, object], DayPlan] = {}


def write_part(
    settings: LakeSettings, ledger: Ledger, day: str, token: str, group: int, *, root: str | None = None,
    log: logging.Logger = _LOG, checkpoint: Callable[[str], None] | None = None,
) -> None:  # fmt: skip
    """Write the files of one group of a planned day, and stage them until the day is recorded.

    It may be repeated, and run twice at once: each attempt has files of its own, and the same bytes.

    Args:
        settings: the lake and how to write it.
        ledger: the ledger of the lake.
        day: the day, YYYY-MM-DD.
        token: the claim of the plan.
        group: the number of the group.
        root: the place of the plan, if it is not the one in the lake.
        log: the logger of the run.
        checkpoint: gets the name of the next step ("read", "stage"). Tests kill the process in it.

    Raises:
        StalePlanError: another builder has taken the day over, events were erased, or a contract has changed.
    """
    staging = Staging(settings, root) if root else Staging.of_claim(settings, day, token)
    days = DayLedger(ledger, settings.lake, settings.delivery, day)
    reached = checkpoint or (lambda _: None)
    try:
        plan = _plan_of(staging)
    except FileNotFoundError:
        raise _stale_error(day, "its plan is gone") from None
    contracts = ContractStore(ledger, settings)
    if rules_of(settings, contracts, plan.groups[group]) != plan.rules[group]:
        raise _stale_error(day, "a contract or a setting has changed")
    files = FileLedger(ledger, settings.lake, settings.delivery)

    def refuse_stale(_: Sequence[FileRecord] = ()) -> None:
        if not days.holds(PART, token):
            raise _stale_error(day, "another run has taken it over")
        if erasure_count(ledger, settings.lake) != plan.erasures:
            raise _stale_error(day, "events were erased")
        reached("read")

    refuse_stale()
    with beat_while(days, PART, token, log), note_problems(files, f"publish day {day}", plan.files):
        try:
            with staging.folder(group) as folder:
                written = write_group(settings, ledger, contracts, plan, group, day, folder, refuse_stale)
                reached("stage")
                staging.save_group(group, written)
                # a request to a store cannot be fenced: objects that were sent beside an erasure are removed here
                refuse_stale()
        except FileNotFoundError:
            # the place was removed by the builder that took over, or by an erasure
            refuse_stale()
            raise
        except StalePlanError:
            staging.remove_group(group)
            raise
    log.info(
        "publish day %s: group %d of %d is written, %d files; the rows of %d of %d raw files are those of their hours",
        day, group + 1, len(plan.groups), len(written.files), written.taken, len(plan.files),
    )  # fmt: skip


def _plan_of(staging: Staging) -> DayPlan:
    """Return a plan; a process that writes several groups of it reads it once."""
    key = (staging.plan_uri, storage.version(staging.plan_uri))
    if key not in _LAST:
        plan = staging.load_plan()
        _LAST.clear()
        _LAST[key] = plan
    return _LAST[key]


def _stale_error(day: str, why: str) -> StalePlanError:
    return StalePlanError(f"the plan of publish day {day} is stale: {why}")
