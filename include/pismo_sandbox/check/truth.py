"""Record all that the sandbox published, to check a lake against it."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
  org_key TEXT NOT NULL, event_id TEXT NOT NULL, hour TEXT NOT NULL, key TEXT NOT NULL,
  offset INTEGER NOT NULL, length INTEGER NOT NULL, payload TEXT NOT NULL, text BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS by_id ON events (org_key, event_id, hour, key, offset);
CREATE TABLE IF NOT EXISTS rejects (
  key TEXT NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL, kind TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS files (key TEXT PRIMARY KEY, hour TEXT NOT NULL, size INTEGER NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy of an event in a file; offset and length in bytes of the uncompressed file."""

    org_id: str
    event_id: str
    hour: str
    key: str
    offset: int
    length: int
    payload: str
    text: bytes


class Truth:
    """An SQLite file with the published events; several publishers may append to it.

    ``with Truth(path) as truth:`` closes it at the end.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, timeout=60)
        try:
            self._db.executescript(_SCHEMA)
        except BaseException:
            self._db.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def add_file(
        self, key: str, hour: str, size: int, copies: Sequence[Copy], rejects: Sequence[tuple[int, int, str]]
    ) -> None:
        """Record one published file: its good copies, and (offset, length, kind) of its damage."""
        with self._db:
            self._db.execute("INSERT OR REPLACE INTO files VALUES (?,?,?)", (key, hour, size))
            self._db.executemany(
                "INSERT INTO events VALUES (?,?,?,?,?,?,?,?)",
                [(c.org_id.lower(), c.event_id, c.hour, c.key, c.offset, c.length, c.payload, c.text) for c in copies],
            )
            self._db.executemany("INSERT INTO rejects VALUES (?,?,?,?)", [(key, *reject) for reject in rejects])

    def winners(self) -> Iterator[tuple[str, str, str, int, str]]:
        """Yield (org key, event id, key, offset, payload) of each event's winning copy."""
        query = """SELECT org_key, event_id, key, offset, payload FROM (SELECT *, row_number() OVER (
                   PARTITION BY org_key, event_id ORDER BY hour, key, offset) AS place FROM events) WHERE place = 1"""
        yield from self._db.execute(query)

    def identities(self) -> Iterator[tuple[str, str]]:
        """Yield (org key, event id) of every event, once; only the index is read."""
        yield from self._db.execute("SELECT DISTINCT org_key, event_id FROM events")

    def winner(self, org_key: str, event_id: str) -> tuple[str, int, str]:
        """Return (key, offset, payload) of an event's winning copy."""
        query = """SELECT key, offset, payload FROM events
                   WHERE org_key = ? AND event_id = ? ORDER BY hour, key, offset LIMIT 1"""
        key, offset, payload = self._db.execute(query, (org_key, event_id)).fetchone()
        return key, offset, payload

    def winning_texts(self) -> Iterator[bytes]:
        """Yield the bytes of each event's winning copy."""
        query = """SELECT text FROM (SELECT *, row_number() OVER (
                   PARTITION BY org_key, event_id ORDER BY hour, key, offset) AS place FROM events) WHERE place = 1"""
        for (text,) in self._db.execute(query):
            yield text

    def conflicts(self) -> Iterator[tuple[str, int]]:
        """Yield (key, offset) of losing copies whose bytes differ from the winner's."""
        query = """SELECT key, offset FROM (SELECT key, offset, text, first_value(text) OVER (
                   PARTITION BY org_key, event_id ORDER BY hour, key, offset) AS first FROM events)
                   WHERE text != first"""
        yield from self._db.execute(query)

    def rejects(self) -> Iterator[tuple[str, int, int, str]]:
        """Yield (key, offset, length, kind) of every byte range that is no usable event."""
        yield from self._db.execute("SELECT key, offset, length, kind FROM rejects")

    def totals(self) -> dict[str, int]:
        """Return the numbers of files, bytes, copies, distinct events and rejected ranges."""
        query = """SELECT (SELECT count(*) FROM files), (SELECT coalesce(sum(size), 0) FROM files),
          (SELECT count(*) FROM events), (SELECT count(*) FROM (SELECT DISTINCT org_key, event_id FROM events)),
          (SELECT count(*) FROM rejects)"""
        return dict(
            zip(("files", "bytes", "copies", "events", "rejects"), self._db.execute(query).fetchone(), strict=True)
        )

    def keys(self) -> list[str]:
        """Return the published object keys."""
        return [row[0] for row in self._db.execute("SELECT key FROM files ORDER BY hour, key")]
