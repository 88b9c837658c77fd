"""Bind a lake to its ledger: record in each which one is the other, and how far both are.

The lake has an identity file that names its ledger, and numbered marks of its generation. The ledger holds the same
names and the number. Each change of the lake that another ledger must not miss raises the number: first in the ledger,
in the transaction of the change, then in the lake, before a reader can need it. So the present ledger is never behind
its lake, whenever a process is killed. A ledger that is behind is an older copy, and a ledger with another id belongs
to another lake. Both are refused until `ledger rebuild` has read the lake again.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import select, update

from pismo_lake import storage
from pismo_lake.errors import LedgerMismatchError
from pismo_lake.ledger.generation import mark_generation, newest_generation
from pismo_lake.ledger.known_files import delivery_of, known_outputs, lake_outputs, recorded_deliveries
from pismo_lake.ledger.queries import insert_new
from pismo_lake.ledger.tables import erasures, lakes
from pismo_lake.paths import ERASURES, IDENTITY, safe_segment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Row

    from pismo_lake.ledger.engine import Ledger

FORMAT_VERSION = 1
"""The layout of a lake that this version reads and writes."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The content of a lake's identity file: the lake's own id, and the id of its ledger."""

    lake_id: str
    ledger_id: str
    format_version: int = FORMAT_VERSION


class LakeBinding:
    """The binding of one lake to one ledger.

    Args:
        ledger: the open ledger.
        lake: the URI of the lake.
        delivery: the delivery that error messages name in their advice.
        landing: the landing zone that error messages name in their advice.
    """

    def __init__(self, ledger: Ledger, lake: str, delivery: str, landing: str) -> None:
        self._ledger, self._lake, self._delivery, self._landing = ledger, lake, delivery, landing

    def check(self) -> None:
        """Refuse a ledger that is not the lake's present one; write nothing.

        Raises:
            LedgerMismatchError: the ledger is another one or an older copy, or its rebuild is not complete.
        """
        if reason := self._mismatch():
            raise self._error(reason)
        row = self._row()
        if row is not None and row.waiting:
            raise self._error(f"its rebuild is not complete, it lacks {', '.join(row.waiting)}", row.waiting[0])

    def check_once(self) -> None:
        """Check as `check`, unless this ledger has been bound to the lake since it was opened."""
        if self._lake not in self._ledger.bound:
            self.check()

    def bind(self) -> None:
        """Check the binding before a process writes for the first time; bind an unbound lake."""
        if self._lake in self._ledger.bound:
            return
        self.check()
        identity = read_identity(self._lake)
        if self._row() is None:
            fresh = {"lake": self._lake, "lake_id": uuid.uuid4().hex, "ledger_id": uuid.uuid4().hex}
            with self._ledger.transaction() as connection:
                _insert(connection, fresh | {"generation": 0, "waiting": []})
        if identity is None:
            row = self._row()
            assert row is not None
            storage.create(self._uri, _to_json(Identity(row.lake_id, row.ledger_id)))
            # another ledger may have been first
            self.check()
        self._ledger.bound.add(self._lake)

    def begin_rebuild(self) -> None:
        """Refuse this ledger to all other work until `end_rebuild`, even if this process is killed.

        If it was not the lake's present ledger, every delivery of the lake has to be rebuilt, this one and the others.
        """
        lost = self._mismatch() is not None or self._row() is None
        mine, others = {safe_segment(self._delivery)}, set[str]()
        if lost:
            others = {safe_segment(name) for name in recorded_deliveries(self._ledger, self._lake)}
            others |= {delivery for path in lake_outputs(self._lake) if (delivery := delivery_of(path))}
        identity, newest = read_identity(self._lake), newest_generation(self._lake)
        lake_id = identity.lake_id if identity else uuid.uuid4().hex
        fresh = {"lake": self._lake, "lake_id": lake_id, "ledger_id": uuid.uuid4().hex}
        with self._ledger.transaction() as connection:
            _insert(connection, fresh | {"generation": newest, "waiting": []})
            row = self._lock_row(connection)
            values = {"waiting": sorted({*row.waiting, *mine, *others}), "generation": max(newest, row.generation)}
            connection.execute(update(lakes).where(lakes.c.lake == self._lake).values(values))
        self._ledger.bound.discard(self._lake)

    def end_rebuild(self) -> list[str]:
        """Give the lake to this ledger; return the deliveries that must be rebuilt before its use."""
        newest = newest_generation(self._lake)
        with self._ledger.transaction() as connection:
            row = self._lock_row(connection)
            generation = max(newest, row.generation) + 1
            waiting = [name for name in row.waiting if name != safe_segment(self._delivery)]
            values = {"generation": generation, "waiting": waiting}
            connection.execute(update(lakes).where(lakes.c.lake == self._lake).values(values))
        storage.write_atomic(self._uri, _to_json(Identity(row.lake_id, row.ledger_id)))
        mark_generation(self._lake, generation, self._ledger.run)
        return waiting

    def _mismatch(self) -> str | None:
        """Return why this is not the lake's present ledger; None if it is, or if both are unbound."""
        # read the lake before the ledger: the ledger's number is raised first, so it is never the smaller one
        identity, newest = read_identity(self._lake), newest_generation(self._lake)
        row = self._row()
        if row is None:
            if identity is not None:
                return f"it does not know the lake, which belongs to ledger {identity.ledger_id}"
            strange = next(self._strangers(), None)
            return None if strange is None else f"it does not know {strange}, which is in the lake"
        if identity is not None and identity.ledger_id != row.ledger_id:
            return f"the lake belongs to ledger {identity.ledger_id}, and this is {row.ledger_id}"
        if newest > row.generation:
            return f"the lake is at generation {newest}, and the ledger at {row.generation}, so it is an older copy"
        return None

    def _lock_row(self, connection: Connection) -> Row[Any]:
        return connection.execute(select(lakes).where(lakes.c.lake == self._lake).with_for_update()).one()

    @property
    def _uri(self) -> str:
        return storage.join(self._lake, IDENTITY)

    def _row(self) -> Row[Any] | None:
        with self._ledger.engine.connect() as connection:
            return connection.execute(select(lakes).where(lakes.c.lake == self._lake)).first()

    def _strangers(self) -> Iterator[str]:
        """Yield outputs and erasures of the lake that the ledger does not know."""
        listed = list(lake_outputs(self._lake))
        known = known_outputs(self._ledger, self._lake) if listed else set()
        for path in listed:
            # a build may have removed the file after it was listed; then the ledger no longer knows it
            if path not in known and storage.exists(storage.join(self._lake, path)):
                yield path
        query = select(erasures.c.erasure_id).where(erasures.c.lake == self._lake).distinct()
        with self._ledger.engine.connect() as connection:
            recorded = set(connection.execute(query).scalars())
        for uri in storage.list_files(storage.join(self._lake, ERASURES)):
            name = uri.rsplit("/", 1)[-1]
            if name.removesuffix(".parquet") not in recorded:
                yield f"{ERASURES}/{name}"

    def _error(self, reason: str, delivery: str | None = None) -> LedgerMismatchError:
        url = self._ledger.engine.url.render_as_string(hide_password=True)
        return _mismatch_error(url, self._lake, delivery or self._delivery, self._landing, reason)


def refuse_new_ledger(url: str, lake: str, delivery: str, landing: str) -> None:
    """Refuse to work without a ledger, or with a new one, if the lake already has content.

    Raises:
        LedgerMismatchError: the lake has an identity file, or outputs of builds.
    """
    found = IDENTITY if read_identity(lake) is not None else next(lake_outputs(lake), None)
    if found is not None:
        reason = f"there is no such ledger, and the lake has content ({found})"
        raise _mismatch_error(url, lake, delivery, landing, reason)


def _mismatch_error(url: str, lake: str, delivery: str, landing: str, reason: str) -> LedgerMismatchError:
    msg = (
        f"ledger {url} is not the present ledger of lake {lake}: {reason}. Nothing was changed. If the lake's ledger is"
        " lost or was restored from a backup, pause the DAGs and rebuild it, once for each delivery of the lake:"
        f" python -m pismo_lake ledger rebuild --lake {lake} --landing {landing} --ledger {url} --delivery {delivery}"
    )
    return LedgerMismatchError(msg)


def read_identity(lake: str) -> Identity | None:
    """Read a lake's identity file; None if there is none."""
    uri = storage.join(lake, IDENTITY)
    try:
        content = orjson.loads(storage.read_bytes(uri))
        version = int(content["format_version"])
        if version > FORMAT_VERSION:
            # the other keys of a later format may have other names
            raise _later_format(lake, version)
        return Identity(content["lake_id"], content["ledger_id"], version)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError):
        msg = f"{uri} is damaged: pause the DAGs, remove it and run python -m pismo_lake ledger rebuild --lake {lake}"
        raise LedgerMismatchError(msg) from None


def _later_format(lake: str, version: int) -> LedgerMismatchError:
    msg = (
        f"lake {lake} has format {version}: a later version of this program wrote it; install that one, because this"
        f" one knows no later format than {FORMAT_VERSION}"
    )
    return LedgerMismatchError(msg)


def _insert(connection: Connection, values: dict[str, Any]) -> None:
    """Insert a lake's row, unless another process was first."""
    connection.execute(insert_new(connection, lakes).values(values))


def _to_json(identity: Identity) -> bytes:
    content = {
        "lake_id": identity.lake_id,
        "ledger_id": identity.ledger_id,
        "format_version": identity.format_version,
    }
    return orjson.dumps(content, option=orjson.OPT_INDENT_2)
