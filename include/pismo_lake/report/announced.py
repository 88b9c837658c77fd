"""Read Pismo's own announcements of schema changes, which warn early of drift.

Source: Pismo's page "JSON schema change" (dataplatform-json-schema-change-1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pismo_lake.decode.envelope import parse_exact
from pismo_lake.errors import LandedFileError
from pismo_lake.index.landed import event_bytes
from pismo_lake.ledger import FileLedger
from pismo_lake.paths import event_name
from pismo_lake.report.model import DriftLine
from pismo_lake.report.scan import scan_day
from pismo_lake.schemas.announced import AnnouncedSchema

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pismo_lake.ledger import FileRecord, Ledger
    from pismo_lake.settings.lake import LakeSettings

_LONGEST = 200


def announced_changes(places: Iterable[tuple[FileRecord, int, int]]) -> tuple[DriftLine, ...]:
    """Return a line for each schema that an event announces as added, modified or removed.

    A redelivered event gives one line.
    """
    found: dict[str, DriftLine] = {}
    for record, offset, event in _read(places):
        data = event["data"]
        named = f"{_text(data, 'schema_domain')}/{_text(data, 'schema_event_type')}-{_text(data, 'schema_version')}"
        line = DriftLine(
            named, _text(data, "schema_name"), "announced", _text(data, "change_type"), record.name,
            _text(event, "timestamp"), offset,
        )  # fmt: skip
        found.setdefault(str(event["event_id"]), line)
    return tuple(found.values())


def schemas_of_day(settings: LakeSettings, ledger: Ledger, day: str) -> tuple[AnnouncedSchema, ...]:
    """Return the schemas that events of a publish day announce, in the order of the files."""
    files = FileLedger(ledger, settings.lake, settings.delivery).of_day(day)
    found = []
    for _, _, event in _read(scan_day(files).schema_changes):
        data = event["data"]
        domain = _text(data, "schema_domain")
        name = event_name(_text(data, "schema_event_type"), _text(data, "schema_version"))
        text = None if _text(data, "change_type").upper() == "REMOVE" else str(data.get("new_schema"))
        found.append(AnnouncedSchema(f"{domain}/{name}.json", text, _text(event, "timestamp")))
    return tuple(found)


def _read(places: Iterable[tuple[FileRecord, int, int]]) -> Iterator[tuple[FileRecord, int, dict[str, Any]]]:
    """Yield the events at some places with their file and offset, if they have a payload."""
    for record, offset, length in places:
        try:
            event = parse_exact(event_bytes(record, offset, length))
        except (LandedFileError, ValueError):
            # the event was erased, or the file has changed: the build reports that
            continue
        if isinstance(event.get("data"), dict):
            yield record, offset, event


def _text(values: dict[str, Any], key: str) -> str:
    return str(values.get(key, ""))[:_LONGEST]
