"""Search a ledger for texts, and leave no deleted row in the pages of an SQLite file."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from sqlalchemy import JSON, String, cast, select
from sqlalchemy.types import Text

from pismo_lake.ledger.sqlite_files import sqlite_file
from pismo_lake.ledger.tables import metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pismo_lake.ledger.engine import Ledger

_LOG = logging.getLogger(__name__)
_PATIENCE_SECONDS = 30
_BESIDE = ("", "-wal", "-journal")


def columns_with(ledger: Ledger, holds: Callable[[str], bool]) -> Iterator[tuple[str, int]]:
    """Yield (``table.column``, number of values) of each column with texts that `holds` accepts."""
    with ledger.engine.connect() as connection:
        for table in metadata.sorted_tables:
            for column in table.columns:
                if not isinstance(column.type, String | JSON):
                    continue
                values = connection.execute(select(cast(column, Text)).where(column.is_not(None)).distinct())
                if count := sum(holds(str(value)) for value in values.scalars()):
                    yield f"{table.name}.{column.name}", count


def clean_pages(ledger: Ledger) -> bool:
    """Rewrite an SQLite ledger without the pages of deleted rows, and empty its log.

    Returns:
        False if other processes did not leave the file for half a minute. Other databases are left as they are.
    """
    file = sqlite_file(ledger.engine.url.render_as_string(hide_password=False))
    if file is None:
        return True
    # an open connection of our own would be in the way
    ledger.engine.dispose()
    try:
        with closing(sqlite3.connect(file, timeout=_PATIENCE_SECONDS, isolation_level=None)) as connection:
            connection.execute("VACUUM")
            (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            return not busy
    except sqlite3.Error as error:
        _LOG.warning("%s could not be rewritten: %s", file, error)
        return False


def files_with(ledger: Ledger, holds: Callable[[bytes], bool]) -> list[Path]:
    """Return the files of an SQLite ledger with bytes that `holds` accepts, in any page."""
    file = sqlite_file(ledger.engine.url.render_as_string(hide_password=False))
    found = []
    for path in [file.with_name(file.name + suffix) for suffix in _BESIDE] if file is not None else ():
        with suppress(FileNotFoundError):
            if holds(path.read_bytes()):
                found.append(path)
    return found
