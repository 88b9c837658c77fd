"""Read the landed files of a whole lake, with all its deliveries."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from sqlalchemy import and_, case, func, select, union

from pismo_lake.hours import DAY_LENGTH
from pismo_lake.ledger.days import PART
from pismo_lake.ledger.files import file_record, read_records
from pismo_lake.ledger.queries import of_day
from pismo_lake.ledger.raw_files import RawFile, raw_file
from pismo_lake.ledger.tables import builds, files, raw_files

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection

    from pismo_lake.ledger.engine import Ledger
    from pismo_lake.ledger.files import FileRecord


class LakeFiles:
    """The landed files of all deliveries of one lake."""

    def __init__(self, ledger: Ledger, lake: str) -> None:
        self._ledger, self._lake = ledger, lake

    def every(self, *, day: str | None = None) -> list[FileRecord]:
        """Return every file, or the files of one publish day (YYYY-MM-DD), in rank order."""
        return self._records(*(() if day is None else (of_day(files.c.publish_hour, day),)))

    def list_not_closed(self, within: tuple[str, str, str] | None = None) -> list[FileRecord]:
        """Return every file that is in no closed day, in rank order.

        Args:
            within: (delivery, first publish day, last publish day) of the wanted files; None for all.
        """
        open_files: list[ColumnElement[bool]] = [files.c.closed.is_(False)]
        if within is not None:
            delivery, first, last = within
            hours = files.c.publish_hour.between(f"{first}T00", f"{last}T23")
            open_files += [files.c.delivery == delivery, hours]
        return self._records(*open_files)

    def list_overlapping(self, first: str, last: str, times: tuple[int, int] | None) -> list[FileRecord]:
        """Return files of publish hours `[first, last]` whose event times may overlap `times`.

        They are in rank order. Files with untimed events always count; if `times` is None, every file does.
        """
        return self._records(*_overlap(first, last, times))

    def list_overlapping_indexes(
        self, first: str, last: str, times: tuple[int, int] | None, within: Connection | None = None
    ) -> list[tuple[str, str, str, str]]:
        """Return (publish hour, name, delivery, index URI) of the files of `list_overlapping`, unordered.

        `within` is a transaction of the caller; by default the method reads in one of its own.
        """
        columns = (files.c.publish_hour, files.c.name, files.c.delivery, files.c.index_uri)
        query = select(*columns).where(files.c.lake == self._lake, *_overlap(first, last, times))
        with nullcontext(within) if within is not None else self._ledger.engine.connect() as connection:
            return [(hour, name, delivery, uri) for hour, name, delivery, uri in connection.execute(query)]

    def list_without_build(self) -> list[FileRecord]:
        """Return the files that count as built, although no build of their part is recorded, in rank order."""
        unit = case((files.c.closed, func.substr(files.c.publish_hour, 1, DAY_LENGTH)), else_=files.c.publish_hour)
        part = case((files.c.closed, PART), else_=files.c.part)
        place = (builds.c.lake == files.c.lake, builds.c.delivery == files.c.delivery, builds.c.unit == unit)
        # one statement, so that it sees one moment
        query = select(files).outerjoin(builds, and_(*place, builds.c.part == part))
        query = query.where(files.c.lake == self._lake, files.c.built, func.coalesce(builds.c.fingerprint, "") == "")
        with self._ledger.engine.connect() as connection:
            found = map(file_record, connection.execute(query).mappings())
            return sorted(found, key=lambda record: record.rank)

    def list_waiting(self) -> list[tuple[str, RawFile]]:
        """Return (delivery, file) of every raw file without an index."""
        query = select(raw_files).where(raw_files.c.lake == self._lake)
        query = query.order_by(raw_files.c.delivery, raw_files.c.name)
        with self._ledger.engine.connect() as connection:
            return [(row["delivery"], raw_file(row)) for row in connection.execute(query).mappings()]

    def deliveries(self) -> list[str]:
        """Return the deliveries that have landed files, by name."""
        with self._ledger.engine.connect() as connection:
            each = (select(table.c.delivery).where(table.c.lake == self._lake) for table in (files, raw_files))
            return sorted(connection.execute(union(*each)).scalars())

    def list_closed_days(self, within: tuple[str, str, str] | None = None) -> list[tuple[str, list[str]]]:
        """Return (delivery, outputs) of every closed day, or of those of a delivery from a first to a last day."""
        query = select(builds.c.delivery, builds.c.outputs).where(builds.c.lake == self._lake)
        if within is not None:
            query = query.where(builds.c.delivery == within[0], builds.c.unit.between(within[1], within[2]))
        with self._ledger.engine.connect() as connection:
            rows = connection.execute(query.where(func.length(builds.c.unit) == DAY_LENGTH))
            return [(row[0], row[1]) for row in rows]

    def _records(self, *conditions: ColumnElement[bool]) -> list[FileRecord]:
        return read_records(self._ledger, files.c.lake == self._lake, *conditions)


def _overlap(first: str, last: str, times: tuple[int, int] | None) -> tuple[ColumnElement[bool], ...]:
    hours = (files.c.publish_hour.between(first, last), files.c.events > 0)
    if times is None:
        return hours
    within = (files.c.min_timestamp <= times[1]) & (files.c.max_timestamp >= times[0])
    return (*hours, within | (files.c.untimed > 0))
