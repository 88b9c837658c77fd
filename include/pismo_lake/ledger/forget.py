"""Delete the records of a landed file, and mark the builds that its loss needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, select, update

from pismo_lake.ledger.days import PART
from pismo_lake.ledger.files import mark_unbuilt
from pismo_lake.ledger.tables import builds, files, raw_files, sightings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import ColumnElement, Connection, Table

    from pismo_lake.ledger.engine import Ledger
    from pismo_lake.ledger.files import FileRecord


def forget_records(
    ledger: Ledger, lake: str, delivery: str, name: str, record: FileRecord | None, sharing: Iterable[tuple[str, str]]
) -> int:
    """Delete the records of a file of one delivery in one lake, in one transaction.

    Args:
        ledger: the ledger.
        lake: the lake.
        delivery: the delivery.
        name: the name of the file.
        record: the record of the indexed file, if there is one. Its unit is marked unbuilt.
        sharing: (delivery, publish hour) of the units with another copy of its events. They are marked unbuilt.

    Returns:
        The number of deleted records, without sightings.
    """
    with ledger.transaction() as connection:
        if record is not None:
            _reopen(connection, record, sharing)
        count = 0
        for table in (files, raw_files):
            same = (*_of(table, lake, delivery), table.c.name == name)
            keys = list(connection.execute(select(table.c.key).where(*same)).scalars())
            connection.execute(delete(table).where(*same))
            connection.execute(delete(sightings).where(*_of(sightings, lake, delivery), sightings.c.key.in_(keys)))
            count += len(keys)
    return count


def is_recorded(ledger: Ledger, raw_uri: str) -> bool:
    """Return whether any lake has recorded the raw bytes at a URI."""
    with ledger.engine.connect() as connection:
        queries = (select(table.c.name).where(table.c.raw_uri == raw_uri).limit(1) for table in (files, raw_files))
        return any(connection.execute(query).first() for query in queries)


def _reopen(connection: Connection, record: FileRecord, sharing: Iterable[tuple[str, str]]) -> None:
    """Mark the file's own part unbuilt, even if this was its last file, and those of `sharing`."""
    part = PART if record.closed else record.part
    unit = (*_of(builds, record.lake, record.delivery), builds.c.unit == record.unit)
    connection.execute(update(builds).where(*unit, builds.c.part == part).values(pending=True))
    for delivery, hour in sorted({*sharing, (record.delivery, record.publish_hour)}):
        mark_unbuilt(connection, record.lake, delivery, hour)


def _of(table: Table, lake: str, delivery: str) -> tuple[ColumnElement[bool], ...]:
    return table.c.lake == lake, table.c.delivery == delivery
