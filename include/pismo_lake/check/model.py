"""Define the findings of a check: place, both sides of the difference, and repair."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Kind(StrEnum):
    """The ways in which lake or landing can differ from the ledger."""

    UNKNOWN = "unknown file"
    MISSING = "missing file"
    UNFINISHED = "unfinished build"
    DAMAGED = "damaged file"
    NO_BUILD = "file without a build"
    REFUSED = "unit cannot be built"
    ROWS = "row counts differ"
    CHILD_TABLE = "child table differs"
    IDS = "id index differs"
    TEMPORARY = "temporary file"
    UNKNOWN_RAW = "unknown raw file"
    MISSING_RAW = "missing raw file"
    RAW = "raw file differs"
    UNKNOWN_INDEX = "unknown index"
    MISSING_INDEX = "missing index"
    INDEX = "index differs"
    CONTRACT = "contract differs"
    TABLE = "table differs"


@dataclass(frozen=True, slots=True)
class Remove:
    """Repair a file that should not be there: remove it."""

    uri: str


@dataclass(frozen=True, slots=True)
class Rebuild:
    """Repair an output: build its unit again, with `force` also unchanged parts."""

    delivery: str
    unit: str
    force: bool = True


@dataclass(frozen=True, slots=True)
class Reindex:
    """Repair an index: make it again from its raw file."""

    delivery: str
    name: str


@dataclass(frozen=True, slots=True)
class Record:
    """Repair a raw file that was landed but not recorded: record it, index it, build its unit."""

    delivery: str
    uri: str


@dataclass(frozen=True, slots=True)
class WriteContract:
    """Repair a contract's document: write it from the ledger."""

    domain: str
    event_type: str


@dataclass(frozen=True, slots=True)
class CommitTable:
    """Repair a table of the catalog: make its files those of the ledger."""

    folder: str


@dataclass(frozen=True, slots=True)
class RemoveKept:
    """Repair files that were kept for older snapshots of tables: remove those that no snapshot names."""


@dataclass(frozen=True, slots=True)
class Advice:
    """Give advice for a finding that a check cannot repair."""

    text: str


Repair = Remove | Rebuild | Reindex | Record | WriteContract | CommitTable | RemoveKept | Advice


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference between the ledger and the disk.

    Attributes:
        kind: The kind of the difference.
        path: The URI of the file, or of the folder if several files differ together.
        ledger: The state by the ledger.
        disk: The state on the disk, or in the object store.
        repair: The way to repair it.
        done: The repair that was made, or the reason that there is none. Empty if no repair was asked for.
        repaired: Whether the difference is gone.
    """

    kind: Kind
    path: str
    ledger: str
    disk: str
    repair: Repair
    done: str = ""
    repaired: bool = False

    def to_json(self) -> dict[str, str | bool]:
        """Return it as plain values."""
        return {
            "kind": self.kind.value,
            "path": self.path,
            "ledger": self.ledger,
            "disk": self.disk,
            "done": self.done,
            "repaired": self.repaired,
        }

    def __str__(self) -> str:
        """Return it in one line."""
        done = f"; {self.done}" if self.done else ""
        return f"{self.kind}: {self.path}: ledger: {self.ledger}; disk: {self.disk}{done}"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The findings of a check, and how many outputs and landed files were compared."""

    findings: Sequence[Finding]
    outputs: int
    landed: int

    @property
    def left(self) -> list[Finding]:
        """Return the findings that are not repaired."""
        return [finding for finding in self.findings if not finding.repaired]

    def __str__(self) -> str:
        """Return the totals in one line."""
        compared = f"{self.outputs} output(s) and {self.landed} landed file(s) compared with the ledger"
        if not self.findings:
            return f"{compared}: all sound"
        repaired = len(self.findings) - len(self.left)
        return f"{compared}: {len(self.findings)} finding(s), {repaired} repaired, {len(self.left)} left"
