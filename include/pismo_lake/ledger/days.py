"""Record a closed publish day: one build that takes the day's files from their hours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, select, update

from pismo_lake.ledger.builds import BuildLedger, mark_files
from pismo_lake.ledger.files import lock_files
from pismo_lake.ledger.queries import of_day
from pismo_lake.ledger.tables import builds, files

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Connection, RowMapping

    from pismo_lake.ledger.engine import Ledger
    from pismo_lake.ledger.files import FileRecord

PART = 0
"""A closed day is one part, for any number of files."""


class DayLedger(BuildLedger):
    """The build of one publish day (YYYY-MM-DD) of one delivery in one lake."""

    def __init__(self, ledger: Ledger, lake: str, delivery: str, day: str) -> None:
        super().__init__(ledger, lake, delivery, day)
        self._lake, self._delivery, self._day = lake, delivery, day

    def hours(self) -> list[str]:
        """Return the publish hours of the day that still have builds of their own."""
        with self._ledger.engine.connect() as connection:
            query = select(builds.c.unit).where(*self._hours()).distinct().order_by(builds.c.unit)
            return list(connection.execute(query).scalars())

    def _hours(self) -> tuple[ColumnElement[bool], ...]:
        return (builds.c.lake == self._lake, builds.c.delivery == self._delivery, of_day(builds.c.unit, self._day))

    def _lock_day(self, connection: Connection) -> RowMapping | None:  # noqa: ARG002
        """Return nothing: the day locks its own record, which lists the files that it removes."""
        return None

    def _take_over(self, connection: Connection, taken_in: Sequence[FileRecord]) -> set[str]:
        """Take the day's files from their hours, in the transaction that records the day.

        The builds of the hours end. If another run builds one of these hours now, it loses its claim with the row. If
        a file arrived meanwhile, its hour builds it again, because the outputs of that hour are removed.
        """
        # locked in order, so that two transactions never wait for each other
        order = (builds.c.unit, builds.c.part)
        connection.execute(select(builds.c.part).where(*self._hours()).order_by(*order).with_for_update())
        taken = delete(builds).where(*self._hours()).returning(builds.c.outputs, builds.c.superseded)
        rows = connection.execute(taken).all()
        of_day_files = (
            files.c.lake == self._lake, files.c.delivery == self._delivery, of_day(files.c.publish_hour, self._day),
        )  # fmt: skip
        lock_files(connection, *of_day_files)
        mark_files(connection, taken_in, {"closed": True})
        connection.execute(update(files).where(*of_day_files, files.c.closed.is_(False)).values(built=False))
        return {path for outputs, superseded in rows for path in (*outputs, *superseded)}
