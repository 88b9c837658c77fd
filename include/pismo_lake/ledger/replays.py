"""Record replays of one delivery in one lake: the events that each one sends, and how far it is.

Each process that sends claims its replay first. If another process claims it later, for example the retry of a task
that still runs somewhere, the earlier one cannot record progress any more and ends.
"""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite

from pismo_lake.errors import ReplayError, ReplayTakenOverError
from pismo_lake.ledger.engine import now_text
from pismo_lake.ledger.tables import replay_refusals, replays
from pismo_lake.spelling import list_in_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, RowMapping, Table

    from pismo_lake.ledger.engine import Ledger

_MOST_TEXT = 2000


@dataclass(frozen=True, slots=True)
class ReplayRecord:
    """One replay; `position` is the number of its events that are dealt with."""

    replay_id: str
    target: str
    selection: str
    raw: bool
    events: int
    bytes: int
    position: int = 0
    sent: int = 0
    refused: int = 0
    erased: int = 0
    problem: str | None = None
    planned_at: str = ""
    sent_at: str | None = None
    finished_at: str | None = None
    run: str | None = None

    @property
    def left(self) -> int:
        """Return how many events are still to be sent."""
        return self.events - self.position

    @property
    def state(self) -> str:
        """Return the state as a word: done, stopped, planned or sending."""
        if self.finished_at is not None:
            return "done"
        if self.problem is not None:
            return "stopped"
        return "sending" if self.sent_at else "planned"


@dataclass(frozen=True, slots=True)
class RefusedEvent:
    """An event of a replay that could not be sent: its place in the replay, its file, and why."""

    position: int
    name: str
    offset: int
    reason: str


@dataclass(frozen=True, slots=True)
class Progress:
    """The work since the last record: the place reached, and the numbers of events."""

    position: int
    sent: int
    erased: int
    refused: Sequence[RefusedEvent] = ()


_FIELDS = tuple(field.name for field in fields(ReplayRecord))


class ReplayLedger:
    """The replays of one delivery in one lake."""

    def __init__(self, ledger: Ledger, lake: str, delivery: str) -> None:
        self._ledger, self._lake, self._delivery = ledger, lake, delivery

    def add(self, record: ReplayRecord) -> None:
        """Record a planned replay; a replay of this id that has not begun is planned anew.

        Raises:
            ReplayError: the replay of this id has begun.
        """
        own = {"lake": self._lake, "delivery": self._delivery}
        values = asdict(record) | {"planned_at": now_text(), "run": self._ledger.run}
        with self._ledger.transaction() as connection:
            dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
            insert = dialect.insert(replays).values(**own, **values)
            insert = insert.on_conflict_do_update(
                index_elements=["lake", "delivery", "replay_id"], set_=values, where=replays.c.claim.is_(None)
            )
            if connection.execute(insert).rowcount == 0:
                raise _begun_error(record.replay_id)

    def has_begun(self, replay_id: str) -> bool:
        """Return whether a process has claimed the replay of this id."""
        query = select(replays.c.claim).where(*self._is(replays, replay_id))
        with self._ledger.engine.connect() as connection:
            return connection.execute(query).scalar() is not None

    def refuse_begun(self, replay_id: str) -> None:
        """Raise `ReplayError` for the id of a replay that has begun."""
        if self.has_begun(replay_id):
            raise _begun_error(replay_id)

    def find(self, replay_id: str) -> ReplayRecord:
        """Return a replay.

        Raises:
            ReplayError: there is none of this id.
        """
        with self._ledger.engine.connect() as connection:
            row = connection.execute(select(replays).where(*self._is(replays, replay_id))).mappings().first()
        if row is None:
            known = [record.replay_id for record in self.list_newest()]
            has = f"there are {list_in_words(replay_id, known)}" if known else "there is none yet"
            msg = f"{self._delivery} has no replay {replay_id!r}: {has}"
            raise ReplayError(msg)
        return _record(row)

    def list_newest(self, most: int | None = None) -> list[ReplayRecord]:
        """Return the replays, the last one first."""
        query = select(replays).where(*self._own(replays))
        query = query.order_by(replays.c.planned_at.desc(), replays.c.replay_id).limit(most)
        with self._ledger.engine.connect() as connection:
            return [_record(row) for row in connection.execute(query).mappings()]

    def claim(self, replay_id: str) -> str:
        """Take a replay over, and return the token that `advance` and `finish` need."""
        token = uuid.uuid4().hex
        with self._ledger.transaction() as connection:
            query = update(replays).where(*self._is(replays, replay_id))
            connection.execute(query.values(claim=token, problem=None))
        return token

    def advance(self, replay_id: str, token: str, done: Progress) -> None:
        """Record progress: the place, the numbers, and the events that could not be sent, in one transaction.

        Raises:
            ReplayTakenOverError: another process has claimed the replay.
        """
        values = {
            "position": done.position, "sent": replays.c.sent + done.sent, "erased": replays.c.erased + done.erased,
            "refused": replays.c.refused + len(done.refused), "sent_at": now_text(),
        }  # fmt: skip
        own = {"lake": self._lake, "delivery": self._delivery, "replay_id": replay_id}
        rows = [own | asdict(event) | {"reason": event.reason[:_MOST_TEXT]} for event in done.refused]
        with self._ledger.transaction() as connection:
            query = update(replays).where(*self._is(replays, replay_id), replays.c.claim == token)
            _refuse_none(connection.execute(query.values(**values)).rowcount, replay_id)
            if rows:
                connection.execute(replay_refusals.insert(), rows)

    def stop(self, replay_id: str, token: str, problem: str) -> None:
        """Record why an attempt ended early, unless another process has taken the replay over."""
        with self._ledger.transaction() as connection:
            query = update(replays).where(*self._is(replays, replay_id), replays.c.claim == token)
            connection.execute(query.values(problem=problem[:_MOST_TEXT]))

    def finish(self, replay_id: str, token: str) -> None:
        """Record that all events are dealt with.

        Raises:
            ReplayTakenOverError: another process has claimed the replay.
        """
        with self._ledger.transaction() as connection:
            query = update(replays).where(*self._is(replays, replay_id), replays.c.claim == token)
            _refuse_none(connection.execute(query.values(finished_at=now_text(), problem=None)).rowcount, replay_id)

    def refused(self, replay_id: str) -> list[RefusedEvent]:
        """Return the events that could not be sent, in the order of the replay."""
        table = replay_refusals
        query = select(table).where(*self._is(table, replay_id)).order_by(table.c.position)
        with self._ledger.engine.connect() as connection:
            rows = connection.execute(query).mappings()
            return [RefusedEvent(row["position"], row["name"], row["offset"], row["reason"]) for row in rows]

    def _own(self, table: Table) -> tuple[ColumnElement[bool], ...]:
        return (table.c.lake == self._lake, table.c.delivery == self._delivery)

    def _is(self, table: Table, replay_id: str) -> tuple[ColumnElement[bool], ...]:
        return (*self._own(table), table.c.replay_id == replay_id)


def _begun_error(replay_id: str) -> ReplayError:
    return ReplayError(f"replay {replay_id} has begun: continue it, or take another id")


def _refuse_none(rows: int, replay_id: str) -> None:
    if rows == 0:
        msg = f"replay {replay_id}: another process has taken it over and sends the rest"
        raise ReplayTakenOverError(msg)


def _record(row: RowMapping) -> ReplayRecord:
    return ReplayRecord(**{name: row[name] for name in _FIELDS})
