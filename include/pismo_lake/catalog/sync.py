"""Make tables equal to the ledger: the protocol of a commit, for every table format.

The order is: load the tables, then read the ledger, commit the difference of each table in one transaction, and look
again until there is no difference. If the ledger were read first, a file that another process recorded and committed
in between would be taken out of the table. The last look heals the one hole that is left: a process that read the
ledger early and commits last.
"""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from pismo_lake.catalog.model import CommitRefusedError, FileGoneError, table_of
from pismo_lake.errors import LakeError, TableBusyError
from pismo_lake.ledger.table_files import is_within

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from pismo_lake.catalog.model import Format, LakeTable, OpenTable
    from pismo_lake.ledger.table_files import TableFiles, Unit

    Hold = Callable[[Collection[Unit], Collection[Unit], Collection[Unit]], Collection[Unit]]

T = TypeVar("T")

_LOG = logging.getLogger(__name__)
_ATTEMPTS = 60
_LOOKS_FOR_FILE = 3
_PAUSE = 0.05
_LONGEST_PAUSE = 1.0


def sync_tables(
    tables: Format,
    folders: Iterable[str],
    read: Callable[[], TableFiles],
    *,
    hold: Hold | None = None,
    own: Collection[Unit] = (),
    without: Collection[str] = (),
    renewed: Collection[str] = (),
    checkpoint: Callable[[str], None] | None = None,
) -> set[str]:
    """Make the files of some tables those of the ledger, in one snapshot for each table that differs.

    Args:
        tables: the open catalog.
        folders: the folders of the tables.
        read: reads the ledger. It is called after the tables are loaded, never before.
        hold: returns the units whose changes must wait (see `Coupling.hold`); by default those that move.
        own: units that the caller has completed: they do not move any more.
        without: paths that the caller is about to remove, although the ledger has them.
        renewed: paths whose files were overwritten: their entries are made again.
        checkpoint: gets the name of the next step ("commit"). Tests kill the process in it.

    Returns:
        The paths that a table still needs and the ledger does not have: they must not be removed yet.

    Raises:
        TableBusyError: other processes changed a table again and again.
        LakeError: a file of the ledger is not in the lake.
    """
    waiting, renewing = set(folders), set(renewed)
    needed, absent = set[str](), Counter[str]()
    for attempt in range(_ATTEMPTS):
        loaded = {folder: tables.open(table_of(folder)) for folder in sorted(waiting)}
        present = read()
        waiting = set()
        for folder, table in loaded.items():
            try:
                change = _compare(folder, table, present, hold, own, without, renewing)
                needed |= change.left
                if not change.new and not change.gone:
                    continue
                waiting.add(folder)
                outcome = _commit(tables, folder, table, change, checkpoint)
            except CommitRefusedError as error:
                waiting.add(folder)
                if isinstance(error, FileGoneError):
                    _refuse_absent(error, absent)
                _LOG.info("the table of %s was changed by another process, it is loaded again: %s", folder, error)
                continue
            if outcome is _Outcome.DONE:
                renewing -= change.new
            elif outcome is _Outcome.WAITS:
                _LOG.info("the table of %s waits: a column has another type in some of its files", folder)
                waiting.discard(folder)
                needed |= change.gone
        if not waiting:
            return needed
        _let_finish(attempt)
    raise _busy_error(waiting)


def _refuse_absent(error: FileGoneError, absent: Counter[str]) -> None:
    """Refuse a file that is gone although the ledger, which was read again, still has it."""
    absent[error.path] += 1
    if absent[error.path] == _LOOKS_FOR_FILE:
        msg = f"{error.path} is recorded, but is not in the lake: see `python -m pismo_lake check`"
        raise LakeError(msg) from error


def expire_tables(tables: Format, found: Iterable[LakeTable], hours: float | None = None) -> None:
    """Forget older snapshots of some tables, as `Format.expire`; the errors are those of `look_again`."""
    for table in found:
        look_again(partial(tables.expire, table, hours), [table.folder])


def look_again(work: Callable[[], T], folders: Iterable[str]) -> T:
    """Load some tables and work with them; load them again if another process changes one meanwhile.

    Raises:
        TableBusyError: other processes changed them again and again.
    """
    for attempt in range(_ATTEMPTS):
        try:
            return work()
        except CommitRefusedError as error:
            _LOG.info("%s was changed by another process, it is loaded again: %s", ", ".join(sorted(folders)), error)
        _let_finish(attempt)
    raise _busy_error(folders)


def _let_finish(attempt: int) -> None:
    """Let the other process finish, which was faster; after the first attempt, try again at once."""
    if attempt:
        time.sleep(min(_LONGEST_PAUSE, _PAUSE * attempt) * random.random())  # noqa: S311 - not a secret


def _busy_error(folders: Iterable[str]) -> TableBusyError:
    return TableBusyError(
        f"other processes changed {', '.join(sorted(folders))} {_ATTEMPTS} times: a later run completes the table"
    )


def find_changes(
    tables: Format, folders: Collection[str], read: Callable[[], TableFiles], hold: Hold | None = None
) -> dict[str, tuple[int, int, int]]:
    """Return the tables that differ from the ledger: how many files it has, they lack, and they have too many."""

    def compare() -> dict[str, tuple[_Change, int]]:
        loaded = {folder: tables.open(table_of(folder)) for folder in folders}
        present = read()
        return {
            folder: (_compare(folder, table, present, hold, (), (), set()), len(present.folders.get(folder, ())))
            for folder, table in loaded.items()
        }

    return {
        folder: (count, len(change.new), len(change.gone))
        for folder, (change, count) in look_again(compare, folders).items()
        if change.new or change.gone
    }


class _Outcome(Enum):
    """The end of an attempt to commit."""

    DONE = auto()
    WAITS = auto()
    CHANGED = auto()


@dataclass(frozen=True, slots=True)
class _Change:
    """The difference of one table: files to add, to remove, and to leave because their unit waits."""

    new: set[str]
    gone: set[str]
    left: set[str]
    after: set[str]


def _compare(
    folder: str, table: OpenTable | None, present: TableFiles, hold: Hold | None, own: Collection[Unit],
    without: Collection[str], renewing: set[str],
) -> _Change:  # fmt: skip
    """Return the difference between a table and the ledger."""
    has = table.files() if table is not None else set()
    wished = present.folders.get(folder, set()).difference(without)
    # a path that is about to be removed never waits
    differing = (has ^ wished).difference(without)
    unit_of = {path: unit for path in differing if (unit := present.unit_of(path)) is not None}
    held: Collection[Unit] = present.moving.difference(own)
    if hold is not None:
        held = hold(set(unit_of.values()), held, present.rebuilt.get(folder, ()))
    waiting = {path for path, unit in unit_of.items() if is_within(unit, held)} if held else set()
    if late := sorted({unit_of[path][0] for path in (wished - has) & waiting}):
        count, names = len((wished - has) & waiting), " and ".join(late)
        text = "%d file(s) of %s wait in the table of %s: they share events with units that are to be built again"
        _LOG.info(text, count, names, folder)
    again = has & wished & renewing
    new, gone = wished - has - waiting, has - wished - waiting
    return _Change(new | again, gone | again, (has - wished) & waiting, (has | new) - gone)


def _commit(
    tables: Format, folder: str, table: OpenTable | None, change: _Change, checkpoint: Callable[[str], None] | None
) -> _Outcome:
    """Commit the difference of a table, and make the table if it is missing."""
    if table is None:
        table = tables.create(table_of(folder))
        if table.files():
            # another process has made it, and has committed
            return _Outcome.CHANGED
    if checkpoint is not None:
        checkpoint("commit")
    done = table.replace(sorted(change.new), sorted(change.gone), sorted(change.after))
    return _Outcome.DONE if done else _Outcome.WAITS
