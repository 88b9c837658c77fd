"""Read Pismo's own announcements of schema changes, which warn early of drift.

Source: Pismo's page "JSON schema change" (dataplatform-json-schema-change-1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pismo_lake.decode.envelope import parse_exact
from pismo_lake.errors import LandedFileError
from pismo_lake.index.landed import event_bytes
from pismo_lake.report.model import DriftLine

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pismo_lake.ledger import FileRecord

_LONGEST = 200


def announced_changes(places: Iterable[tuple[FileRecord, int, int]]) -> tuple[DriftLine, ...]:
    """Return a line for each schema that an event announces as added, modified or removed.

    A redelivered event gives one line.
    """
    found: dict[str, DriftLine] = {}
    for record, offset, length in places:
        try:
            event = parse_exact(event_bytes(record, offset, length))
        except (LandedFileError, ValueError):
            # the event was erased, or the file has changed: the build reports that
            continue
        data = event.get("data")
        if not isinstance(data, dict):
            continue
        named = f"{_text(data, 'schema_domain')}/{_text(data, 'schema_event_type')}-{_text(data, 'schema_version')}"
        line = DriftLine(
            named, _text(data, "schema_name"), "announced", _text(data, "change_type"), record.name,
            _text(event, "timestamp"), offset,
        )  # fmt: skip
        found.setdefault(str(event["event_id"]), line)
    return tuple(found.values())


def _text(values: dict[str, Any], key: str) -> str:
    return str(values.get(key, ""))[:_LONGEST]
