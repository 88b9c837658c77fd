"""Close a publish day: rebuild it from raw into few large files that replace those of its hours.

The order is: write everything to a spool, plan, put the new files in their places, record them in one transaction
that also takes the day's files away from their hours, build hours that got a late file meanwhile, remove what is
replaced. Between the first new file and the last removal a reader sees both; nothing is ever missing. A crash
anywhere heals in the next run, which finds the plan, or what is left to remove, in the ledger.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pismo_lake import storage
from pismo_lake.build.fingerprint import fingerprint
from pismo_lake.build.heartbeat import beating, wait_for_other
from pismo_lake.build.hour import ClaimLostError, WidenedError, build_hour, remove_outputs
from pismo_lake.build.read import KeptPayloads, TypeCounts, read_part
from pismo_lake.build.summary import COUNTED, BuildSummary, check_balance, counts_by_hour, written_rows
from pismo_lake.build.tables import tables
from pismo_lake.build.units import noting_problems
from pismo_lake.contracts.store import ContractStore
from pismo_lake.hours import PublishDay, PublishHour, unit_of
from pismo_lake.index.dedupe import JudgedInputs
from pismo_lake.index.ids import ids_folder, write_ids
from pismo_lake.index.parsed import let_go
from pismo_lake.ledger import FileLedger
from pismo_lake.ledger.binding import LakeBinding
from pismo_lake.ledger.days import PART, DayLedger
from pismo_lake.paths import SPOOL, output_name, safe_segment
from pismo_lake.privacy.mark import mark_lake
from pismo_lake.storage.partition_writer import PartitionFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Connection

    from pismo_lake.index.dedupe import Verdict
    from pismo_lake.ledger import FileRecord, Ledger
    from pismo_lake.ledger.builds import PartRecord
    from pismo_lake.settings.lake import LakeSettings

_LOG = logging.getLogger(__name__)
_PROGRESS_SECONDS = 10.0


def build_unit(settings: LakeSettings, ledger: Ledger, unit: str, **options: Any) -> BuildSummary:
    """Build a publish hour, or a publish day that was closed before and has changed since."""
    parsed = unit_of(unit)
    if isinstance(parsed, PublishHour):
        return build_hour(settings, ledger, parsed, **options)
    return close_day(settings, ledger, parsed, **options)


def close_day(
    settings: LakeSettings,
    ledger: Ledger,
    day: PublishDay,
    *,
    force: bool = False,
    log: logging.Logger = _LOG,
    checkpoint: Callable[[str], None] | None = None,
) -> BuildSummary:
    """Bring the lake's closed day up to date with what is landed of it; nothing is written where nothing changed.

    `force` builds an unchanged day too. `checkpoint` is told the step about to be taken ("read", "write", "record",
    "late", "remove"), which is where tests kill the process.
    """
    started = time.monotonic()
    LakeBinding(ledger, settings.lake, settings.delivery, settings.landing).bind()
    mark_lake(settings)
    summary = _DayBuilder(settings, ledger, day, log, checkpoint or (lambda _: None)).run(force=force)
    summary.seconds = time.monotonic() - started
    summary.tell(log)
    return summary


class _DayBuilder:
    """One day's build."""

    def __init__(
        self, settings: LakeSettings, ledger: Ledger, day: PublishDay, log: logging.Logger,
        checkpoint: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._settings, self._ledger, self._day, self._log = settings, ledger, day, log
        self._checkpoint = checkpoint
        self._builds = DayLedger(ledger, settings.lake, settings.delivery, str(day))
        self._files = FileLedger(ledger, settings.lake, settings.delivery)
        self._contracts = ContractStore(ledger, settings)
        self._judged = JudgedInputs(settings, ledger)

    def run(self, *, force: bool) -> BuildSummary:
        summary = BuildSummary(f"publish day {self._day}")
        while True:
            wait_for_other(self._builds, PART, self._log)
            files, verdicts = self._inputs()
            before = self._builds.part(PART)
            if not files and before is None:
                return summary
            if before is not None and not force and self._unchanged(before, files, verdicts):
                self._settle(before, files)
                summary.parts_skipped = 1
                summary.add(before.counts, written=False)
                return summary
            try:
                summary.add(self._build())
            except ClaimLostError:
                self._log.info("publish day %s was claimed by another run, waiting for it", self._day)
                continue
            except WidenedError:
                self._log.info("a column of %s became decimal meanwhile, writing it again", self._day)
                continue
            summary.parts_built = 1
            summary.unreadable = tuple(record.name for record in files if record.status == "unreadable")
            return summary

    def _inputs(self) -> tuple[list[FileRecord], dict[str, Verdict]]:
        return self._judged.of(self._files.of_day(str(self._day)))

    def _unchanged(self, before: PartRecord, files: Sequence[FileRecord], verdicts: dict[str, Verdict]) -> bool:
        closed = before.claim is None and all(record.closed for record in files)
        return closed and before.fingerprint == self._fingerprint(files, verdicts, before.counts)

    def _fingerprint(self, files: Sequence[FileRecord], verdicts: dict[str, Verdict], counts: dict[str, Any]) -> str:
        return fingerprint(self._settings, self._contracts, files, verdicts, counts, self._settings.target_bytes)

    def _settle(self, record: PartRecord, files: Sequence[FileRecord]) -> None:
        if record.superseded:
            self._finish(record.superseded)
        let_go(self._settings, files)
        if not all(item.built for item in files):
            self._builds.mark_built(files)

    def _build(self) -> dict[str, Any]:
        token = self._builds.claim(PART)
        with beating(self._builds, PART, token, self._log), self._spool(token) as spool:
            # read after the claim: whoever claims last has seen every file that anyone before it saw
            files, verdicts = self._inputs()
            self._contracts = ContractStore(self._ledger, self._settings)
            started = time.monotonic()
            try:
                with noting_problems(self._files, f"publish day {self._day}", files):
                    counts, spooled = self._read(files, verdicts, spool, token)
                digest = self._fingerprint(files, verdicts, counts)
                ids = spool / "ids.parquet"
                counts["ids"] = write_ids(files, ids)
                spooled[ids_folder(str(self._day))] = ([ids], counts["ids"])
                outputs = self._publish(spooled, digest, token)
            except OSError:
                # whoever took the day over has removed this spool
                self._hold(token, ())
                raise
            counts["seconds"] = round(time.monotonic() - started, 3)
            self._checkpoint("record")
            superseded = self._builds.commit(
                PART, token, fingerprint=digest, outputs=sorted(outputs), counts=counts, taken_in=files,
                verify=self._refuse_widened,
            )  # fmt: skip
            if superseded is None:
                self._hold(token, outputs)
                raise ClaimLostError
        self._finish(superseded)
        let_go(self._settings, files)
        return counts

    def _finish(self, superseded: Sequence[str]) -> None:
        """Hours that got a file while the day was built stand again before what they wrote last goes."""
        self._checkpoint("late")
        for unit in self._files.unbuilt_units():
            if unit.startswith(f"{self._day}T"):
                build_hour(self._settings, self._ledger, PublishHour.parse(unit), log=self._log)
        self._checkpoint("remove")
        remove_outputs(self._settings.lake, superseded)
        self._builds.cleared(PART, superseded)

    def _refuse_widened(self, connection: Connection) -> None:
        if self._contracts.widened_since(connection):
            raise WidenedError

    def _read(
        self, files: Sequence[FileRecord], verdicts: dict[str, Verdict], spool: Path, token: str
    ) -> tuple[dict[str, Any], dict[str, tuple[list[Path], int]]]:
        """Read the day part by part into the spool; what was counted, and the spooled files by folder."""
        settings, date = self._settings, str(self._day)
        counts: dict[str, Any] = dict.fromkeys(COUNTED, 0)
        by_type: dict[str, TypeCounts] = {}
        partitions = PartitionFiles(spool, settings.target_bytes, settings.key)
        payloads = KeptPayloads(settings, self._contracts.get)
        started = told = time.monotonic()
        total = sum(record.plain_size for record in files)
        for chunk in _parts(files, settings.part_bytes):
            self._checkpoint("read")
            self._hold(token, ())
            rows = read_part(chunk, verdicts, payloads)
            counts["files"] += len(chunk)
            counts["bytes"] += sum(record.plain_size for record in chunk)
            counts["rejects"] += len(rows.rejects)
            for name in ("events", "duplicates", "conflicts", "erased"):
                counts[name] += getattr(rows, name)
            for name, of_type in rows.by_type.items():
                by_type.setdefault(name, TypeCounts()).add(of_type)
            for folder, table in tables(rows, settings, date, self._contracts.get):
                partitions.add(folder, table)
            if time.monotonic() - told > _PROGRESS_SECONDS:
                told = time.monotonic()
                self._log.info(
                    "closing %s: %d of %d files, %d events, %.1f of %.1f MB, %.1f MB/s", self._day, counts["files"],
                    len(files), counts["events"], counts["bytes"] / 1e6, total / 1e6,
                    counts["bytes"] / 1e6 / (told - started),
                )  # fmt: skip
        spooled = partitions.finish()
        counts |= written_rows((folder, rows) for folder, (_, rows) in spooled.items())
        counts["by_type"] = {name: asdict(by_type[name]) for name in sorted(by_type)}
        counts["by_hour"] = counts_by_hour(files, verdicts)
        check_balance(f"publish day {date}", counts)
        return counts, spooled

    def _publish(self, spooled: dict[str, tuple[list[Path], int]], digest: str, token: str) -> list[str]:
        """Plan, then move the spooled files to their places, one after the other."""
        settings = self._settings
        named = [
            (path, f"{folder}/{output_name(settings.delivery, str(self._day), number, digest)}")
            for folder, (paths, _) in spooled.items()
            for number, path in enumerate(paths)
        ]
        outputs = [output for _, output in named]
        if not self._builds.plan(PART, token, outputs):
            raise ClaimLostError
        for done, (path, output) in enumerate(named):
            self._checkpoint("write")
            self._hold(token, outputs[:done])
            storage.move_in(path, storage.join(settings.lake, output))
        return outputs

    def _hold(self, token: str, written: Sequence[str]) -> None:
        """Go on only while the claim stands; what was written and nobody else wants goes."""
        if self._builds.holds(PART, token):
            return
        record = self._builds.part(PART)
        kept = {*record.outputs, *record.superseded} if record else set()
        remove_outputs(self._settings.lake, [path for path in written if path not in kept])
        raise ClaimLostError

    @contextmanager
    def _spool(self, token: str) -> Iterator[Path]:
        """A folder for files on their way: in a local lake beside it, so that they are moved and not copied.

        What a killed build of this day left there goes too: its claim is lost.
        """
        if not storage.is_local(self._settings.lake):
            with tempfile.TemporaryDirectory(prefix="pismo-close-") as folder:
                yield Path(folder)
            return
        root = storage.local_path(self._settings.lake) / SPOOL
        name = f"{safe_segment(self._settings.delivery)}-{self._day}"
        for stale in root.glob(f"{name}-*"):
            shutil.rmtree(stale, ignore_errors=True)
        folder_here = root / f"{name}-{token}"
        try:
            yield folder_here
        finally:
            shutil.rmtree(folder_here, ignore_errors=True)


def _parts(files: Sequence[FileRecord], part_bytes: int) -> Iterator[list[FileRecord]]:
    """Files in their order, as many at a time as `part_bytes` holds."""
    part: list[FileRecord] = []
    size = 0
    for record in files:
        if part and size + record.plain_size > part_bytes:
            yield part
            part, size = [], 0
        part.append(record)
        size += record.plain_size
    if part:
        yield part
