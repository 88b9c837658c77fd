"""Name the events of a replay that could not be sent."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from pismo_lake.errors import LandedFileError
from pismo_lake.index.files import read_index
from pismo_lake.ledger import FileLedger
from pismo_lake.ledger.replays import ReplayLedger

if TYPE_CHECKING:
    from pismo_lake.ledger import FileRecord, Ledger
    from pismo_lake.settings.lake import LakeSettings


@dataclass(frozen=True, slots=True)
class NamedRefusal:
    """An event that was not sent; `event_id` is None if its file has no index any more, or it was erased."""

    event_id: str | None
    name: str
    offset: int
    reason: str


def list_refused(settings: LakeSettings, ledger: Ledger, replay_id: str) -> list[NamedRefusal]:
    """Return the refused events of a replay, by file; the ledger keeps their places, and indexes their ids.

    Raises:
        ReplayError: there is no such replay.
    """
    book = ReplayLedger(ledger, settings.lake, settings.delivery)
    book.find(replay_id)
    refused = sorted(book.refused(replay_id), key=lambda event: (event.name, event.offset))
    files = FileLedger(ledger, settings.lake, settings.delivery)
    records = {record.name: record for record in files.find_named({event.name for event in refused})}
    found = []
    for name, events in groupby(refused, key=lambda event: event.name):
        ids = _ids(records.get(name))
        found += [NamedRefusal(ids.get(event.offset), name, event.offset, event.reason) for event in events]
    return found


def _ids(record: FileRecord | None) -> dict[int, str]:
    if record is None:
        return {}
    try:
        index = read_index(record, ["offset", "event_id"])
    except LandedFileError:
        return {}
    return dict(zip(index.column("offset").to_pylist(), index.column("event_id").to_pylist(), strict=True))
