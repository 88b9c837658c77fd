"""Describe event files at the source, and find the new ones."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from pismo_lake.ledger.files import KnownFile


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """An event file at the source; `size` in bytes as listed or announced, None if unknown."""

    key: str
    size: int | None
    etag: str | None = None
    last_modified: datetime | None = None

    @property
    def published_at(self) -> str | None:
        """The time at which the source says it was created: ISO 8601, UTC."""
        moment = self.last_modified
        return moment.astimezone(UTC).isoformat(timespec="seconds") if moment else None


def new_files(files: Iterable[RemoteFile], known: Mapping[str, KnownFile]) -> list[RemoteFile]:
    """Return the files that the ledger lacks, or has with another size or ETag.

    Each key comes once, in key order.
    """
    fresh: dict[str, RemoteFile] = {}
    for file in files:
        have = known.get(file.key)
        same_size = have is not None and file.size in (None, have.size)
        same_etag = have is not None and (not file.etag or not have.etag or file.etag == have.etag)
        if not (same_size and same_etag):
            fresh[file.key] = file
    return [fresh[key] for key in sorted(fresh)]
