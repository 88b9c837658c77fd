"""Define a table of the lake, and the seam behind which each table format is.

The state of a table is a set of file names. File names carry a fingerprint of their content, so a commit needs no
memory: it makes the table's set equal to the ledger's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from pismo_lake.paths import REJECTS, REPORTS
from pismo_lake.spelling import identifier

if TYPE_CHECKING:
    from collections.abc import Collection

    import pyarrow as pa

_OWN_NAMESPACE = "lake"
_FOLDER = re.compile(r"(events|items)/domain=([^/]+)/event_type=([^/]+)")


class TableKind(StrEnum):
    """The rows of a table."""

    EVENTS = "events"
    ITEMS = "items"
    REJECTS = "rejects"
    REPORTS = "reports"


@dataclass(frozen=True, slots=True)
class LakeTable:
    """One table: its folder below the lake, the name that it wishes, and the column of its partitions."""

    kind: TableKind
    folder: str
    namespace: str
    name: str

    @property
    def partition(self) -> str:
        """The column that only the path has."""
        return "event_date" if self.kind in {TableKind.EVENTS, TableKind.ITEMS} else "publish_date"


@dataclass(frozen=True, slots=True)
class TableState:
    """The present state of a table in its catalog."""

    name: str
    kind: TableKind
    rows: int
    files: int
    snapshot_id: int | None
    metadata_location: str


class CommitRefusedError(Exception):
    """Another process has changed the table since it was loaded: load it again."""


class FileGoneError(CommitRefusedError):
    """A file that the table was to get is gone, for example because another process has replaced it.

    `path` is its path below the lake.
    """

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is gone")
        self.path = path


class OpenTable(Protocol):
    """A table as it was when it was loaded."""

    def files(self) -> set[str]:
        """Return the paths of its files, below the lake.

        Raises:
            CommitRefusedError: another process has forgotten the snapshot since the table was loaded.
        """

    def reached(self) -> set[str]:
        """Return the paths of the files of all its snapshots, below the lake; it raises the same as `files`."""

    def replace(self, new: Collection[str], gone: Collection[str], wished: Collection[str]) -> bool:
        """Add and remove files in one transaction, with the columns that the new files need.

        Args:
            new: the files to add.
            gone: the files to remove.
            wished: all files that the table has afterwards.

        Returns:
            False if the table must wait: a column has another type in some of the wished files.

        Raises:
            CommitRefusedError: another process has changed the table since it was loaded.
            FileGoneError: a file is not in the lake (any more).
        """


class Format(Protocol):
    """A table format with an open catalog."""

    def open(self, table: LakeTable) -> OpenTable | None:
        """Load a table; return None if the catalog does not have it."""

    def create(self, table: LakeTable) -> OpenTable:
        """Make a table without files; or load the one that is there by now."""

    def tables(self) -> list[LakeTable]:
        """Return every table of the lake that the catalog has."""

    def states(self) -> list[TableState]:
        """Return the state of every table of the lake, by name."""

    def state(self, table: LakeTable) -> TableState | None:
        """Return the state of a table; None if the catalog does not have it."""

    def columns(self, table: LakeTable) -> pa.Schema | None:
        """Return the columns of a table; None if the catalog does not have it."""

    def expire(self, table: LakeTable, hours: float | None = None) -> None:
        """Forget older snapshots of a table, and remove metadata that no snapshot reaches.

        Args:
            table: the table; nothing is done if the catalog does not have it.
            hours: a snapshot is forgotten that many hours after the next one. If None, all but the present one are
                forgotten, with tags and branches.

        Raises:
            CommitRefusedError: another process changed the table meanwhile.
        """

    def close(self) -> None:
        """Close all connections."""


def table_of(folder: str) -> LakeTable:
    """Return the table of a folder.

    >>> table_of("events/domain=cards/event_type=creation-1").name
    'creation_1'
    """
    if folder in {REJECTS, REPORTS}:
        return LakeTable(TableKind(folder), folder, _OWN_NAMESPACE, folder)
    match = _FOLDER.fullmatch(folder)
    assert match is not None, folder
    return LakeTable(TableKind(match[1]), folder, identifier(match[2]), identifier(match[3]))


def partition_of(path: str) -> str:
    """Return the date of a file's partition."""
    return path.rsplit("/", 2)[-2].partition("=")[2]
