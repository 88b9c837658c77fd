"""Build several units; one that cannot be built does not keep the others from it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from pismo_lake.errors import BuildIncompleteError, LakeError, LandedFileError, MemoryShortError, StorageRefused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pismo_lake.errors import PismoError
    from pismo_lake.ledger import FileLedger, FileRecord

UNIT_ERRORS = (LakeError, StorageRefused)
"""Errors of one unit: the others can be built all the same. A refusal may be of one object, such as an archived one."""


@contextmanager
def noting_problems(landed: FileLedger, unit: str, files: Sequence[FileRecord]) -> Iterator[None]:
    """Note in the ledger which file a build could not read, so that reports and commands name it.

    The note is removed when all files were read. Lack of memory becomes an error of the unit, of its largest file.
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
            f"{unit} needs more memory than there is; its largest file is {largest.name} ({largest.plain_size} bytes"
            " uncompressed): lower part_bytes, or give the process more memory"
        )
        raise MemoryShortError(msg, key=largest.key, name=largest.name) from None
    for record in files:
        if record.problem and record.status == "landed":
            landed.note_problem(record.name, None)


def refuse_unbuilt(failures: Mapping[str, PismoError]) -> None:
    """Raise the error of units that were not built: one that may pass by itself first, so that it is tried again."""
    passing = [error for error in failures.values() if not error.permanent]
    if passing or len(failures) == 1:
        raise (passing or list(failures.values()))[0]
    if failures:
        raise BuildIncompleteError(failures)
