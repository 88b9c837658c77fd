"""Close a publish day: rebuild it into a few large files that replace those of its hours.

A day differs from other units. It is written to a spool before anything is planned. The transaction that records it
takes its files from their hours. Hours that got a late file meanwhile are built before anything is removed. Between
the first new file and the last removal a reader sees old and new files, but never too few.
"""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from pismo_lake import storage
from pismo_lake.build.draft import Draft, Output
from pismo_lake.build.hour import HourBuilder, build_hour
from pismo_lake.build.hour_rows import HourRows, taken_tables
from pismo_lake.build.read import KeptPayloads, read_part
from pismo_lake.build.spool import spool_folder
from pismo_lake.build.summary import PartCounts, count_written
from pismo_lake.build.tables import count_rescued, tables
from pismo_lake.build.unit_builder import UnitBuilder
from pismo_lake.hours import PublishDay, PublishHour, unit_of
from pismo_lake.index.ids import ids_folder, write_ids
from pismo_lake.ledger.builds import BuildLedger
from pismo_lake.ledger.days import PART, DayLedger
from pismo_lake.progress import SILENT, size_text
from pismo_lake.storage.partition_writer import PartitionFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

    from pismo_lake.build.claim import Claim
    from pismo_lake.build.read import PartRows
    from pismo_lake.build.summary import BuildSummary
    from pismo_lake.index.dedupe import Verdict
    from pismo_lake.ledger import FileRecord, Ledger
    from pismo_lake.progress import Progress
    from pismo_lake.settings.lake import LakeSettings

_LOG = logging.getLogger(__name__)
_PROGRESS_SECONDS = 10.0


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
) -> BuildSummary:
    """Bring the lake's closed day up to date with its landed files; write only if they changed.

    Args:
        settings: the lake and how to write it.
        ledger: the ledger of the lake.
        day: the day.
        force: if true, an unchanged day is built too.
        log: the logger of the run.
        checkpoint: gets the name of the next step ("read", "write", "record", "late", "remove"). Tests kill the
            process in it.
        progress: shows how much of the day is read.
    """
    return DayBuilder(settings, ledger, day, log, checkpoint, progress).run(force=force)


def unit_builder(settings: LakeSettings, ledger: Ledger, unit: str, **options: Any) -> UnitBuilder:
    """Return the builder of a publish hour (YYYY-MM-DDTHH) or a publish day (YYYY-MM-DD)."""
    parsed = unit_of(unit)
    if isinstance(parsed, PublishHour):
        return HourBuilder(settings, ledger, parsed, **options)
    return DayBuilder(settings, ledger, parsed, **options)


class DayBuilder(UnitBuilder):
    """Build one publish day as one part, through a spool.

    A day takes long. So a builder waits for another one while that one shows that it is alive.
    """

    waits = True

    def __init__(
        self, settings: LakeSettings, ledger: Ledger, day: PublishDay, log: logging.Logger = _LOG,
        checkpoint: Callable[[str], None] | None = None, progress: Progress = SILENT,
    ) -> None:  # fmt: skip
        self._day, self._shown = day, progress
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
        place = (self.ledger, self.settings.lake, self.settings.delivery)
        return [
            path for hour in self._days.hours() for part in BuildLedger(*place, hour).parts() for path in part.outputs
        ]

    def replaces_rows(self, part: int) -> bool:
        """Return whether the day, or one of its hours, has rows."""
        return super().replaces_rows(part) or bool(self._days.hours())

    def before_removal(self) -> None:
        """Build the hours that got a late file during the close, so that no event is ever missing."""
        self.checkpoint("late")
        for unit in self.landed.unbuilt_units():
            if unit.startswith(f"{self._day}T"):
                self.build_other(unit)

    def build_hour(self, hour: PublishHour) -> BuildSummary:
        """Build a publish hour of the delivery."""
        return build_hour(self.settings, self.ledger, hour, log=self.log)

    @contextmanager
    def draft(self, claim: Claim, files: Sequence[FileRecord], verdicts: dict[str, Verdict]) -> Iterator[Draft]:
        """Write the day to a spool; its files are then moved into the lake one by one."""
        with spool_folder(self.settings, self.unit, claim.token) as spool:
            counts, spooled = self._read(claim, files, verdicts, spool)
            ids = spool / "ids.parquet"
            counts["ids"] = write_ids(files, ids)
            spooled[ids_folder(self.unit)] = [ids]
            outputs = [
                Output(folder, number, partial(storage.move_in, path), storage.sha256(str(path)))
                for folder, paths in spooled.items()
                for number, path in enumerate(paths)
            ]
            yield Draft(counts, [(output.folder, output.number) for output in outputs], outputs)

    def _read(
        self, claim: Claim, files: Sequence[FileRecord], verdicts: dict[str, Verdict], spool: Path
    ) -> tuple[dict[str, Any], dict[str, list[Path]]]:
        """Read the day part by part into the spool; return counts and spooled files by folder."""
        settings = self.settings
        part = PartCounts()
        partitions = PartitionFiles(spool, settings.target_bytes, settings.key)
        payloads = KeptPayloads(settings, self.contracts.get)
        hours = HourRows(settings, self.ledger, self.contracts, files, verdicts)
        progress = _Progress(self.label, files, self.log)
        self._shown.start(f"closing {self.unit}", len(files), sum(record.plain_size for record in files))
        for chunk in _parts(files, settings.part_bytes):
            self.checkpoint("read")
            claim.check()
            taken = hours.of(chunk)
            rows = read_part(chunk, verdicts, payloads, bodies=taken is None)
            part.add(chunk, rows)
            for folder, table in self._made(rows, taken):
                partitions.add(folder, table)
                part.counts["rescued"] += count_rescued(folder, table)
            progress.log(part)
            self._shown.advance(len(chunk), sum(record.plain_size for record in chunk))
        self.log.info("%s: the rows of %d of %d files are those of their hours", self.label, hours.files, len(files))
        spooled = partitions.finish()
        counts = part.total(files, verdicts)
        count_written(counts, [(folder, rows) for folder, (_, rows) in spooled.items()], self.label)
        return counts, {folder: paths for folder, (paths, _) in spooled.items()}

    def _made(self, rows: PartRows, taken: dict[str, pa.Table] | None) -> Iterator[tuple[str, pa.Table]]:
        """Yield (folder, table) of the taken rows, or parse them; parse the rejects in any case."""
        if taken is not None:
            yield from taken_tables(taken, rows, self.settings, self.unit, self.contracts)
        yield from tables(rows, self.settings, self.unit, self.contracts.get)


class _Progress:
    """Logs every ten seconds how much of a day is read."""

    def __init__(self, label: str, files: Sequence[FileRecord], log: logging.Logger) -> None:
        self._label, self._log = label, log
        self._files, self._bytes = len(files), sum(record.plain_size for record in files)
        self._started = self._logged = time.monotonic()

    def log(self, part: PartCounts) -> None:
        if time.monotonic() - self._logged <= _PROGRESS_SECONDS:
            return
        self._logged = time.monotonic()
        done = part.counts
        self._log.info(
            "closing %s: %d of %d files, %d events, %s of %s, %s/s", self._label, done["files"],
            self._files, done["events"], size_text(done["bytes"]), size_text(self._bytes),
            size_text(done["bytes"] / (self._logged - self._started)),
        )  # fmt: skip


def _parts(files: Sequence[FileRecord], part_bytes: int) -> Iterator[list[FileRecord]]:
    """Yield files in order, in lists of at most `part_bytes` together."""
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
