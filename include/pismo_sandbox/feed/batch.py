"""Build one batch file: events and, by dial, damage, with exact offsets for the truth."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pismo_sandbox.check.truth import Copy

if TYPE_CHECKING:
    from pismo_sandbox.feed.events import Event


@dataclass(slots=True)
class Batch:
    """The bytes of a file so far; `delimiter` is between values (Pismo writes none)."""

    key: str
    hour: str
    delimiter: bytes = b""
    chunks: list[bytes] = field(default_factory=list)
    size: int = 0
    copies: list[Copy] = field(default_factory=list)
    rejects: list[tuple[int, int, str]] = field(default_factory=list)

    def _append(self, chunk: bytes) -> int:
        if self.chunks and self.delimiter:
            self.chunks.append(self.delimiter)
            self.size += len(self.delimiter)
        start = self.size
        self.chunks.append(chunk)
        self.size += len(chunk)
        return start

    def add(self, event: Event) -> None:
        """Add a whole event."""
        start = self._append(event.text)
        copy = Copy(
            event.org_id, event.event_id, self.hour, self.key, start, len(event.text), event.payload, event.text
        )
        self.copies.append(copy)

    def add_reject(self, chunk: bytes, kind: str) -> None:
        """Add bytes that are no usable event."""
        start = self._append(chunk)
        self.rejects.append((start, len(chunk), kind))

    def finish(self, *, compress: bool = False) -> bytes:
        """Return the file's bytes."""
        plain = b"".join(self.chunks)
        # two members, like the files of writers that append; mtime 0 keeps the bytes reproducible
        if compress:
            half = len(plain) // 2
            return gzip.compress(plain[:half], mtime=0) + gzip.compress(plain[half:], mtime=0)
        return plain
