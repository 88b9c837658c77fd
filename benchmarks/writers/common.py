"""Split lines into events by type, for all writers."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator

ENVELOPE = ("event_id", "org_id", "cid")
CHUNK = 64 << 20


def event_name(event_type: str, version: Any) -> str:
    """Event type with its version, once."""
    return event_type if version is None or event_type.endswith(f"-{version}") else f"{event_type}-{version}"


def partition(out: str, domain: str, name: str, date: str) -> Path:
    """Return the folder of a partition, with its parents made."""
    folder = Path(out) / f"domain={domain}" / f"event_type={name}" / f"event_date={date}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    return folder


def chunks(folder: str) -> Iterator[list[Path]]:
    """Yield the files in order, about 64 MB at a time, so that memory does not grow."""
    taken: list[Path] = []
    size = 0
    for path in sorted(Path(folder).glob("*.ndjson")):
        if taken and size + path.stat().st_size > CHUNK:
            yield taken
            taken, size = [], 0
        taken.append(path)
        size += path.stat().st_size
    if taken:
        yield taken


def lines_by_type(paths: list[Path]) -> dict[tuple[str, str], list[bytes]]:
    """Return lines of NDJSON by domain and event name; raise if a line is no event."""
    found: dict[tuple[str, str], list[bytes]] = defaultdict(list)
    for path in paths:
        for line in path.read_bytes().splitlines():
            event = orjson.loads(line)
            found[event["domain"], event_name(event["event_type"], event.get("schema_version"))].append(line)
    return found
