"""Build a closed publish day into a few large files that replace those of its hours.

A day differs from other units. It is written to a spool before anything is planned. The transaction that records it
takes its files from their hours. Hours that got a late file meanwhile are built before anything is removed. Between
the first new file and the last removal a reader sees old and new files, but never too few.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from pismo_lake.build.claim import Claim
from pismo_lake.build.day_files import write_group
from pismo_lake.build.day_plan import plan_day
from pismo_lake.build.day_progress import DayProgress
from pismo_lake.build.draft import Draft, Inputs, Output
from pismo_lake.build.heartbeat import wait_for_other
from pismo_lake.build.hour import build_hour
from pismo_lake.build.part_recorder import OutdatedError
from pismo_lake.build.spool import remove_staged, spool_folder
from pismo_lake.build.staging import Staging, bring
from pismo_lake.build.summary import count_written
from pismo_lake.build.unit_builder import UnitBuilder
from pismo_lake.contracts.store import ContractStore
from pismo_lake.errors import LakeError
from pismo_lake.ledger.builds import BuildLedger
from pismo_lake.ledger.days import PART, DayLedger
from pismo_lake.progress import SILENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pismo_lake.build.day_files import GroupFiles
    from pismo_lake.build.day_plan import DayPlan
    from pismo_lake.build.summary import BuildSummary
    from pismo_lake.hours import PublishDay, PublishHour
    from pismo_lake.index.dedupe import Verdict
    from pismo_lake.ledger import FileRecord, Ledger
    from pismo_lake.ledger.builds import PartRecord
    from pismo_lake.progress import Progress
    from pismo_lake.settings.lake import LakeSettings

_LOG = logging.getLogger(__name__)


class Spread(Protocol):
    """Processes that write the groups of a day side by side, and stage them."""

    @property
    def jobs(self) -> int:
        """The number of processes."""

    def write_day(self, day: str, token: str, root: str, groups: int) -> Iterator[int]:
        """Write all groups of the plan at a place; yield each as soon as it is staged."""


class DayBuilder(UnitBuilder):
    """Build one publish day as one part, through a spool.

    A day takes long. So a builder waits for another one while that one shows that it is alive.
    """

    waits = True

    def __init__(
        self, settings: LakeSettings, ledger: Ledger, day: PublishDay, log: logging.Logger = _LOG,
        checkpoint: Callable[[str], None] | None = None, progress: Progress = SILENT, spread: Spread | None = None,
    ) -> None:  # fmt: skip
        self._day, self._shown, self._spread = day, progress, spread
        self._begun: _Begun | None = None
        self._days = DayLedger(ledger, settings.lake, settings.delivery, str(day))
        super().__init__(settings, ledger, self._days, f"publish day {day}", log, checkpoint)

    @property
    def unit(self) -> str:
        """The day as YYYY-MM-DD."""
        return str(self._day)

    def files(self) -> list[FileRecord]:
        """Return all files of the day, late ones too."""
        return self.landed.of_day(self.unit)

    def part_of(self, record: FileRecord) -> int:  # noqa: ARG002
        """Return the only part of a day."""
        return PART

    def own_settings(self) -> tuple[object, ...]:
        """Return the size at which a partition starts another file."""
        return (self.settings.target_bytes,)

    def is_taken_in(self, files: Sequence[FileRecord]) -> bool:
        """Return whether all files belong to the closed day; a late one belongs to its hour."""
        return all(record.closed for record in files)

    def replaces(self) -> list[str]:
        """Return the outputs of the day's hours."""
        return [path for record in self._records_of_hours() for path in record.outputs]

    def replaced_records(self, part: int) -> list[PartRecord]:
        """Return the record of the day, and those of its hours."""
        return [*super().replaced_records(part), *self._records_of_hours()]

    def _records_of_hours(self) -> list[PartRecord]:
        place = (self.ledger, self.settings.lake, self.settings.delivery)
        return [record for hour in self._days.hours() for record in BuildLedger(*place, hour).parts()]

    def replaces_rows(self, part: int) -> bool:
        """Return whether the day, or one of its hours, has rows."""
        return super().replaces_rows(part) or bool(self._days.hours())

    def before_removal(self) -> None:
        """Remove the staged files, and build the hours that got a late file during the close.

        So no event is ever missing.
        """
        if self._begun is not None:
            # only now: a commit that is killed before takes the staged files again
            self._begun.staging.remove()
        self.checkpoint("late")
        for unit in self.landed.unbuilt_units():
            if unit.startswith(f"{self._day}T"):
                self.build_other(unit)

    def build_hour(self, hour: PublishHour) -> BuildSummary:
        """Build a publish hour of the delivery."""
        return build_hour(self.settings, self.ledger, hour, log=self.log)

    def begin(self, most: int, least: int, *, force: bool) -> tuple[str, int] | None:
        """Claim and plan the day for several tasks; `begin_close` explains the arguments."""
        self.bind()
        if min(most, sum(record.plain_size for record in self.files()) // max(least, 1)) < 2:
            return None
        wait_for_other(self.builds, PART, self.log)
        inputs, before = self.inputs(), self.builds.part(PART)
        files = inputs.parts.get(PART, [])
        if not files or (before is not None and not force and self.is_unchanged(before, files, inputs.verdicts)):
            return None
        claim = self.claim(PART)
        with claim.hold():
            inputs, moves = self.claimed_inputs(PART)
            self.contracts = ContractStore(self.ledger, self.settings)
            plan = self._plan(inputs.parts[PART], inputs.verdicts, most, least, moves=moves)
            Staging.of_claim(self.settings, self.unit, claim.token).save_plan(plan)
        self.log.info("%s: planned in %d groups", self.label, len(plan.groups))
        return claim.token, len(plan.groups)

    def _plan(
        self, files: Sequence[FileRecord], verdicts: dict[str, Verdict], most: int, least: int, *, moves: bool = False
    ) -> DayPlan:
        plan = plan_day(
            self.settings, self.ledger, self.contracts, files, verdicts, most=most, least=least,
            erasures=self.judged.erasures, winners=tuple(sorted(self.winners.units)), moves=moves, fingerprint="",
        )  # fmt: skip
        return replace(plan, fingerprint=self.fingerprint(files, verdicts, plan.counts))

    def take_begun(self, token: str) -> None:
        """Use the plan that `begin` has made, and the files that tasks have staged for it, if it is still valid."""
        staging = Staging.of_claim(self.settings, self.unit, token)
        now = {record.name: record.sha256 for record in self.files()}
        try:
            plan = staging.load_plan()
        except FileNotFoundError:
            self.log.warning("%s: the plan is gone", self.label)
            return
        if not self.builds.holds(PART, token):
            self.log.warning("%s: the plan is stale, another run has taken the day over", self.label)
        elif any(now.get(record.name) != record.sha256 for record in plan.files):
            self.log.warning("%s: the plan is stale, its files have changed", self.label)
        else:
            self._begun = _Begun(token, plan, staging)
            return
        staging.remove()

    def begun_claim(self) -> Claim | None:
        """Return the claim of the plan that this build takes over from earlier tasks."""
        if self._begun is None:
            return None
        return Claim(self.builds, self.settings.lake, PART, self.log, self._begun.token)

    def forget_begun(self) -> None:
        """Close the day from the start, because its plan is out of date."""
        if self._begun is not None:
            self._begun.staging.remove()
            self._begun = None

    def inputs(self) -> Inputs:
        """Return the inputs of the plan, or the present ones without a plan."""
        if self._begun is None:
            return super().inputs()
        return Inputs({PART: list(self._begun.plan.files)}, self._begun.plan.verdicts)

    def claimed_inputs(self, part: int) -> tuple[Inputs, bool]:
        """Return the inputs of the plan; hours with winning copies were built before it."""
        if self._begun is None:
            return super().claimed_inputs(part)
        plan = self._begun.plan
        self.winners.units |= set(plan.winners)
        self.judged.erasures = plan.erasures
        return self.inputs(), plan.moves

    @contextmanager
    def draft(self, claim: Claim, files: Sequence[FileRecord], verdicts: dict[str, Verdict]) -> Iterator[Draft]:
        """Write the day to a spool, or take the files that tasks have staged; then they are moved in one by one."""
        begun = self._begun
        remove_staged(self.settings, self.unit, claim.token)
        with spool_folder(self.settings, self.unit, claim.token) as spool:
            if begun is None:
                most = self._spread.jobs if self._spread else 1
                plan, staging = self._plan(files, verdicts, most, 1), Staging(self.settings, str(spool))
            else:
                plan, staging = begun.plan, begun.staging
                if self.fingerprint(files, verdicts, plan.counts) != plan.fingerprint:
                    msg = "a column, a setting or the policy changed"
                    raise OutdatedError(msg)
            groups = self._groups(claim, plan, staging, spool)
            counts = plan.counts | {name: sum(getattr(group, name) for group in groups) for name in ("rescued", "ids")}
            count_written(counts, [item for group in groups for item in group.rows.items()], self.label)
            written = sorted((file.folder, file.number, file) for group in groups for file in group.files)
            outputs = [Output(folder, number, bring(file.place), file.sha256) for folder, number, file in written]
            yield Draft(counts, [(output.folder, output.number) for output in outputs], outputs)

    def _groups(self, claim: Claim, plan: DayPlan, staging: Staging, spool: Path) -> list[GroupFiles]:
        """Return the files of each group; write those that no task and no process has written."""
        numbers = range(len(plan.groups))
        if self._begun is None and self._spread is not None and len(numbers) > 1:
            staging.save_plan(plan)
            progress = DayProgress(self.label, self.unit, plan, self.log, self._shown, len(numbers))
            for _ in self._spread.write_day(self.unit, claim.token, staging.root, len(numbers)):
                self.checkpoint("read")
                progress.add_group()
            claim.check()
        elif self._begun is None:
            return [self._write(claim, plan, 0, spool)]
        found: list[GroupFiles] = []
        for number in numbers:
            try:
                found.append(staging.load_group(number))
            except LakeError as error:
                self.log.warning("%s: group %d is written again: %s", self.label, number + 1, error)
                found.append(self._write(claim, plan, number, spool / f"again-{number}"))
        return found

    def _write(self, claim: Claim, plan: DayPlan, group: int, folder: Path) -> GroupFiles:
        """Write a group in this process."""
        progress = DayProgress(self.label, self.unit, plan, self.log, self._shown)

        def proceed(chunk: Sequence[FileRecord]) -> None:
            self.checkpoint("read")
            claim.check()
            progress.add(chunk)

        written = write_group(
            self.settings, self.ledger, self.contracts, plan, group, self.unit, folder, proceed
        )  # fmt: skip
        taken, files = written.taken, len(plan.files)
        self.log.info("%s: the rows of %d of %d files are those of their hours", self.label, taken, files)
        return written


@dataclass(frozen=True, slots=True)
class _Begun:
    """The plan of an earlier task, with its claim and its place."""

    token: str
    plan: DayPlan
    staging: Staging
