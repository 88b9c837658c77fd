"""Build several units; if one fails, the others are still built."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from pismo_lake.errors import BuildIncompleteError, LakeError, LandedFileError, MemoryShortError, StorageRefused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pismo_lake.errors import PismoError
    from pismo_lake.ledger import FileLedger, FileRecord

UNIT_ERRORS = (LakeError, StorageRefused)
"""Errors of one unit: the others can still be built. A refusal may be about one object, such as an archived one."""


@contextmanager
def note_problems(landed: FileLedger, unit: str, files: Sequence[FileRecord]) -> Iterator[None]:
    """Record in the ledger which file a build could not read, so that reports name it.

    The note is removed after all files were read. A lack of memory becomes an error of the unit's largest file.
    """
    try:
        yield
    except LandedFileError as error:
        for record in files:
            if record.name == error.name:
                landed.note_problem(record.name, str(error))
        raise
    except MemoryError:
        largest = max(files, key=lambda record: record.plain_size)
        msg = (
            f"{unit} needs more memory than is free; its largest file is {largest.name} ({largest.plain_size} bytes"
            " uncompressed): lower part_bytes, or give the process more memory"
        )
        raise MemoryShortError(msg, key=largest.key, name=largest.name) from None
    for record in files:
        if record.problem and record.status == "landed":
            landed.note_problem(record.name, None)


def refuse_unbuilt(failures: Mapping[str, PismoError]) -> None:
    """Raise the error of units that were not built; a temporary one first, for a retry."""
    passing = [error for error in failures.values() if not error.permanent]
    if passing or len(failures) == 1:
        raise (passing or list(failures.values()))[0]
    if failures:
        raise BuildIncompleteError(failures)
