"""Record builds in the ledger: a part's fingerprint, its outputs, and its claim.

A builder claims a part, plans its outputs (so that a crash leaves no unknown file), writes them, commits them, and
removes the outputs that they supersede. If another builder claims the part later, it finds the plan among the files
that may have to be removed.
"""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.exc import IntegrityError

from pismo_lake.hours import DAY_LENGTH
from pismo_lake.ledger.engine import now_text
from pismo_lake.ledger.generation import mark_generation, raise_generation
from pismo_lake.ledger.tables import builds, files

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from sqlalchemy import ColumnElement, Connection, RowMapping

    from pismo_lake.ledger.engine import Ledger
    from pismo_lake.ledger.files import FileRecord


class OutputInUseError(Exception):
    """A superseded path must not be removed: it is an output again, or may be one soon."""


@dataclass(frozen=True, slots=True)
class PartRecord:
    """The record of one part; `outputs` and `superseded` are paths below the lake.

    If it is `pending`, the next build of its unit has superseded paths to remove.
    """

    part: int
    fingerprint: str
    outputs: tuple[str, ...]
    superseded: tuple[str, ...]
    counts: dict[str, Any]
    claim: str | None
    beat: int
    built_at: str | None
    run: str | None
    pending: bool = False

    @property
    def kept(self) -> tuple[str, ...]:
        """The superseded paths that no build has to remove: older snapshots of tables name their files."""
        return () if self.pending or self.claim is not None else self.superseded

    @property
    def is_emptied(self) -> bool:
        """Whether the part has lost its files, and only its kept files are left."""
        return bool(self.kept) and not self.outputs


class BuildLedger:
    """The builds of one unit, a publish hour or a closed day, of one delivery in one lake."""

    def __init__(self, ledger: Ledger, lake: str, delivery: str, unit: str) -> None:
        self._ledger = ledger
        self._key: dict[str, Any] = {"lake": lake, "delivery": delivery, "unit": unit}

    def _where(self, part: int | None = None) -> tuple[ColumnElement[bool], ...]:
        where = tuple(builds.c[name] == value for name, value in self._key.items())
        return where if part is None else (*where, builds.c.part == part)

    def parts(self) -> list[PartRecord]:
        """Return the recorded parts in order."""
        query = select(builds).where(*self._where()).order_by(builds.c.part)
        with self._ledger.engine.connect() as connection:
            return [part_record(row) for row in connection.execute(query).mappings()]

    def part(self, part: int) -> PartRecord | None:
        """Return the record of one part."""
        return next((record for record in self.parts() if record.part == part), None)

    def claim(self, part: int) -> str:
        """Take a part over; the earlier claimant finds out at its next `holds`."""
        token = uuid.uuid4().hex
        with self._ledger.transaction() as connection:
            taken = connection.execute(update(builds).where(*self._where(part)).values(claim=token))
            if not taken.rowcount:
                try:
                    with connection.begin_nested():
                        connection.execute(builds.insert().values(**self._key, **fresh_build(part), claim=token))
                except IntegrityError:
                    connection.execute(update(builds).where(*self._where(part)).values(claim=token))
        return token

    def holds(self, part: int, token: str) -> bool:
        """Return whether the claim still holds."""
        query = select(builds.c.claim).where(*self._where(part))
        with self._ledger.engine.connect() as connection:
            return connection.execute(query).scalar() == token

    @contextmanager
    def lock_claim(self, part: int, token: str) -> Iterator[bool]:
        """Yield whether the claim still holds; during the block no other builder can take the part."""
        with self._ledger.transaction() as connection:
            yield self._lock_claimed(connection, part, token) is not None

    @contextmanager
    def lock_superseded(self, part: int, path: str) -> Iterator[None]:
        """Let a superseded path be removed in the block, during which no builder can claim the part.

        Raises:
            OutputInUseError: The path is an output again, a builder is at work that may make it one, or another
                record has taken it over.
        """
        with self._ledger.transaction() as connection:
            row = self._lock(connection, part)
            if row is None or row["claim"] is not None or path in row["outputs"] or path not in row["superseded"]:
                raise OutputInUseError(path)
            yield

    def release(self, part: int, token: str) -> None:
        """End a claim without a build, so that the next builder need not wait.

        A lost claim does not change.
        """
        with self._ledger.transaction() as connection:
            mine = (*self._where(part), builds.c.claim == token)
            connection.execute(update(builds).where(*mine).values(claim=None))

    def beat(self, part: int, token: str) -> None:
        """Show those that wait for the part that the work on it continues."""
        with self._ledger.transaction() as connection:
            mine = (*self._where(part), builds.c.claim == token)
            connection.execute(update(builds).where(*mine).values(beat=builds.c.beat + 1))

    def plan(self, part: int, token: str, outputs: Sequence[str]) -> bool:
        """Record the outputs before the first is written; return False if the claim is lost.

        Files that a close removes at the same time may have the same paths: these files now belong to this part.

        This raises the lake's generation: an older copy of the ledger does not know these outputs.
        """
        with self._ledger.transaction() as connection:
            # before the own record: a close locks its day first, too
            day = self._lock_day(connection)
            row = self._lock_claimed(connection, part, token)
            if row is None:
                return False
            if day is not None:
                self._keep_from_removal(connection, day, outputs)
            may_exist = sorted((set(row["superseded"]) | set(outputs)) - set(row["outputs"]))
            values = {"superseded": may_exist, "pending": bool(may_exist)}
            connection.execute(update(builds).where(*self._where(part)).values(values))
            generation = raise_generation(connection, self._key["lake"])
        mark_generation(self._key["lake"], generation, self._ledger.run)
        return True

    def commit(
        self,
        part: int,
        token: str,
        *,
        fingerprint: str,
        outputs: Sequence[str],
        counts: dict[str, Any],
        taken_in: Sequence[FileRecord],
        verify: Callable[[Connection], None],
    ) -> tuple[str, ...] | None:
        """Record a part's outputs and mark its files built; return the superseded paths.

        Return None if the claim is lost, or a close has taken a file. If the outputs must not be used, `verify` raises
        in the same transaction.
        """
        with self._ledger.transaction() as connection:
            day = self._lock_day(connection)
            row = self._lock_claimed(connection, part, token)
            if row is None or (day is not None and self._are_taken(connection, taken_in)):
                return None
            verify(connection)
            gone = set(row["outputs"]) | set(row["superseded"]) | self._take_over(connection, taken_in)
            superseded = sorted(gone - set(outputs))
            values: dict[str, Any] = {"fingerprint": fingerprint, "outputs": list(outputs), "superseded": superseded}
            values |= {"counts": counts, "claim": None, "built_at": now_text(), "pending": bool(superseded)}
            values["run"] = self._ledger.run
            connection.execute(update(builds).where(*self._where(part)).values(values))
            _mark_built(connection, taken_in)
            # remove nothing before the lake shows that older copies of the ledger, which name these files, are out of
            # date
            generation = raise_generation(connection, self._key["lake"]) if superseded else None
        mark_generation(self._key["lake"], generation, self._ledger.run)
        return tuple(superseded)

    def _lock_claimed(self, connection: Connection, part: int, token: str) -> RowMapping | None:
        row = self._lock(connection, part)
        return row if row is not None and row["claim"] == token else None

    def _lock(self, connection: Connection, part: int) -> RowMapping | None:
        return connection.execute(select(builds).where(*self._where(part)).with_for_update()).mappings().first()

    def _take_over(self, connection: Connection, taken_in: Sequence[FileRecord]) -> set[str]:  # noqa: ARG002
        """Return the outputs of other units that these replace: none for a publish hour."""
        return set()

    def _lock_day(self, connection: Connection) -> RowMapping | None:
        """Lock the closed day of this publish hour, and return its record: no close can take the hour meanwhile."""
        return connection.execute(select(builds).where(*self._of_day()).with_for_update()).mappings().first()

    def _of_day(self) -> tuple[ColumnElement[bool], ...]:
        day = self._key | {"unit": self._key["unit"][:DAY_LENGTH]}
        return tuple(builds.c[name] == value for name, value in day.items())

    def _keep_from_removal(self, connection: Connection, day: RowMapping, outputs: Sequence[str]) -> None:
        """Take outputs off the list of files that the closed day of this hour still removes.

        An hour with late files alone may be built before its day is closed and again after it. Its inputs are the
        same both times, so its files have the same names. The closer must not remove the new ones as the old ones.
        The day stays pending: its rows move until the hour is recorded.
        """
        left = sorted(set(day["superseded"]).difference(outputs))
        if len(left) < len(day["superseded"]):
            connection.execute(update(builds).where(*self._of_day()).values(superseded=left))

    def _are_taken(self, connection: Connection, taken_in: Sequence[FileRecord]) -> bool:
        """Return whether a close has taken one of these files since they were read."""
        hour = (files.c.lake == self._key["lake"], files.c.delivery == self._key["delivery"], files.c.closed)
        query = select(files.c.name).where(*hour, files.c.publish_hour == self._key["unit"])
        return not {record.name for record in taken_in}.isdisjoint(connection.execute(query).scalars())

    def record_removed(self, part: int, removed: Iterable[str]) -> None:
        """Record that superseded paths are removed."""
        with self._ledger.transaction() as connection:
            row = self._lock(connection, part)
            if row is not None:
                left = sorted(set(row["superseded"]) - set(removed))
                values = {"superseded": left, "pending": row["pending"] and bool(left)}
                connection.execute(update(builds).where(*self._where(part)).values(values))
                # the record of a part without files was there for its kept files alone
                is_empty = (builds.c.fingerprint == "", builds.c.claim.is_(None))
                if not left and not row["outputs"] and not row["pending"]:
                    connection.execute(delete(builds).where(*self._where(part), *is_empty))

    def keep(self, part: int, kept: Collection[str]) -> None:
        """Record that no build has to remove these superseded paths: older snapshots of tables name their files."""
        with self._ledger.transaction() as connection:
            row = self._lock(connection, part)
            if row is not None and row["claim"] is None and set(row["superseded"]) <= set(kept):
                connection.execute(update(builds).where(*self._where(part)).values(pending=False))

    def mark_built(self, record: PartRecord, taken_in: Sequence[FileRecord]) -> None:
        """Record that these files are in the lake, if their part is still as it was recorded.

        A close may have taken the outputs of an hour with late files meanwhile.
        """
        with self._ledger.transaction() as connection:
            row = self._lock(connection, record.part)
            if row is not None and part_record(row) == record:
                _mark_built(connection, taken_in)

    def drop(self, part: int, token: str, kept: Collection[str] = ()) -> None:
        """Delete the record of a part that has no files any more, if the claim still holds.

        If older snapshots of tables name files of the part, the record stays for these alone.
        """
        values = fresh_build(part) | {"superseded": sorted(kept), "claim": None}
        with self._ledger.transaction() as connection:
            mine = (*self._where(part), builds.c.claim == token)
            connection.execute(update(builds).where(*mine).values(values) if kept else delete(builds).where(*mine))


def builds_of_run(ledger: Ledger, lake: str, delivery: str, run: str) -> list[tuple[str, PartRecord]]:
    """Return (unit, part) of each part that a run built, if no later run has built it again."""
    mine = (builds.c.lake == lake, builds.c.delivery == delivery, builds.c.run == run)
    query = select(builds).where(*mine).order_by(builds.c.unit, builds.c.part)
    with ledger.engine.connect() as connection:
        return [(row["unit"], part_record(row)) for row in connection.execute(query).mappings()]


def fresh_build(part: int) -> dict[str, Any]:
    """Return the columns of a part that was never built."""
    empty: dict[str, Any] = {"outputs": [], "superseded": [], "counts": {}}
    return {"part": part, "fingerprint": "", "pending": False, "beat": 0} | empty


def part_record(row: RowMapping) -> PartRecord:
    """Return the record of a row of the builds table."""
    paths = (tuple(row["outputs"]), tuple(row["superseded"]))
    return PartRecord(
        row["part"], row["fingerprint"], *paths, row["counts"], row["claim"], row["beat"], row["built_at"], row["run"],
        row["pending"],
    )  # fmt: skip


def _mark_built(connection: Connection, taken_in: Sequence[FileRecord]) -> None:
    mark_files(connection, taken_in, {"built": True}, unchanged=True)


def mark_files(
    connection: Connection, records: Sequence[FileRecord], values: dict[str, Any], *, unchanged: bool = False
) -> None:
    """Set columns of files; if `unchanged`, skip files that were marked unbuilt meanwhile.

    A build that does not know why a file was marked must not mark it built.
    """
    if not records:
        return
    same = [files.c[name] == bindparam(f"_{name}") for name in ("lake", "delivery", "name")]
    if unchanged:
        same.append(files.c.touched == bindparam("_touched"))
    rows = [
        {"_lake": record.lake, "_delivery": record.delivery, "_name": record.name, "_touched": record.touched}
        for record in records
    ]
    connection.execute(update(files).where(*same).values(values), rows)


def reopen_parts(connection: Connection, lake: str, type_name: str) -> None:
    """Mark the files of every part with events of a type unbuilt, for the next build."""
    query = select(builds.c.delivery, builds.c.unit, builds.c.part, builds.c.counts)
    for row in connection.execute(query.where(builds.c.lake == lake)).all():
        if type_name in row.counts.get("by_type", {}):
            same = (files.c.lake == lake, files.c.delivery == row.delivery)
            part: tuple[ColumnElement[bool], ...]
            if len(row.unit) == DAY_LENGTH:
                part = (files.c.publish_hour.between(f"{row.unit}T00", f"{row.unit}T23"), files.c.closed)
            else:
                part = (files.c.publish_hour == row.unit, files.c.part == row.part, files.c.closed.is_(False))
            values = {"built": False, "touched": files.c.touched + 1}
            connection.execute(update(files).where(*same, *part).values(values))
