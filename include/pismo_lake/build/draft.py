"""Describe the inputs of a unit, and the Parquet files of a part before they are named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager

    from pismo_lake.index.dedupe import Verdict
    from pismo_lake.ledger import FileRecord


class Write(Protocol):
    """Writes a file at a URI, and gives it its name inside the gate (see `storage.files`)."""

    def __call__(self, uri: str, *, gate: Callable[[], AbstractContextManager[None]]) -> None:
        """Write the file."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """The landed files of a unit by part, and the verdict on each file by its name."""

    parts: dict[int, list[FileRecord]]
    verdicts: dict[str, Verdict]


@dataclass(frozen=True, slots=True)
class Output:
    """A finished Parquet file: folder in the lake, number, function to write it, SHA-256."""

    folder: str
    number: int
    write: Write
    sha256: str


@dataclass(frozen=True, slots=True)
class Draft:
    """The Parquet files of a part before they are named.

    `planned` are the (folder, number) of all files that `outputs` may yield. `counts` name the event types from the
    start; they are complete, and balance, after all `outputs` were taken.
    """

    counts: dict[str, Any]
    planned: Sequence[tuple[str, int]]
    outputs: Iterable[Output]
