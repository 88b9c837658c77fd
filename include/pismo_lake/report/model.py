"""The day report's content: what a publish day brought, what became of it, and what is missing.

Plain values only, so that the JSON, the Parquet table and the page say the same. It is a function of the ledger, the
indexes and the lake: writing it again for an unchanged day gives the same bytes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

_SHOWN = 3


class DayVerdict(StrEnum):
    """What a day report says of its day; only a day that has files can be complete."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    NO_FILES = "no files"


@dataclass(frozen=True, slots=True)
class HourLine:
    """One publish hour, ``YYYY-MM-DDTHH``: its files, their bytes as delivered, what became of their events."""

    publish_hour: str
    files: int = 0
    bytes: int = 0
    events: int = 0
    rows: int = 0
    duplicates: int = 0
    conflicts: int = 0
    rejects: int = 0
    erased: int = 0


@dataclass(frozen=True, slots=True)
class TypeLine:
    """One event type, ``<domain>/<event type>-<version>``; conflicts are the duplicates whose content differs."""

    name: str
    events: int
    rows: int
    duplicates: int
    conflicts: int
    erased: int = 0


@dataclass(frozen=True, slots=True)
class SilentHour:
    """A publish hour without any file. `verdict`: ``gap`` | ``suspect`` | ``no traffic``; `evidence` says why."""

    publish_hour: str
    verdict: str
    evidence: str


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file that is not in the lake as it should be.

    `state`: ``announced, not landed`` | ``listed, not landed`` | ``quarantined, not landed`` | ``landed, not indexed``
    | ``landed, not readable`` | ``landed, not built`` | ``unreadable``; `since` is the time of the first sight.
    """

    key: str
    publish_hour: str
    state: str
    since: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class DriftLine:
    """A change of a contract that a file of this day brought: `before` and `after` are kinds, empty for none.

    With ``announced`` before it is what an event json_schema_change told: the change type, and in `path` the schema.
    `first_offset` is that of the event that showed it, in bytes; None where a schema file brought it.
    """

    event_type: str
    path: str
    before: str
    after: str
    first_file: str
    seen_at: str
    first_offset: int | None = None


@dataclass(frozen=True, slots=True)
class ControlTotal:
    """Two counts of one thing that must be equal, each by its own way; `difference` is right minus left."""

    what: str
    left: int
    right: int

    @property
    def difference(self) -> int:
        """Nought where it balances."""
        return self.right - self.left


@dataclass(frozen=True, slots=True)
class AccountingLine:
    """Entries of one entry type: Pismo's own daily report beside the lake; amounts as text, rounded to hundredths."""

    entry_type_id: str
    reported_entries: int
    lake_entries: int
    reported_amount: str
    lake_amount: str

    @property
    def agrees(self) -> bool:
        """Whether count and amount are the same."""
        return self.reported_entries == self.lake_entries and self.reported_amount == self.lake_amount


@dataclass(frozen=True, slots=True)
class Timings:
    """How long the day took: seconds and MB/s of its build, and how long files waited from publishing to landing."""

    build_seconds: float = 0.0
    build_mb_per_second: float = 0.0
    landed_after_p50_seconds: float | None = None
    landed_after_p95_seconds: float | None = None
    landed_after_max_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class DayReport:
    """One delivery's publish day.

    `lateness` counts events by how long after their own time their publish hour ended (labels in order, an event
    without a time under ``no time``), `heartbeats` are Pismo's own health checks among the events. `listed` says how
    the source was looked at: ``listed``, or why not. `ever` says whether the delivery ever had a file, on any day.
    """

    delivery: str
    organisation: str
    environment: str
    publish_date: str
    closed: bool
    listed: str
    files: int
    bytes: int
    plain_bytes: int
    events: int
    rows: int
    duplicates: int
    conflicts: int
    rejects: int
    heartbeats: int
    erased: int = 0
    hours: tuple[HourLine, ...] = ()
    types: tuple[TypeLine, ...] = ()
    lateness: tuple[tuple[str, int], ...] = ()
    reject_reasons: tuple[tuple[str, int], ...] = ()
    silent_hours: tuple[SilentHour, ...] = ()
    open_files: tuple[OpenFile, ...] = ()
    drift: tuple[DriftLine, ...] = ()
    totals: tuple[ControlTotal, ...] = ()
    accounting: tuple[AccountingLine, ...] | None = None
    timings: Timings = field(default_factory=Timings)
    lake_files: int = 0
    lake_bytes: int = 0
    over: bool = True
    ever: bool = True

    @property
    def balanced(self) -> bool:
        """Whether every control total holds, to the event."""
        return all(total.difference == 0 for total in self.totals)

    @property
    def gaps(self) -> tuple[SilentHour, ...]:
        """The silent hours that should not be."""
        return tuple(hour for hour in self.silent_hours if hour.verdict == "gap")

    @property
    def reasons(self) -> tuple[str, ...]:
        """Return why the day is not complete; empty if nothing is missing."""
        differing = sum(total.difference != 0 for total in self.totals)
        accounting = sum(not line.agrees for line in self.accounting or ())
        said = {
            "it is not over": not self.over,
            "it is not closed": not self.closed,
            f"{differing} control total(s) do not balance": differing,
            f"{len(self.open_files)} file(s) are not in the lake as they should be: {self._named()}": self.open_files,
            f"{len(self.gaps)} publish hour(s) without files where there should be some": self.gaps,
            f"{accounting} entry type(s) differ from Pismo's accounting report": accounting,
        }
        return tuple(reason for reason, holds in said.items() if holds)

    def _named(self) -> str:
        named = [f"{file.key} ({file.state})" for file in self.open_files[:_SHOWN]]
        more = len(self.open_files) - len(named)
        return ", ".join(named) + (f" and {more} more" if more else "")

    @property
    def verdict(self) -> DayVerdict:
        """Return the verdict: a day without files is never complete, also if none are missing."""
        if self.reasons:
            return DayVerdict.INCOMPLETE
        return DayVerdict.COMPLETE if self.files else DayVerdict.NO_FILES

    @property
    def complete(self) -> bool:
        """Return whether the day has files, and all of them are in the lake as far as anyone can tell."""
        return self.verdict is DayVerdict.COMPLETE

    def __str__(self) -> str:
        """Return the day and its verdict, with the reasons."""
        match self.verdict:
            case DayVerdict.COMPLETE:
                return f"{self.publish_date} is complete"
            case DayVerdict.INCOMPLETE:
                return f"{self.publish_date} is incomplete: {'; '.join(self.reasons)}"
            case DayVerdict.NO_FILES if self.ever:
                return f"{self.publish_date} has no files, and no sign that any are missing"
            case DayVerdict.NO_FILES:
                return f"{self.publish_date} has no files: the delivery has never had one"

    def to_json(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        lines = {"accounting_agrees": None if self.accounting is None else all(x.agrees for x in self.accounting)}
        flags = {"balanced": self.balanced, "complete": self.complete, "gaps": len(self.gaps)}
        return asdict(self) | flags | lines | {"verdict": self.verdict.value, "reasons": list(self.reasons)}
