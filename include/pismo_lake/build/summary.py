"""Count the results of a build, so that they balance: events = rows + duplicates + erased."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from pismo_lake.build.read import TypeCounts
from pismo_lake.errors import LakeError
from pismo_lake.progress import size_text

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable, Mapping, Sequence

    from pismo_lake.build.read import PartRows
    from pismo_lake.index.dedupe import Verdict
    from pismo_lake.ledger import FileRecord

COUNTED = ("files", "events", "rows", "duplicates", "conflicts", "rejects", "erased", "rescued", "items", "bytes")


@dataclass(slots=True)
class BuildSummary:
    """Totals of one unit; `conflicts` are the duplicates whose content differs.

    They balance: events = rows + duplicates + erased. `rescued` are rows with a value that has no column. `items` are
    rows of lists' child tables.
    """

    unit: str = ""
    parts_built: int = 0
    parts_skipped: int = 0
    files: int = 0
    events: int = 0
    rows: int = 0
    duplicates: int = 0
    conflicts: int = 0
    rejects: int = 0
    erased: int = 0
    rescued: int = 0
    items: int = 0
    bytes: int = 0
    seconds: float = 0.0
    unreadable: tuple[str, ...] = ()
    by_type: dict[str, dict[str, int]] = field(default_factory=dict)
    written: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTED, 0))
    """The counts without those of unchanged parts."""

    def add(self, counts: dict[str, Any], *, written: bool = True) -> None:
        """Add the counts of a part; if it was not `written`, it is unchanged."""
        if written:
            self._add_written(counts)
        for name, of_type in counts.get("by_type", {}).items():
            mine = self.by_type.setdefault(name, dict.fromkeys(of_type, 0))
            for what, count in of_type.items():
                mine[what] = mine.get(what, 0) + count
        for name in COUNTED:
            setattr(self, name, getattr(self, name) + counts.get(name, 0))

    def _add_written(self, counts: Mapping[str, Any]) -> None:
        for name in COUNTED:
            self.written[name] += counts.get(name, 0)

    def join(self, other: BuildSummary) -> None:
        """Add the totals of another unit."""
        self.add({name: getattr(other, name) for name in COUNTED} | {"by_type": other.by_type}, written=False)
        self._add_written(other.written)
        self.parts_built += other.parts_built
        self.parts_skipped += other.parts_skipped
        self.seconds += other.seconds
        self.unreadable += other.unreadable

    def join_written(self, other: BuildSummary) -> None:
        """Add the counts that another unit has written during this build; its totals stay its own."""
        self._add_written(other.written)
        self.parts_built += other.parts_built
        self.unreadable += other.unreadable

    def write_log(self, log: logging.Logger) -> None:
        """Log the totals in one line."""
        log.info(
            "%s: %d part(s) built, %d unchanged; %d files, %d events -> %d rows, %d duplicates"
            " (%d conflicting), %d rejects; %s in %.1f s, %s/s",
            self.unit, self.parts_built, self.parts_skipped, self.files, self.events, self.rows,
            self.duplicates, self.conflicts, self.rejects, size_text(self.bytes), self.seconds,
            size_text(self.bytes / max(self.seconds, 1e-6)),
        )  # fmt: skip


class PartCounts:
    """Counts the files and events of a part while it is read, chunk by chunk."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(COUNTED, 0)
        self._by_type: dict[str, TypeCounts] = {}

    def add(self, files: Sequence[FileRecord], rows: PartRows) -> None:
        """Add files and their rows."""
        self.counts["files"] += len(files)
        self.counts["bytes"] += sum(record.plain_size for record in files)
        self.counts["rejects"] += len(rows.rejects)
        for name in ("events", "duplicates", "conflicts", "erased"):
            self.counts[name] += getattr(rows, name)
        for name, of_type in rows.by_type.items():
            self._by_type.setdefault(name, TypeCounts()).add(of_type)

    def add_recorded(self, counts: Mapping[str, Any]) -> None:
        """Add the recorded counts of a part whose files, and the verdicts on them, are unchanged."""
        for name in ("files", "bytes", "rejects", "events", "duplicates", "conflicts", "erased"):
            self.counts[name] += counts[name]
        for name, of_type in counts["by_type"].items():
            self._by_type.setdefault(name, TypeCounts()).add(TypeCounts(**of_type))

    def total(self, files: Sequence[FileRecord], verdicts: dict[str, Verdict]) -> dict[str, Any]:
        """Return the counts of all files of the part, without the rows, which are counted later."""
        by_type = {name: asdict(self._by_type[name]) for name in sorted(self._by_type)}
        return {**self.counts, "by_type": by_type, "by_hour": _counts_by_hour(files, verdicts)}


def _counts_by_hour(files: Sequence[FileRecord], verdicts: dict[str, Verdict]) -> dict[str, dict[str, int]]:
    """Return rows, duplicates, conflicts and rejects by publish hour, from the verdicts."""
    hours: dict[str, Counter[str]] = {}
    for record in files:
        verdict = verdicts[record.name]
        kept, rows, conflicts = (int(mask.sum()) for mask in (verdict.kept, verdict.rows, verdict.conflict))
        rejects = record.rejects + conflicts + (record.status == "unreadable")
        hours.setdefault(record.publish_hour, Counter()).update(
            rows=rows, duplicates=len(verdict.kept) - kept, conflicts=conflicts, rejects=rejects, erased=kept - rows
        )
    return {hour: dict(counts) for hour, counts in hours.items()}


def count_written(counts: dict[str, Any], tables: Iterable[tuple[str, int]], part: str) -> None:
    """Add the written rows of events, and the items of child tables, to a part's counts.

    Args:
        counts: the counts.
        tables: (folder below the lake, rows) of each written file.
        part: the name of the part, for the error.

    Raises:
        LakeError: rows, duplicates and erased events do not add up to the events that were read.
    """
    total: Counter[str] = Counter()
    for folder, rows in tables:
        total[folder.split("/", 1)[0]] += rows
    counts |= {"rows": total["events"], "items": total["items"]}
    if counts["rows"] + counts["duplicates"] + counts["erased"] != counts["events"]:
        msg = (
            f"{part} does not balance: {counts['events']} events, {counts['rows']} rows,"
            f" {counts['duplicates']} duplicates, {counts['erased']} erased; nothing was recorded"
        )
        raise LakeError(msg)
