"""Build one publish hour: its parts whose inputs changed are written anew, all others are left as they are.

An output is a function of (raw files, the verdict on their events, settings, format version). The order is: claim
the part, read what it holds, plan the outputs, write them, record them, remove what they supersede. A crash between
any two steps heals in the next build, because the record still asks for it.
"""

from __future__ import annotations

import logging
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pismo_lake import storage
from pismo_lake.build.fingerprint import fingerprint
from pismo_lake.build.read import KeptPayloads, read_part
from pismo_lake.build.summary import BuildSummary, check_balance, counts_by_hour, written_rows
from pismo_lake.build.tables import folders, tables
from pismo_lake.build.units import noting_problems
from pismo_lake.contracts.store import ContractStore
from pismo_lake.errors import BuildSupersededError
from pismo_lake.index.dedupe import JudgedInputs
from pismo_lake.index.parsed import let_go
from pismo_lake.ledger import FileLedger
from pismo_lake.ledger.binding import LakeBinding
from pismo_lake.ledger.builds import BuildLedger, PartRecord
from pismo_lake.paths import output_name
from pismo_lake.privacy.mark import mark_lake
from pismo_lake.storage.parquet import parquet_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sqlalchemy import Connection

    from pismo_lake.hours import PublishHour
    from pismo_lake.index.dedupe import Verdict
    from pismo_lake.ledger import FileRecord, Ledger
    from pismo_lake.settings.lake import LakeSettings

_LOG = logging.getLogger(__name__)
_PATIENCE_SECONDS = 300.0
_GLANCE_SECONDS = 0.2


class ClaimLostError(Exception):
    """Another builder claimed the part after us: it has seen at least the files that we saw."""


class WidenedError(Exception):
    """A column that was written as int64 became decimal before the part was recorded: it is to be written again."""


def build_hour(
    settings: LakeSettings,
    ledger: Ledger,
    hour: PublishHour,
    *,
    force: bool = False,
    log: logging.Logger = _LOG,
    checkpoint: Callable[[str], None] | None = None,
) -> BuildSummary:
    """Bring the lake up to date with the landed files of one publish hour; those of a closed day are not its own.

    `force` builds unchanged parts too. `checkpoint` is told the step about to be taken ("write", "record",
    "remove"), which is where tests kill the process.
    """
    started = time.monotonic()
    LakeBinding(ledger, settings.lake, settings.delivery, settings.landing).bind()
    mark_lake(settings)
    builder = _HourBuilder(settings, ledger, hour, log, checkpoint or (lambda _: None))
    summary = builder.run(force=force)
    summary.seconds = time.monotonic() - started
    summary.tell(log)
    return summary


class _HourBuilder:
    """One hour's build."""

    def __init__(
        self, settings: LakeSettings, ledger: Ledger, hour: PublishHour, log: logging.Logger,
        checkpoint: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._settings, self._ledger, self._hour, self._log = settings, ledger, hour, log
        self._checkpoint = checkpoint
        self._builds = BuildLedger(ledger, settings.lake, settings.delivery, str(hour))
        self._files = FileLedger(ledger, settings.lake, settings.delivery)
        self._contracts = ContractStore(ledger, settings)
        self._judged = JudgedInputs(settings, ledger)

    def run(self, *, force: bool) -> BuildSummary:
        summary = BuildSummary(f"publish hour {self._hour}")
        files, verdicts = self._inputs()
        recorded = {record.part: record for record in self._builds.parts()}
        for part in sorted({record.part for record in files}):
            mine = [record for record in files if record.part == part]
            before = recorded.get(part)
            settled = before is not None and before.claim is None and not force
            if (
                before is not None
                and settled
                and before.fingerprint == self._fingerprint(mine, verdicts, before.counts)
            ):
                self._settle(before, mine)
                summary.parts_skipped += 1
                summary.add(before.counts, written=False)
                continue
            summary.add(self._build_part(part))
            summary.parts_built += 1
            summary.unreadable += tuple(record.name for record in mine if record.status == "unreadable")
        for part in recorded.keys() - {record.part for record in files}:
            # its day was closed, or is: claimed before anything goes, since a late file may be on its way into it
            summary.add(self._build_part(part))
        return summary

    def _inputs(self) -> tuple[list[FileRecord], dict[str, Verdict]]:
        return self._judged.of(self._files.of_hour(str(self._hour)))

    def _fingerprint(self, files: Sequence[FileRecord], verdicts: dict[str, Verdict], counts: dict[str, Any]) -> str:
        return fingerprint(self._settings, self._contracts, files, verdicts, counts)

    def _settle(self, record: PartRecord, files: Sequence[FileRecord]) -> None:
        """Finish what a crash left of an unchanged part: superseded files to remove, marks to set."""
        self._remove_superseded(record.part, record.superseded)
        let_go(self._settings, files)
        if not all(item.built for item in files):
            self._builds.mark_built(files)

    def _build_part(self, part: int) -> dict[str, Any]:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            token = self._builds.claim(part)
            # read after the claim: whoever claims last has seen every file that anyone before it saw
            files, verdicts = self._inputs()
            self._contracts = ContractStore(self._ledger, self._settings)
            mine = [record for record in files if record.part == part]
            if not mine:
                self._empty(part)
                return {}
            try:
                with noting_problems(self._files, f"publish hour {self._hour}", mine):
                    return self._write_part(part, token, mine, verdicts)
            except ClaimLostError:
                self._log.info("part %d of %s was claimed by another run, waiting for it", part, self._hour)
                counts = self._await_other(part, deadline)
                if counts is not None:
                    return counts
            except WidenedError:
                self._log.info("a column of part %d of %s became decimal meanwhile, writing it again", part, self._hour)

    def _refuse_widened(self, connection: Connection) -> None:
        if self._contracts.widened_since(connection):
            raise WidenedError

    def _await_other(self, part: int, deadline: float) -> dict[str, Any] | None:
        """Counts of the other run's build; None where it gave up for too long and the part is ours again."""
        quiet_until = time.monotonic() + _PATIENCE_SECONDS / 10
        while time.monotonic() < deadline:
            record = self._builds.part(part)
            if record is None or time.monotonic() > quiet_until:
                return None
            if record.claim is None:
                return record.counts
            time.sleep(_GLANCE_SECONDS)
        msg = f"part {part} of publish hour {self._hour} stays claimed by another run"
        raise BuildSupersededError(msg)

    def _write_part(
        self, part: int, token: str, files: Sequence[FileRecord], verdicts: dict[str, Verdict]
    ) -> dict[str, Any]:
        settings, hour = self._settings, str(self._hour)
        rows = read_part(files, verdicts, KeptPayloads(settings, self._contracts.get))
        counts: dict[str, Any] = {"files": len(files), "bytes": sum(record.plain_size for record in files)}
        counts |= {"events": rows.events, "duplicates": rows.duplicates, "conflicts": rows.conflicts}
        counts |= {"erased": rows.erased}
        counts |= {"rejects": len(rows.rejects), "by_hour": counts_by_hour(files, verdicts)}
        counts["by_type"] = {name: asdict(of_type) for name, of_type in sorted(rows.by_type.items())}
        digest = self._fingerprint(files, verdicts, counts)
        name = output_name(settings.delivery, hour, part, digest)
        outputs = [f"{folder}/{name}" for folder in folders(rows, settings, self._hour.date, self._contracts.get)]
        if not self._builds.plan(part, token, outputs):
            raise ClaimLostError
        written: dict[str, int] = {}
        for folder, table in tables(rows, settings, self._hour.date, self._contracts.get):
            data = parquet_bytes(table, settings.key)
            self._checkpoint("write")
            self._hold(part, token, written)
            output = f"{folder}/{name}"
            written[output] = table.num_rows
            storage.write_atomic(storage.join(settings.lake, output), data)
        counts |= written_rows(written.items())
        check_balance(f"publish hour {hour} part {part}", counts)
        self._checkpoint("record")
        superseded = self._builds.commit(
            part, token, fingerprint=digest, outputs=list(written), counts=counts, taken_in=files,
            verify=self._refuse_widened,
        )  # fmt: skip
        if superseded is None:
            self._hold(part, token, written)
            raise ClaimLostError
        self._checkpoint("remove")
        self._remove_superseded(part, superseded)
        let_go(self._settings, files)
        return counts

    def _hold(self, part: int, token: str, written: Iterable[str]) -> None:
        """Go on only while the claim stands; what was written and nobody else wants goes."""
        if self._builds.holds(part, token):
            return
        record = self._builds.part(part)
        kept = {*record.outputs, *record.superseded} if record else set()
        remove_outputs(self._settings.lake, [path for path in written if path not in kept])
        raise ClaimLostError

    def _remove_superseded(self, part: int, superseded: Sequence[str]) -> None:
        if superseded:
            remove_outputs(self._settings.lake, superseded)
            self._builds.cleared(part, superseded)

    def _empty(self, part: int) -> None:
        """Remove what is left of a claimed part whose files the closed day has taken in."""
        record = self._builds.part(part)
        if record is not None:
            remove_outputs(self._settings.lake, (*record.outputs, *record.superseded))
            self._builds.drop(part, record)


def remove_outputs(lake: str, outputs: Iterable[str]) -> None:
    """Remove files below a lake; those that are gone already are no error."""
    for output in outputs:
        storage.remove(storage.join(lake, output))
