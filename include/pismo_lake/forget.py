"""Forget a landed file: its record, its bytes in landing, and its rows in the lake.

The ledger forgets it first and asks for a build in the same transaction, then its bytes are removed. A second call
finds what a kill left. Later copies of its events, which lost to it, are built as well.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, select, update

from pismo_lake import storage
from pismo_lake.build.day import build_unit
from pismo_lake.hours import PublishHour
from pismo_lake.index.dedupe import time_range
from pismo_lake.index.files import read_index_at
from pismo_lake.index.keys import KEY_COLUMNS
from pismo_lake.index.later_copies import LaterCopies
from pismo_lake.ledger import FileLedger, LakeFiles
from pismo_lake.ledger.days import PART
from pismo_lake.ledger.tables import builds, files, raw_files, sightings
from pismo_lake.paths import columns_path, index_path, landing_path

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Table

    from pismo_lake.ledger import FileRecord, Ledger
    from pismo_lake.settings.lake import LakeSettings

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What forgetting did: units built anew, units left to their own delivery, whether the bytes were removed."""

    units: tuple[str, ...]
    left: tuple[str, ...]
    removed: bool


def forget_file(settings: LakeSettings, ledger: Ledger, name: str, log: logging.Logger = _LOG) -> Forgotten | None:
    """Forget a landed file by its name and build its unit without it; None if there is no such file.

    A file that Pismo still has is landed again by the next listing. The bytes stay if another lake has them recorded.
    """
    found = next(iter(FileLedger(ledger, settings.lake, settings.delivery).named([name])), None)
    sharing = set() if found is None else _sharing(settings, ledger, found)
    with ledger.transaction() as connection:
        if found is not None:
            _reopen(connection, found, sharing)
        gone = _delete_rows(connection, settings, name)
        shared = _recorded_elsewhere(connection, settings, name)
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
    """Return (delivery, publish hour) of later files with a copy of the file's events, which wins from now on."""
    try:
        return LaterCopies(settings, ledger).hours_sharing(
            record, lambda: read_index_at(str(record.index_uri), KEY_COLUMNS)
        )
    except (FileNotFoundError, ValueError):
        # its index is lost: any later file whose events are of its time may hold a copy
        last = str(PublishHour.parse(record.publish_hour).plus(24 * settings.horizon_days))
        later = LakeFiles(ledger, settings.lake).indexes_overlapping(record.publish_hour, last, time_range([record]))
        return {(delivery, hour) for hour, _, delivery, _ in later}


def _reopen(connection: Connection, record: FileRecord, sharing: set[tuple[str, str]]) -> None:
    """Ask for builds of the file's own part, even if it was the last file of it, and of those that `sharing` names."""
    part = PART if record.closed else record.part
    unit = (builds.c.lake == record.lake, builds.c.delivery == record.delivery, builds.c.unit == record.unit)
    connection.execute(update(builds).where(*unit, builds.c.part == part).values(pending=True))
    for delivery, hour in {*sharing, (record.delivery, record.publish_hour)}:
        same = (files.c.lake == record.lake, files.c.delivery == delivery, files.c.publish_hour == hour)
        connection.execute(update(files).where(*same).values(built=False, touched=files.c.touched + 1))


def _delete_rows(connection: Connection, settings: LakeSettings, name: str) -> int:
    """Delete the file's rows; return how many there were, a sighting not counted."""
    count = 0
    for table in (files, raw_files):
        same = (*_of(table, settings), table.c.name == name)
        keys = list(connection.execute(select(table.c.key).where(*same)).scalars())
        connection.execute(delete(table).where(*same))
        connection.execute(delete(sightings).where(*_of(sightings, settings), sightings.c.key.in_(keys)))
        count += len(keys)
    return count


def _recorded_elsewhere(connection: Connection, settings: LakeSettings, name: str) -> bool:
    """Say whether another lake has the same bytes of landing recorded."""
    uri = storage.join(settings.landing, landing_path(settings.delivery, name))
    return any(
        connection.execute(select(table.c.name).where(table.c.raw_uri == uri)).first() for table in (files, raw_files)
    )


def _of(table: Table, settings: LakeSettings) -> tuple[ColumnElement[bool], ...]:
    return table.c.lake == settings.lake, table.c.delivery == settings.delivery
