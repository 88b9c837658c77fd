"""Forget a landed file: its record, its bytes in landing, and its rows in the lake.

The ledger forgets it first and asks for a build in the same transaction, then its bytes are removed. After a kill, a
second call completes the work. Later copies of its events, which lost to it, are built as well.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pismo_lake import storage
from pismo_lake.build.day import build_unit
from pismo_lake.hours import PublishHour
from pismo_lake.index.dedupe import time_range
from pismo_lake.index.files import read_index_at
from pismo_lake.index.keys import KEY_COLUMNS
from pismo_lake.index.later_copies import LaterCopies
from pismo_lake.ledger import FileLedger, LakeFiles
from pismo_lake.ledger.forget import forget_records, is_recorded
from pismo_lake.paths import columns_path, index_path, landing_path

if TYPE_CHECKING:
    from pismo_lake.ledger import FileRecord, Ledger
    from pismo_lake.settings.lake import LakeSettings

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The result of forgetting: the built units, and the units left to their own delivery.

    `removed` is true if the bytes were removed.
    """

    units: tuple[str, ...]
    left: tuple[str, ...]
    removed: bool


def forget_file(settings: LakeSettings, ledger: Ledger, name: str, log: logging.Logger = _LOG) -> Forgotten | None:
    """Forget a landed file by its name and build its unit without it; None if it is unknown.

    If Pismo still has the file, the next listing lands it again. The bytes stay if another lake has recorded them.
    """
    found = next(iter(FileLedger(ledger, settings.lake, settings.delivery).find_named([name])), None)
    sharing = set() if found is None else _sharing(settings, ledger, found)
    gone = forget_records(ledger, settings.lake, settings.delivery, name, found, sharing)
    raws = {storage.join(settings.landing, landing_path(settings.delivery, name))}
    # earlier versions gave keys that differ only by empty segments one raw file
    raws |= {found.raw_uri} if found is not None else set()
    shared = any(is_recorded(ledger, raw) for raw in raws)
    paths = [path(settings.delivery, name) for path in (landing_path, index_path, columns_path)]
    uris = {storage.join(settings.landing, path) for path in paths}
    uris |= {uri for uri in (found.raw_uri, found.index_uri) if uri} if found is not None else set()
    there = any(storage.exists(uri) for uri in uris)
    if not (gone or there):
        return None
    if not shared:
        for uri in sorted(uris):
            storage.remove(uri)
    hours: dict[str, set[str]] = {}
    for delivery, hour in sharing:
        hours.setdefault(delivery, set()).add(hour)
    units = {} if found is None else {found.delivery: {found.unit}}
    for delivery, those in hours.items():
        units.setdefault(delivery, set()).update(FileLedger(ledger, settings.lake, delivery).units_of_hours(those))
    mine = sorted(units.pop(settings.delivery, set()))
    for unit in mine:
        build_unit(settings, ledger, unit, log=log)
    left = tuple(f"{delivery} {unit}" for delivery, those in sorted(units.items()) for unit in sorted(those))
    return Forgotten(tuple(mine), left, removed=there and not shared)


def _sharing(settings: LakeSettings, ledger: Ledger, record: FileRecord) -> set[tuple[str, str]]:
    """Return (delivery, publish hour) of later files with a copy of an event, which wins now."""
    try:
        return LaterCopies(settings, ledger).hours_sharing(
            record, lambda: read_index_at(str(record.index_uri), KEY_COLUMNS)
        )
    except (FileNotFoundError, ValueError):
        # the index is lost: any later file with events of the same time may hold a copy
        last = str(PublishHour.parse(record.publish_hour).plus(24 * settings.horizon_days))
        later = LakeFiles(ledger, settings.lake).list_overlapping_indexes(
            record.publish_hour, last, time_range([record])
        )
        return {(delivery, hour) for hour, _, delivery, _ in later}
