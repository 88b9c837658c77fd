"""Build one publish hour: write the parts whose inputs changed, and leave all others."""

from __future__ import annotations

import hashlib
import logging
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from pismo_lake import storage
from pismo_lake.build.draft import Draft, Output
from pismo_lake.build.fingerprint import exact_fingerprint
from pismo_lake.build.read import KeptPayloads, read_part
from pismo_lake.build.summary import PartCounts, count_written
from pismo_lake.build.tables import count_rescued, folders, tables
from pismo_lake.build.unit_builder import UnitBuilder
from pismo_lake.ledger.builds import BuildLedger
from pismo_lake.ledger.days import PART, DayLedger
from pismo_lake.storage.parquet import parquet_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence, Set

    from pismo_lake.build.claim import Claim
    from pismo_lake.build.read import PartRows
    from pismo_lake.build.summary import BuildSummary
    from pismo_lake.hours import PublishHour
    from pismo_lake.index.dedupe import Verdict
    from pismo_lake.ledger import FileRecord, Ledger
    from pismo_lake.settings.lake import LakeSettings

_LOG = logging.getLogger(__name__)


def build_hour(
    settings: LakeSettings,
    ledger: Ledger,
    hour: PublishHour,
    *,
    force: bool = False,
    parts: Set[int] | None = None,
    log: logging.Logger = _LOG,
    checkpoint: Callable[[str], None] | None = None,
) -> BuildSummary:
    """Bring the lake up to date with the files of one publish hour that no closed day has.

    Args:
        settings: the lake and how to write it.
        ledger: the ledger of the lake.
        hour: the hour.
        force: if true, unchanged parts are built too.
        parts: the only parts to build, or None for all. The others are for other builders, at the same time.
        log: the logger of the run.
        checkpoint: gets the name of the next step ("write", "record", "remove"). Tests kill the process in it.
    """
    return HourBuilder(settings, ledger, hour, log, checkpoint, parts).run(force=force)


class HourBuilder(UnitBuilder):
    """Build one publish hour, part by part, each from memory.

    A part is small. So a builder takes it over at once, without waiting to see if another run is alive.
    """

    waits = False

    def __init__(
        self, settings: LakeSettings, ledger: Ledger, hour: PublishHour, log: logging.Logger = _LOG,
        checkpoint: Callable[[str], None] | None = None, parts: Set[int] | None = None,
    ) -> None:  # fmt: skip
        self._hour, self._parts = hour, parts
        self._day = DayLedger(ledger, settings.lake, settings.delivery, hour.date)
        builds = BuildLedger(ledger, settings.lake, settings.delivery, str(hour))
        super().__init__(settings, ledger, builds, f"publish hour {hour}", log, checkpoint)

    @property
    def unit(self) -> str:
        """The hour as YYYY-MM-DDTHH."""
        return str(self._hour)

    def files(self) -> list[FileRecord]:
        """Return the files of the hour, or of the chosen parts, that no closed day has."""
        return [record for record in self.landed.of_hour(self.unit) if self.has_part(record.part)]

    def has_part(self, part: int) -> bool:
        """Return whether a part is chosen."""
        return self._parts is None or part in self._parts

    @property
    def has_every_part(self) -> bool:
        """Whether no parts were chosen."""
        return self._parts is None

    def part_of(self, record: FileRecord) -> int:
        """Return the part of the file, which its indexing chose."""
        return record.part

    def replaces_rows(self, part: int) -> bool:
        """Return whether the part has rows, or had some when its day was closed.

        A close removes the rows of a late file after the hour of the file has been built again.
        """
        return super().replaces_rows(part) or self._day.part(PART) is not None

    def build_hour(self, hour: PublishHour) -> BuildSummary:
        """Build another publish hour of the delivery."""
        return build_hour(self.settings, self.ledger, hour, log=self.log)

    @contextmanager
    def draft(self, claim: Claim, files: Sequence[FileRecord], verdicts: dict[str, Verdict]) -> Iterator[Draft]:
        """Read the part into memory; make each table only when it is written."""
        rows = read_part(files, verdicts, KeptPayloads(self.settings, self.contracts.get))
        part = PartCounts()
        part.add(files, rows)
        counts = part.total(files, verdicts)
        counts["exact"] = exact_fingerprint(self.settings, self.contracts, files, verdicts, counts)
        planned = folders(rows, self.settings, self._hour.date, self.contracts.get)
        outputs = self._outputs(claim.part, rows, counts)
        yield Draft(counts, [(folder, claim.part) for folder in planned], outputs)

    def _outputs(self, part: int, rows: PartRows, counts: dict[str, Any]) -> Iterator[Output]:
        written = []
        for folder, table in tables(rows, self.settings, self._hour.date, self.contracts.get):
            data = parquet_bytes(table, self.settings.key)
            written.append((folder, table.num_rows))
            counts["rescued"] += count_rescued(folder, table)
            digest = hashlib.sha256(data).hexdigest()
            yield Output(folder, part, partial(storage.write_atomic, data=data), digest)
        count_written(counts, written, f"{self.label} part {part}")
