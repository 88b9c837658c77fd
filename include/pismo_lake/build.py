"""Build one publish hour: its parts whose inputs changed are written anew, all others are left as they are.

An output is a function of (raw files, the verdict on their events, settings, format version). The order is: claim
the part, read what it holds, write the outputs, record them, remove what they supersede. A crash between any two
steps heals in the next build, because the record still asks for it.
"""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from pismo_lake import storage
from pismo_lake.build_ledger import BuildLedger, PartRecord
from pismo_lake.contract_store import ContractStore
from pismo_lake.dedupe import judge, predecessors
from pismo_lake.errors import BuildSupersededError, LakeError
from pismo_lake.layout import PublishHour, output_name
from pismo_lake.part import parquet_bytes, read_part, tables

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from pismo_lake.dedupe import Verdict
    from pismo_lake.ledger import FileRecord, Ledger
    from pismo_lake.settings import LakeSettings

FORMAT_VERSION = "1"
"""Raised when the same input would give other rows or columns: every part is then built anew when next asked."""

_LOG = logging.getLogger(__name__)
_PATIENCE_SECONDS = 300.0
_GLANCE_SECONDS = 0.2


@dataclass(slots=True)
class BuildSummary:
    """Totals of one hour; events = rows + duplicates, conflicts are the duplicates whose content differs."""

    parts_built: int = 0
    parts_skipped: int = 0
    files: int = 0
    events: int = 0
    rows: int = 0
    duplicates: int = 0
    conflicts: int = 0
    rejects: int = 0
    bytes: int = 0
    seconds: float = 0.0
    unreadable: tuple[str, ...] = ()
    by_type: dict[str, dict[str, int]] = field(default_factory=dict)

    def add(self, counts: dict[str, Any]) -> None:
        """Take a part's counts in."""
        for name, of_type in counts.get("by_type", {}).items():
            mine = self.by_type.setdefault(name, dict.fromkeys(of_type, 0))
            for what, count in of_type.items():
                mine[what] += count
        for name in ("files", "events", "rows", "duplicates", "conflicts", "rejects", "bytes"):
            setattr(self, name, getattr(self, name) + counts.get(name, 0))


class _ClaimLostError(Exception):
    """Another builder claimed the part after us: it has seen at least the files that we saw."""


def build_hour(
    settings: LakeSettings,
    ledger: Ledger,
    hour: PublishHour,
    *,
    force: bool = False,
    log: logging.Logger = _LOG,
    checkpoint: Callable[[str], None] | None = None,
) -> BuildSummary:
    """Bring the lake up to date with the landed files of one publish hour.

    `force` builds unchanged parts too. `checkpoint` is told the step about to be taken ("write", "record",
    "remove"), which is where tests kill the process.
    """
    started = time.monotonic()
    builder = _Builder(settings, ledger, hour, log, checkpoint or (lambda _: None))
    summary = builder.run(force=force)
    summary.seconds = time.monotonic() - started
    log.info(
        "publish hour %s: %d part(s) built, %d unchanged; %d files, %d events -> %d rows, %d duplicates"
        " (%d conflicting), %d rejects; %.1f MB in %.1f s, %.1f MB/s",
        hour, summary.parts_built, summary.parts_skipped, summary.files, summary.events, summary.rows,
        summary.duplicates, summary.conflicts, summary.rejects, summary.bytes / 1e6, summary.seconds,
        summary.bytes / 1e6 / max(summary.seconds, 1e-6),
    )  # fmt: skip
    return summary


class _WidenedError(Exception):
    """A column that was written as int64 became decimal before the part was recorded: it is to be written again."""


class _Builder:
    """One hour's build."""

    def __init__(
        self, settings: LakeSettings, ledger: Ledger, hour: PublishHour, log: logging.Logger,
        checkpoint: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._settings, self._ledger, self._hour, self._log = settings, ledger, hour, log
        self._checkpoint = checkpoint
        self._builds = BuildLedger(ledger, settings.lake, settings.delivery, str(hour))
        self._contracts = ContractStore(ledger, settings)
        self._judged: tuple[object, dict[str, Verdict]] | None = None

    def run(self, *, force: bool) -> BuildSummary:
        summary = BuildSummary()
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
                summary.add(before.counts)
                continue
            summary.add(self._build_part(part))
            summary.parts_built += 1
            summary.unreadable += tuple(record.name for record in mine if record.status == "unreadable")
        for part, before in recorded.items():
            if part not in {record.part for record in files}:
                self._remove((*before.outputs, *before.superseded))
                self._builds.drop(part)
        return summary

    def _inputs(self) -> tuple[list[FileRecord], dict[str, Verdict]]:
        settings = self._settings
        files = self._ledger.files_of_hour(settings.lake, settings.delivery, str(self._hour))
        earlier = predecessors(settings, self._ledger, self._hour, files)
        seen = ([record.rank for record in files], [record.rank for record in earlier])
        if self._judged is None or self._judged[0] != seen:
            # an hour of many parts is judged once, not once a part, as long as no file joins it
            self._judged = (seen, judge(files, earlier))
        return files, self._judged[1]

    def _fingerprint(self, files: Sequence[FileRecord], verdicts: dict[str, Verdict], counts: dict[str, Any]) -> str:
        settings = self._settings
        digest = hashlib.sha256(f"{FORMAT_VERSION}|{settings.event_date_zone}".encode())
        for record in files:
            verdict = verdicts[record.name]
            digest.update(f"|{record.name}|{record.sha256}|".encode())
            digest.update(verdict.kept.tobytes() + b"|" + verdict.conflict.tobytes())
        for name in sorted(counts.get("by_type", ())):
            # added columns leave files readable as they are, retyped ones do not
            for path in self._contracts.widened(name):
                digest.update(f"|{name}{path}".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def _settle(self, record: PartRecord, files: Sequence[FileRecord]) -> None:
        """Finish what a crash left of an unchanged part: superseded files to remove, marks to set."""
        if record.superseded:
            self._remove(record.superseded)
            self._builds.cleared(record.part)
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
            try:
                return self._write_part(part, token, mine, verdicts)
            except _ClaimLostError:
                self._log.info("part %d of %s was claimed by another run, waiting for it", part, self._hour)
                counts = self._await_other(part, deadline)
                if counts is not None:
                    return counts
            except _WidenedError:
                self._log.info("a column of part %d of %s became decimal meanwhile, writing it again", part, self._hour)

    def _refuse_widened(self, connection: Connection) -> None:
        if self._contracts.widened_since(connection):
            raise _WidenedError

    def _await_other(self, part: int, deadline: float) -> dict[str, Any] | None:
        """Counts of the other run's build; None where it gave up for too long and the part is ours again."""
        quiet_until = time.monotonic() + _PATIENCE_SECONDS / 10
        while time.monotonic() < deadline:
            record = next((item for item in self._builds.parts() if item.part == part), None)
            if record is not None and record.claim is None:
                return record.counts
            if time.monotonic() > quiet_until:
                return None
            time.sleep(_GLANCE_SECONDS)
        msg = f"part {part} of publish hour {self._hour} stays claimed by another run"
        raise BuildSupersededError(msg)

    def _write_part(
        self, part: int, token: str, files: Sequence[FileRecord], verdicts: dict[str, Verdict]
    ) -> dict[str, Any]:
        settings, name = self._settings, output_name(self._settings.delivery, str(self._hour), part)
        rows = read_part(files, verdicts)
        counts: dict[str, Any] = {"files": len(files), "bytes": sum(record.plain_size for record in files), "rows": 0}
        counts |= {"events": rows.events, "duplicates": rows.duplicates, "conflicts": rows.conflicts}
        counts |= {"rejects": len(rows.rejects)}
        counts["by_type"] = {name: asdict(of_type) for name, of_type in sorted(rows.by_type.items())}
        outputs: list[str] = []
        for folder, table in tables(rows, settings, self._hour.date, self._contracts.get):
            data = parquet_bytes(table)
            self._checkpoint("write")
            if not self._builds.holds(part, token):
                raise _ClaimLostError
            outputs.append(f"{folder}/{name}")
            storage.write_atomic(storage.join(settings.lake, outputs[-1]), data)
            counts["rows"] += table.num_rows if folder.startswith("events/") else 0
        if counts["rows"] + counts["duplicates"] != counts["events"]:
            msg = (
                f"publish hour {self._hour} part {part} does not balance: {counts['events']} events,"
                f" {counts['rows']} rows, {counts['duplicates']} duplicates; nothing was recorded"
            )
            raise LakeError(msg)
        self._checkpoint("record")
        superseded = self._builds.commit(
            part, token, fingerprint=self._fingerprint(files, verdicts, counts), outputs=outputs, counts=counts,
            taken_in=files, verify=self._refuse_widened,
        )  # fmt: skip
        if superseded is None:
            raise _ClaimLostError
        self._checkpoint("remove")
        if superseded:
            self._remove(superseded)
            self._builds.cleared(part)
        return counts

    def _remove(self, outputs: Sequence[str]) -> None:
        for output in outputs:
            storage.remove(storage.join(self._settings.lake, output))
