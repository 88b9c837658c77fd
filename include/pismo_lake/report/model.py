"""Define the day report: the content of a publish day, its processing, and missing files.

It has only plain values, so that the JSON, the Parquet table and the page agree. It depends only on the ledger, the
indexes and the lake: for an unchanged day, it is written again with the same bytes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHOWN = 3


class DayVerdict(StrEnum):
    """The verdict of a day report; only a day that has files can be complete."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    NO_FILES = "no files"


@dataclass(frozen=True, slots=True)
class HourLine:
    """One publish hour, ``YYYY-MM-DDTHH``: its files, their bytes, and counts of their events."""

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
    """One event type, ``<domain>/<event type>-<version>``.

    `conflicts` are the duplicates whose content differs.
    """

    name: str
    events: int
    rows: int
    duplicates: int
    conflicts: int
    erased: int = 0


@dataclass(frozen=True, slots=True)
class SilentHour:
    """A publish hour without files: ``gap``, ``suspect`` or ``no traffic``, with the `evidence`."""

    publish_hour: str
    verdict: str
    evidence: str


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file that is missing from the lake, or that is not in it correctly.

    `state`: ``announced, not landed`` | ``listed, not landed`` | ``quarantined, not landed`` | ``landed, not indexed``
    | ``landed, not readable`` | ``landed, not built`` | ``unreadable``; `since` is the time of the first sighting.
    """

    key: str
    publish_hour: str
    state: str
    since: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class StrayFile:
    """A file that is not in the lake as the ledger has it, by its path below the lake.

    `state`: ``unknown file`` | ``missing file`` | ``unfinished build``.
    """

    path: str
    state: str


@dataclass(frozen=True, slots=True)
class DriftLine:
    """A change of a contract by a file of this day; `before` and `after` are kinds or empty.

    If `before` is ``announced``, Pismo's event json_schema_change announced it: `after` is the change type, `path` the
    schema. `first_offset` is the byte offset of the first such event; None if a schema file made the change.
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
    """Two counts of the same thing, found in two ways; `difference` is right minus left."""

    what: str
    left: int
    right: int

    @property
    def difference(self) -> int:
        """The difference, zero if the total balances."""
        return self.right - self.left


@dataclass(frozen=True, slots=True)
class AccountingLine:
    """Entries of one entry type, in Pismo's daily report and in the lake.

    Amounts are text, rounded to hundredths.
    """

    entry_type_id: str
    reported_entries: int
    lake_entries: int
    reported_amount: str
    lake_amount: str

    @property
    def agrees(self) -> bool:
        """Whether count and amount are equal."""
        return self.reported_entries == self.lake_entries and self.reported_amount == self.lake_amount


@dataclass(frozen=True, slots=True)
class Timings:
    """Times of the day: of its build, and of its files between publishing and landing."""

    build_seconds: float = 0.0
    build_mb_per_second: float = 0.0
    landed_after_p50_seconds: float | None = None
    landed_after_p95_seconds: float | None = None
    landed_after_max_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class DayReport:
    """One delivery's publish day.

    `lateness` counts events by the time between their own time and the end of their publish hour (labels in order;
    events without a time under ``no time``). `heartbeats` are Pismo's own health checks among the events. `listed` is
    ``listed``, or the reason that the source was not listed. `ever` says whether the delivery ever had a file, on any
    day.
    `stray_files` are in partitions of the day, and differ from the ledger.
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
    stray_files: tuple[StrayFile, ...] = ()

    @property
    def balanced(self) -> bool:
        """Whether every control total balances."""
        return all(total.difference == 0 for total in self.totals)

    @property
    def gaps(self) -> tuple[SilentHour, ...]:
        """The silent hours in which files are expected."""
        return tuple(hour for hour in self.silent_hours if hour.verdict == "gap")

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the day is not complete; empty if nothing is missing."""
        differing = sum(total.difference != 0 for total in self.totals)
        accounting = sum(not line.agrees for line in self.accounting or ())
        files = self.open_files
        strays = f"{len(self.stray_files)} file(s) of the lake differ from the ledger: {self._list_strays()}"
        said = {
            strays: self.stray_files,
            "the day is not over yet": not self.over,
            "the day is not closed yet": not self.closed,
            f"{differing} control total(s) do not balance": differing,
            f"{len(files)} file(s) are missing from the lake or wrong in it: {self._list_open_files()}": files,
            f"{len(self.gaps)} publish hour(s) without files although the usual rhythm has some": self.gaps,
            f"{accounting} entry type(s) differ from Pismo's accounting report": accounting,
        }
        return tuple(reason for reason, holds in said.items() if holds)

    def _list_open_files(self) -> str:
        return _list_some([f"{file.key} ({file.state})" for file in self.open_files])

    def _list_strays(self) -> str:
        return _list_some([f"{file.path} ({file.state})" for file in self.stray_files])

    @property
    def verdict(self) -> DayVerdict:
        """The verdict: a day without files is never complete, even if none are missing."""
        if self.reasons:
            return DayVerdict.INCOMPLETE
        return DayVerdict.COMPLETE if self.files else DayVerdict.NO_FILES

    @property
    def complete(self) -> bool:
        """Whether the day has files, and all known files are in the lake."""
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
        """Return the report as plain values."""
        lines = {"accounting_agrees": None if self.accounting is None else all(x.agrees for x in self.accounting)}
        flags = {"balanced": self.balanced, "complete": self.complete, "gaps": len(self.gaps)}
        return asdict(self) | flags | lines | {"verdict": self.verdict.value, "reasons": list(self.reasons)}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> DayReport:
        """Return the report of a `to_json` document.

        Raises:
            KeyError: the document lacks a field that every version of the report has.
            TypeError: a line has a field that this version does not know.
        """
        known = {item.name: document[item.name] for item in fields(cls) if item.name in document}
        for name, kind in _LINES.items():
            known[name] = tuple(kind(**line) for line in known.get(name) or ())
        for name in ("lateness", "reject_reasons"):
            known[name] = tuple((label, count) for label, count in known.get(name) or ())
        known["accounting"] = known["accounting"] if document.get("accounting") is not None else None
        known["timings"] = Timings(**known.get("timings") or {})
        return cls(**known)


_LINES: dict[str, Any] = {
    "hours": HourLine, "types": TypeLine, "silent_hours": SilentHour, "open_files": OpenFile, "drift": DriftLine,
    "totals": ControlTotal, "accounting": AccountingLine, "stray_files": StrayFile,
}  # fmt: skip


def _list_some(names: Sequence[str]) -> str:
    """Name the first few, and say how many more there are."""
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
