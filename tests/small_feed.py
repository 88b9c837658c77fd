"""Make a small lake for commands: two days with child tables, duplicates and damage."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
from tests.lakes import at, event, is_bond, key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY, NEXT = "2026-03-01", "2026-03-02"
DELIVERIES = """\
deliveries:
  small:
    organisation: TN-1
    environment: sandbox
    channel: gcs
    conn_id: none
    source: {{bucket: none}}
    landing: {store}/landing
    lake: {store}/lake
    ledger_url: sqlite:///{root}/ledger.db
    contracts:
      child_tables: ["**"]
"""
LINES = {"lines": [{"n": 1}, {"n": 2}]}
FILES = {
    key(3): event("e-1", LINES, timestamp=at(3)) + b'{"broken' + event("e-2", LINES, timestamp=at(3)),
    # a copy that loses, and an event of another type
    key(4): event("e-1", LINES, timestamp=at(3)) + event("e-3", domain="cards", timestamp=at(4)),
    key(5, day=2): event("e-4", LINES, timestamp=at(5, 2)),
}
LATE = {key(3, "late"): event("e-5", LINES, timestamp=at(3))}


class SmallLake:
    """A lake in its own folder or in a `store`, which can go back to an earlier state."""

    def __init__(self, home: Path, store: str = "") -> None:
        self.home, self.root = home, home / "work"
        self.root.mkdir(parents=True)
        text = DELIVERIES.format(root=self.root, store=store or self.root)
        (self.root / "deliveries.yaml").write_text(text)
        for folder, files in (("first", FILES), ("late", LATE)):
            for name, content in files.items():
                path = home / "source" / folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)

    @property
    def options(self) -> tuple[str, ...]:
        """The options that name the lake to a command."""
        return "--deliveries", str(self.root / "deliveries.yaml"), "--delivery", "small"

    def source(self, folder: str) -> str:
        """Return the folder of source files.

        It never changes, because the inode and the times of a file are its ETag.
        """
        return str(self.home / "source" / folder)

    def keep(self, name: str) -> None:
        """Remember the present state."""
        shutil.copytree(self.root, self.home / name)

    def set_back(self, name: str) -> None:
        """Go back to an earlier state, at the same path, because the ledger names the lake by it."""
        shutil.rmtree(self.root)
        shutil.copytree(self.home / name, self.root)

    def digest(self) -> dict[str, str]:
        """SHA-256 of all files of lake and landing that are a function of the feed alone.

        The bond with the ledger has ids and times of its own, so have the records of erasures. Reports for people name
        the times of landing.
        """
        return {path: hashlib.sha256((self.root / path).read_bytes()).hexdigest() for path in self._lasting()}

    def _lasting(self) -> Iterator[str]:
        for path in self._files():
            below = str(path.relative_to(self.root))
            timed = below.startswith("lake/reports/") and path.suffix != ".parquet"
            if not (is_bond(path) or "/_erasures/" in below or timed):
                yield below

    def _files(self) -> Iterator[Path]:
        for folder in ("lake", "landing"):
            yield from sorted(path for path in (self.root / folder).rglob("*") if path.is_file())

    def temporary(self) -> list[str]:
        """Return the temporary files of lake and landing."""
        found = (path for path in self._files() if path.name.startswith(".") or path.suffix == ".columns")
        return [str(path.relative_to(self.root)) for path in found] + [
            str(path.relative_to(self.root)) for path in (self.root / "lake/_spool").rglob("*")
        ]

    def event_ids(self) -> list[str]:
        """Return the event ids of all rows, sorted."""
        paths = (self.root / "lake/events").rglob("*.parquet")
        tables = (pq.ParquetFile(path).read(["event_id"]) for path in paths if not path.name.startswith("."))
        return sorted(value for table in tables for value in table.column("event_id").to_pylist())
