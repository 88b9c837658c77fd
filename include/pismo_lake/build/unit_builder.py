"""Build the parts of a unit whose inputs changed: the protocol of hours and days.

An output is a function of (raw files, the verdict on their events, settings, format version). For each part the order
is: claim it, read its files, plan its outputs, write them, record them, remove the files that they supersede. After a
crash between any two steps the next build completes the work, because the record still asks for it.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from pismo_lake.build.claim import Claim, ClaimLostError
from pismo_lake.build.draft import Inputs
from pismo_lake.build.fingerprint import fingerprint
from pismo_lake.build.heartbeat import wait_for_other
from pismo_lake.build.only_copies import refuse_only_copies
from pismo_lake.build.part_recorder import OutdatedError, PartRecorder
from pismo_lake.build.summary import BuildSummary
from pismo_lake.build.table_commits import TableCommits
from pismo_lake.build.units import note_problems
from pismo_lake.build.winners import Winners
from pismo_lake.contracts.store import ContractStore
from pismo_lake.errors import BuildSupersededError
from pismo_lake.hours import PublishHour
from pismo_lake.index.dedupe import JudgedInputs
from pismo_lake.index.parsed import let_go
from pismo_lake.ledger import FileLedger
from pismo_lake.ledger.binding import LakeBinding
from pismo_lake.privacy.mark import mark_lake

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection

    from pismo_lake.build.draft import Draft
    from pismo_lake.index.dedupe import Verdict
    from pismo_lake.ledger import FileRecord, Ledger
    from pismo_lake.ledger.builds import BuildLedger, PartRecord
    from pismo_lake.settings.lake import LakeSettings

_ATTEMPTS = 10


class UnitBuilder(ABC):
    """Build one unit; a subclass knows the unit's files and drafts the Parquet files of a part.

    Attributes:
        waits: if true, and another run builds a part, this builder waits for it first. If false, this builder takes
            the part over at once, and the other one waits.
    """

    waits: ClassVar[bool]

    def __init__(
        self, settings: LakeSettings, ledger: Ledger, builds: BuildLedger, label: str, log: logging.Logger,
        checkpoint: Callable[[str], None] | None,
    ) -> None:  # fmt: skip
        self.settings, self.ledger, self.builds, self.label, self.log = settings, ledger, builds, label, log
        self.checkpoint = checkpoint or (lambda _: None)
        self.landed = FileLedger(ledger, settings.lake, settings.delivery)
        self.contracts = ContractStore(ledger, settings)
        self.judged = JudgedInputs(settings, ledger)
        self._to_finish: list[tuple[int, Sequence[str]]] = []
        self._pending, self._moved = set[int](), False
        self.others: list[BuildSummary] = []
        self.winners = Winners(settings, self.landed, self.unit, self.build_other, log)
        self._recorder = PartRecorder(settings.delivery, self.unit, self.checkpoint, self._refuse_outdated)
        self._tables = TableCommits(settings, ledger, builds, self.unit, self.checkpoint)

    @property
    @abstractmethod
    def unit(self) -> str:
        """The unit's name in the ledger."""

    @abstractmethod
    def files(self) -> list[FileRecord]:
        """Return the landed files of the unit in rank order."""

    @abstractmethod
    def part_of(self, record: FileRecord) -> int:
        """Return the part of a file."""

    def has_part(self, part: int) -> bool:  # noqa: ARG002
        """Return whether this builder builds a part of the unit."""
        return True

    @property
    def has_every_part(self) -> bool:
        """Whether this builder builds all parts of the unit."""
        return True

    @abstractmethod
    def draft(
        self, claim: Claim, files: Sequence[FileRecord], verdicts: dict[str, Verdict]
    ) -> AbstractContextManager[Draft]:
        """Read the files of a claimed part, and prepare its Parquet files while the block runs."""

    def own_settings(self) -> tuple[object, ...]:
        """Return the settings that outputs of this kind of unit depend on, besides the common ones."""
        return ()

    def is_taken_in(self, files: Sequence[FileRecord]) -> bool:  # noqa: ARG002
        """Return whether the ledger counts files as part of this unit."""
        return True

    def replaces(self) -> list[str]:
        """Return paths of other units that a build of this unit replaces."""
        return []

    def replaced_records(self, part: int) -> list[PartRecord]:
        """Return the records whose outputs a build of a part replaces."""
        before = self.builds.part(part)
        return [before] if before is not None else []

    def replaces_rows(self, part: int) -> bool:
        """Return whether the lake may have rows that a build of a part replaces."""
        before = self.builds.part(part)
        return before is not None and bool(before.outputs)

    @abstractmethod
    def build_hour(self, hour: PublishHour) -> BuildSummary:
        """Build another publish hour of the delivery."""

    def build_other(self, hour: str) -> None:
        """Build another publish hour of the delivery, and count the rows as written by this build."""
        self.others.append(self.build_hour(PublishHour.parse(hour)))
        self._tables.expect_commit()

    def begun_claim(self) -> Claim | None:
        """Return the claim that an earlier task of the same run has made for this build, if it still holds."""
        return None

    def claimed_inputs(self, part: int) -> tuple[Inputs, bool]:
        """Return the inputs of a claimed part, and whether its rows move to another part of this unit."""
        return self.winners.build(part, self.inputs(), self.inputs, self.replaces_rows)

    def forget_begun(self) -> None:  # noqa: B027
        """Do without the work of earlier tasks, because it is out of date."""

    def before_removal(self) -> None:  # noqa: B027
        """Prepare the removal of superseded files, after the new ones are recorded."""

    def run(self, *, force: bool) -> BuildSummary:
        """Bring the lake up to date with the unit's files; if `force`, build unchanged parts too."""
        started = time.monotonic()
        self.bind()
        summary = BuildSummary(self.label)
        inputs = self.inputs()
        recorded = {record.part: record for record in self.builds.parts() if self.has_part(record.part)}
        # if a recorded part has no files, a closed day has taken them, or they were forgotten
        done, todo = set[int](), inputs.parts.keys() | recorded.keys()
        while todo:
            for part in sorted(todo):
                self._update(part, inputs, recorded.get(part), summary, force=force)
            done |= todo
            # rows may have moved to a part with a file that came during the build
            inputs = self.inputs() if self._moved else inputs
            todo = inputs.parts.keys() - done
        while self._to_finish:
            self._finish(*self._to_finish.pop())
        self._tables.commit()
        self._tables.remove_replaced(self.winners.units)
        self._tables.remove_kept()
        for other in self.others:
            summary.join_written(other)
        summary.seconds = time.monotonic() - started
        summary.write_log(self.log)
        return summary

    def bind(self) -> None:
        """Refuse a ledger of another lake, and mark a lake that has a policy."""
        LakeBinding(self.ledger, self.settings.lake, self.settings.delivery, self.settings.landing).bind()
        mark_lake(self.settings)

    def inputs(self) -> Inputs:
        """Return the landed files of the unit, with the present verdicts."""
        files, verdicts = self.judged.of(self.files())
        parts: dict[int, list[FileRecord]] = {}
        for record in files:
            parts.setdefault(self.part_of(record), []).append(record)
        return Inputs(parts, verdicts)

    def fingerprint(self, files: Sequence[FileRecord], verdicts: dict[str, Verdict], counts: dict[str, Any]) -> str:
        """Return the fingerprint of a part's outputs; `counts` name its event types."""
        return fingerprint(self.settings, self.contracts, files, verdicts, counts, *self.own_settings())

    def _update(
        self, part: int, inputs: Inputs, before: PartRecord | None, summary: BuildSummary, *, force: bool
    ) -> None:
        """Build a part until its files and its record agree, by this run or another."""
        for _ in range(_ATTEMPTS):
            claim = self.begun_claim()
            if claim is None:
                if self.waits and wait_for_other(self.builds, part, self.log):
                    inputs, before = self.inputs(), self.builds.part(part)
                files = inputs.parts.get(part, [])
                if not files and (before is None or before.is_emptied):
                    return
                if before is not None and not force and self.is_unchanged(before, files, inputs.verdicts):
                    self._settle(before, files)
                    summary.parts_skipped += 1
                    summary.add(before.counts, written=False)
                    return
            try:
                self._build(claim or self.claim(part), summary)
            except ClaimLostError:
                self.log.info("part %d of %s was claimed by another run, waiting for it", part, self.label)
                self.forget_begun()
                wait_for_other(self.builds, part, self.log)
                inputs, before = self.inputs(), self.builds.part(part)
            except OutdatedError as change:
                self.log.info("%s while part %d of %s was built: it is written again", change, part, self.label)
                self.forget_begun()
                inputs, before = self.inputs(), self.builds.part(part)
            else:
                return
        msg = f"other runs changed part {part} of {self.label} {_ATTEMPTS} times while it was built"
        raise BuildSupersededError(msg)

    def is_unchanged(self, before: PartRecord, files: Sequence[FileRecord], verdicts: dict[str, Verdict]) -> bool:
        """Return whether a recorded part is the one that its files would give."""
        if not files or before.claim is not None or not self.is_taken_in(files):
            return False
        return before.fingerprint == self.fingerprint(files, verdicts, before.counts)

    def _settle(self, record: PartRecord, files: Sequence[FileRecord]) -> None:
        """Finish the steps of an unchanged part that a crash interrupted.

        Files are removed at the end of the run: their rows may be in a part that is still to be built.
        """
        if record.pending:
            # also if nothing is left to remove: until then the rows of a day's late hours count as moving
            self._to_finish.append((record.part, record.superseded))
            self._pending.add(record.part)
        let_go(self.settings, files)
        if not all(item.built for item in files):
            self.builds.mark_built(record, files)

    def claim(self, part: int) -> Claim:
        """Claim a part; another builder at work on it loses it."""
        return Claim(self.builds, self.settings.lake, part, self.log)

    def _build(self, claim: Claim, summary: BuildSummary) -> None:
        part = claim.part
        with claim.hold():
            # read after the claim: then the last claimant knows every file that an earlier one knew
            inputs, moves = self.claimed_inputs(part)
            if moves and not self.has_every_part:
                # its row stays until a run builds the part with the winning copy, and then this one
                claim.release()
                return
            refuse_only_copies(self.settings, self.ledger, self.unit, self.replaced_records(part))
            self._moved |= moves
            files = inputs.parts.get(part, [])
            if not files:
                claim.remove_part(self._tables.commit_without(part))
                return
            self.contracts = ContractStore(self.ledger, self.settings)
            with note_problems(self.landed, self.label, files):
                counts, superseded = self._recorder.write(
                    claim,
                    files,
                    self.draft(claim, files, inputs.verdicts),
                    partial(self.fingerprint, files, inputs.verdicts),
                )
        self._tables.expect_commit()
        # with tables, all parts are committed in one snapshot
        if moves or self._tables.exist:
            self._to_finish.append((part, superseded))
        else:
            self._finish(part, superseded)
        let_go(self.settings, files)
        summary.add(counts)
        summary.parts_built += 1
        summary.unreadable += tuple(record.name for record in files if record.status == "unreadable")

    def _refuse_outdated(self, connection: Connection) -> None:
        if self.contracts.has_widened_since(connection):
            msg = "a column became decimal"
            raise OutdatedError(msg)
        if self.judged.is_outdated(connection):
            msg = "events were erased"
            raise OutdatedError(msg)

    def _finish(self, part: int, superseded: Sequence[str]) -> None:
        self.before_removal()
        self._tables.commit()
        self.checkpoint("remove")
        if superseded or part in self._pending:
            self._tables.remove_superseded(part, superseded)
