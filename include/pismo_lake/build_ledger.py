"""Builds in the ledger: a part's fingerprint, its outputs, and who is at work on it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from pismo_lake.ledger import now_text
from pismo_lake.ledger_tables import builds, files

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import ColumnElement, Connection

    from pismo_lake.ledger import FileRecord, Ledger


@dataclass(frozen=True, slots=True)
class PartRecord:
    """What is recorded of one part; `outputs` and `superseded` are paths below the lake."""

    part: int
    fingerprint: str
    outputs: tuple[str, ...]
    superseded: tuple[str, ...]
    counts: dict[str, Any]
    claim: str | None


class BuildLedger:
    """The builds of one publish hour of one delivery in one lake."""

    def __init__(self, ledger: Ledger, lake: str, delivery: str, hour: str) -> None:
        self._ledger = ledger
        self._key: dict[str, Any] = {"lake": lake, "delivery": delivery, "publish_hour": hour}

    def _where(self, part: int | None = None) -> tuple[ColumnElement[bool], ...]:
        where = tuple(builds.c[name] == value for name, value in self._key.items())
        return where if part is None else (*where, builds.c.part == part)

    def parts(self) -> list[PartRecord]:
        """The recorded parts in order."""
        query = select(builds).where(*self._where()).order_by(builds.c.part)
        with self._ledger.engine.connect() as connection:
            return [
                PartRecord(
                    row["part"], row["fingerprint"], tuple(row["outputs"]), tuple(row["superseded"]), row["counts"],
                    row["claim"],
                )
                for row in connection.execute(query).mappings()
            ]  # fmt: skip

    def claim(self, part: int) -> str:
        """Take a part over; whoever claimed it before finds out at its next `holds`."""
        token = uuid.uuid4().hex
        with self._ledger.transaction() as connection:
            taken = connection.execute(update(builds).where(*self._where(part)).values(claim=token))
            if not taken.rowcount:
                fresh = {"part": part, "fingerprint": "", "outputs": [], "superseded": [], "counts": {}}
                try:
                    with connection.begin_nested():
                        connection.execute(builds.insert().values(**self._key, **fresh, claim=token))
                except IntegrityError:
                    connection.execute(update(builds).where(*self._where(part)).values(claim=token))
        return token

    def holds(self, part: int, token: str) -> bool:
        """Whether the claim still stands."""
        query = select(builds.c.claim).where(*self._where(part))
        with self._ledger.engine.connect() as connection:
            return connection.execute(query).scalar() == token

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
        """Record a part's outputs and mark its files built; the superseded paths, or None where the claim is lost.

        `verify` raises in the same transaction where the outputs must not stand.
        """
        with self._ledger.transaction() as connection:
            row = connection.execute(select(builds).where(*self._where(part))).mappings().one()
            if row["claim"] != token:
                return None
            verify(connection)
            superseded = sorted((set(row["outputs"]) | set(row["superseded"])) - set(outputs))
            values: dict[str, Any] = {"fingerprint": fingerprint, "outputs": list(outputs), "superseded": superseded}
            values |= {"counts": counts, "claim": None, "built_at": now_text()}
            connection.execute(update(builds).where(*self._where(part)).values(values))
            _mark_built(connection, taken_in)
        return tuple(superseded)

    def cleared(self, part: int) -> None:
        """Note that the superseded paths are removed."""
        with self._ledger.transaction() as connection:
            connection.execute(update(builds).where(*self._where(part)).values(superseded=[]))

    def mark_built(self, taken_in: Sequence[FileRecord]) -> None:
        """Note that these files are in the lake."""
        with self._ledger.transaction() as connection:
            _mark_built(connection, taken_in)

    def adopt(self, part: int, outputs: Sequence[str]) -> None:
        """Record outputs found in the lake without a fingerprint, so that the next build replaces them."""
        with self._ledger.transaction() as connection:
            connection.execute(delete(builds).where(*self._where(part)))
            row = {"part": part, "fingerprint": "", "outputs": list(outputs), "superseded": [], "counts": {}}
            connection.execute(builds.insert().values(**self._key, **row))

    def drop(self, part: int) -> None:
        """Forget a part that has no files any more."""
        with self._ledger.transaction() as connection:
            connection.execute(delete(builds).where(*self._where(part)))


def _mark_built(connection: Connection, taken_in: Sequence[FileRecord]) -> None:
    for record in taken_in:
        same = (files.c.lake == record.lake, files.c.delivery == record.delivery)
        connection.execute(update(files).where(*same, files.c.name == record.name).values(built=True))


def reopen_parts(connection: Connection, lake: str, type_name: str) -> None:
    """Mark the files of every part that counts events of a type unbuilt, so that the next build looks at them."""
    query = select(builds.c.delivery, builds.c.publish_hour, builds.c.part, builds.c.counts)
    for row in connection.execute(query.where(builds.c.lake == lake)).all():
        if type_name in row.counts.get("by_type", {}):
            part = (files.c.publish_hour == row.publish_hour, files.c.part == row.part)
            same = (files.c.lake == lake, files.c.delivery == row.delivery, *part)
            connection.execute(update(files).where(*same).values(built=False))
