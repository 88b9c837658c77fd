"""Inspect an SQLite file without creating or changing it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from pismo_lake.ledger.errors import read_url


def sqlite_file(url: str) -> Path | None:
    """Return the file of an SQLite URL; None for a database in memory, or of another kind."""
    parsed = read_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        return None
    return Path(parsed.database)


def sqlite_url(file: str) -> str:
    """Return the URL of an SQLite file, whose path may have signs that mean something in a URL.

    >>> sqlite_url("/data/lake-ledger.db"), sqlite_url("/data/why?/100%-ledger.db")
    ('sqlite:////data/lake-ledger.db', 'sqlite:////data/why%3F/100%25-ledger.db')
    """
    return "sqlite:///" + file.replace("%", "%25").replace("?", "%3F")


def holds_table(file: Path, table: str) -> bool:
    """Return whether a file has an SQLite table; True also if the file cannot be read."""
    try:
        if not file.exists():
            return False
        with closing(sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True, timeout=60)) as connection:
            query = "SELECT 1 FROM sqlite_master WHERE name = ?"
            return connection.execute(query, (table,)).fetchone() is not None
    except (sqlite3.Error, OSError):
        # the error appears when it is opened
        return True


def is_alone(file: Path) -> bool:
    """Return whether no other process has an SQLite file open.

    Only then can the file leave its write-ahead log.
    """
    try:
        with closing(sqlite3.connect(file, timeout=0)) as connection:
            return bool(connection.execute("PRAGMA journal_mode=DELETE").fetchone()[0] == "delete")
    except sqlite3.Error:
        return False
