"""Answer the questions of a page about one delivery, each with a query of bounded work.

Every query uses an index, reads at most a few publish days, or has a limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, func, or_, select

from pismo_lake.hours import DAY_LENGTH
from pismo_lake.ledger.files import file_record
from pismo_lake.ledger.queries import of_day
from pismo_lake.ledger.tables import builds, contract_changes, files, lakes, raw_files, sightings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Select, Table

    from pismo_lake.ledger.engine import Ledger
    from pismo_lake.ledger.files import FileRecord


@dataclass(frozen=True, slots=True)
class Waiting:
    """Files that are not in the lake yet: landed (with their bytes), only seen, and given up for now."""

    files: int = 0
    bytes: int = 0
    not_landed: int = 0
    quarantined: int = 0


@dataclass(frozen=True, slots=True)
class Close:
    """The close of a publish day; `run` is the DAG and the run that built it."""

    day: str
    built_at: str
    run: str | None


@dataclass(frozen=True, slots=True)
class HourSums:
    """The landed files of one publish hour."""

    publish_hour: str
    files: int
    bytes: int
    plain_bytes: int
    events: int
    rejects: int


@dataclass(frozen=True, slots=True)
class RunLine:
    """A DAG run, or a command, and its share in a day; `last` is the time of its latest work."""

    run: str
    work: str
    count: int
    last: str


class Lookups:
    """The state of one delivery in one lake."""

    def __init__(self, ledger: Ledger, lake: str, delivery: str) -> None:
        self._ledger, self._lake, self._delivery = ledger, lake, delivery

    def revision(self) -> str:
        """Return a text that changes if files are landed, indexed or missed, and usually if one is built."""
        queries: list[Any] = [
            select(lakes.c.generation).where(lakes.c.lake == self._lake),
            select(func.max(files.c.id)),
            select(func.count()).where(*self._where(raw_files)),
            select(func.count(), func.max(sightings.c.first_seen)).where(*self._where(sightings)),
            select(func.count()).where(*self._where(files), files.c.built.is_(False)),
        ]
        with self._ledger.engine.connect() as connection:
            return "-".join(str(value) for query in queries for value in connection.execute(query).first() or ("",))

    def first_hour(self) -> str | None:
        """Return the oldest publish hour with a landed file."""
        query = select(files.c.publish_hour).where(*self._where(files)).order_by(files.c.publish_hour).limit(1)
        return self._text(query)

    def newest_built_hour(self) -> str | None:
        """Return the newest publish hour that has a file in the lake."""
        query = select(files.c.publish_hour).where(*self._where(files), files.c.built.is_(True))
        return self._text(query.order_by(files.c.publish_hour.desc()).limit(1))

    def waiting(self) -> Waiting:
        """Count the files that are not in the lake yet."""
        unbuilt = select(func.count(), func.coalesce(func.sum(files.c.size), 0))
        unbuilt = unbuilt.where(*self._where(files), files.c.built.is_(False))
        raw = select(func.count(), func.coalesce(func.sum(raw_files.c.size), 0)).where(*self._where(raw_files))
        seen = select(func.count(), func.count(sightings.c.quarantined)).where(*self._where(sightings))
        with self._ledger.engine.connect() as connection:
            built, size = connection.execute(unbuilt).one()
            indexed, raw_size = connection.execute(raw).one()
            missed, quarantined = connection.execute(seen).one()
        return Waiting(built + indexed, int(size) + int(raw_size), missed, quarantined)

    def last_close(self) -> Close | None:
        """Return the close of the newest closed publish day."""
        query = select(builds.c.unit, builds.c.built_at, builds.c.run)
        query = query.where(
            *self._where(builds), func.length(builds.c.unit) == DAY_LENGTH, builds.c.built_at.is_not(None)
        )
        with self._ledger.engine.connect() as connection:
            row = connection.execute(query.order_by(builds.c.unit.desc()).limit(1)).first()
        return None if row is None else Close(*row)

    def closes(self, first: str, last: str) -> dict[str, str]:
        """Return the time of the close of each closed publish day of `[first, last]`."""
        query = select(builds.c.unit, builds.c.built_at).where(*self._where(builds), builds.c.unit.between(first, last))
        with self._ledger.engine.connect() as connection:
            rows = connection.execute(query.where(func.length(builds.c.unit) == DAY_LENGTH))
            return {day: built_at or "" for day, built_at in rows}

    def landing_times(self, day: str, most: int) -> list[tuple[str, str]]:
        """Return (published at, landed at) of the latest files of a publish day, at most `most`."""
        query = select(files.c.published_at, files.c.landed_at).where(*self._where(files))
        query = query.where(of_day(files.c.publish_hour, day), files.c.published_at.is_not(None))
        with self._ledger.engine.connect() as connection:
            rows = connection.execute(query.order_by(files.c.publish_hour.desc()).limit(most))
            return [(published, landed) for published, landed in rows]

    def hours(self, day: str) -> dict[str, HourSums]:
        """Return the sums of each publish hour of a day that has files."""
        table = files.c
        query = select(
            table.publish_hour, func.count(), func.sum(table.size), func.sum(table.plain_size), func.sum(table.events),
            func.sum(table.rejects),
        ).where(*self._where(files), of_day(table.publish_hour, day)).group_by(table.publish_hour)  # fmt: skip
        with self._ledger.engine.connect() as connection:
            return {hour: HourSums(hour, *map(int, sums)) for hour, *sums in connection.execute(query)}

    def unsound(self, day: str, most: int) -> list[FileRecord]:
        """Return the landed files of a day that are not in the lake as they should be, at most `most`."""
        wrong = or_(files.c.built.is_(False), files.c.status != "landed", files.c.problem.is_not(None))
        return self._records(most, of_day(files.c.publish_hour, day), wrong)

    def unclosed(self, day: str) -> int:
        """Count the files of a day that no close has taken."""
        query = select(func.count()).where(*self._where(files), files.c.closed.is_(False))
        with self._ledger.engine.connect() as connection:
            return int(connection.execute(query.where(of_day(files.c.publish_hour, day))).scalar_one())

    def landed_after(self, day: str, moment: str, most: int) -> list[FileRecord]:
        """Return the files of a day that were landed after a time, the latest first, at most `most`."""
        late = (of_day(files.c.publish_hour, day), files.c.landed_at > moment)
        return self._records(most, *late, order=files.c.landed_at.desc())

    def runs(self, day: str, most: int) -> list[RunLine]:
        """Return the runs that landed files of a day or built its units, the latest first."""
        landed = select(files.c.run, func.count(), func.max(files.c.landed_at))
        landed = landed.where(*self._where(files), of_day(files.c.publish_hour, day), files.c.run.is_not(None))
        unit = of_day(builds.c.unit, day) | (builds.c.unit == day)
        built = select(builds.c.run, func.count(), func.max(builds.c.built_at))
        built = built.where(*self._where(builds), unit, builds.c.run.is_not(None))
        with self._ledger.engine.connect() as connection:
            lines = [
                RunLine(run, work, count, last or "")
                for work, query, column in (("built", built, builds.c.run), ("landed", landed, files.c.run))
                for run, count, last in connection.execute(query.group_by(column))
            ]
        return sorted(lines, key=lambda line: (line.last, line.work, line.run), reverse=True)[:most]

    def changes(self, day: str, most: int) -> list[tuple[Any, ...]]:
        """Return the contract changes that files of a day made, at most `most`.

        Each is (event type, path, before, after, first file, seen at, first offset).
        """
        table = contract_changes.c
        mine = and_(
            files.c.name == table.first_file, files.c.lake == table.lake, files.c.delivery == self._delivery,
            of_day(files.c.publish_hour, day),
        )  # fmt: skip
        query = select(
            table.domain, table.event_type, table.path, table.before, table.after, table.first_file, table.seen_at,
            table.first_offset,
        ).where(table.lake == self._lake, select(files.c.id).where(mine).exists()).order_by(table.id)  # fmt: skip
        with self._ledger.engine.connect() as connection:
            rows = connection.execute(query.limit(most))
            return [(f"{domain}/{event_type}", *rest) for domain, event_type, *rest in rows]

    def find_files(
        self, first: str, last: str, *, text: str = "", status: str = "", before: tuple[str, str] | None = None,
        most: int,
    ) -> list[FileRecord]:  # fmt: skip
        """Return landed files of the publish hours `[first, last]`, the newest first, at most `most`.

        Args:
            first: the first publish hour.
            last: the last publish hour.
            text: a part of the key.
            status: ``unbuilt``, ``unreadable``, ``problem`` or empty.
            before: (publish hour, name) of the last file of the page before.
            most: the size of a page.
        """
        last = last if before is None else min(last, before[0])
        conditions: list[ColumnElement[bool]] = [files.c.publish_hour.between(first, last)]
        if text:
            conditions.append(files.c.key.contains(text, autoescape=True))
        wrong = {
            "unbuilt": files.c.built.is_(False),
            "unreadable": files.c.status == "unreadable",
            "problem": files.c.problem.is_not(None),
        }
        if status in wrong:
            conditions.append(wrong[status])
        if before is not None:
            conditions.append(or_(files.c.publish_hour < before[0], files.c.name < before[1]))
        return self._records(most, *conditions)

    def _records(
        self, most: int, *conditions: ColumnElement[bool], order: ColumnElement[Any] | None = None
    ) -> list[FileRecord]:
        orders: Sequence[Any] = [files.c.publish_hour.desc(), files.c.name.desc()]
        if order is not None:
            # times have whole seconds
            orders = [order, files.c.id.desc()]
        query = select(files).where(*self._where(files), *conditions).order_by(*orders).limit(most)
        with self._ledger.engine.connect() as connection:
            return [file_record(row) for row in connection.execute(query).mappings()]

    def _text(self, query: Select[Any]) -> str | None:
        with self._ledger.engine.connect() as connection:
            found = connection.execute(query).scalar()
            return None if found is None else str(found)

    def _where(self, table: Table) -> tuple[ColumnElement[bool], ...]:
        return (table.c.lake == self._lake, table.c.delivery == self._delivery)
