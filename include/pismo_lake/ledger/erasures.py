"""Record erased events: keys of organisation and event id that become no rows any more.

The records are in the ledger, in the lake, and in landing beside the raw files. So neither a rebuild from raw, nor the
loss of the ledger, nor a new lake that is built from landing brings an event back. A key is a hash of an event id; it
says nothing of a person.
"""

from __future__ import annotations

import io
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import func, select

from pismo_lake import storage
from pismo_lake.ledger.generation import mark_generation, raise_generation
from pismo_lake.ledger.queries import insert_new, lock_table
from pismo_lake.ledger.tables import erasures
from pismo_lake.paths import ERASURES
from pismo_lake.storage.errors import sound

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection

    from pismo_lake.ledger.engine import Ledger

_ROWS_PER_INSERT = 1000
_NOTED = ("erasure_id", "reference", "erased_at", "run")
_RAW = b"raw"


class ErasedMeanwhileError(Exception):
    """Events were erased since the erased keys were read."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """One order to erase: reference of the person who asked (a ticket), time, and user.

    If it is of the `raw` bytes too, those of a copy that comes later are blanked when it is indexed.
    """

    erasure_id: str
    reference: str
    erased_at: str
    run: str
    raw: bool = False

    @classmethod
    def new(cls, reference: str, erased_at: str, run: str, *, raw: bool = False) -> Erasure:
        """Return a new one with an id of its own."""
        return cls(uuid.uuid4().hex, reference, erased_at, run, raw)


def erased_keys(ledger: Ledger, lake: str, *, raw: bool = False) -> set[bytes]:
    """Return the dedupe keys (16 bytes) of a lake's erased events, or of those without bytes."""
    query = select(erasures.c.event_key).where(erasures.c.lake == lake)
    if raw:
        query = query.where(erasures.c.raw)
    with ledger.engine.connect() as connection:
        return {bytes.fromhex(key) for (key,) in connection.execute(query)}


def erasure_count(ledger: Ledger, lake: str) -> int:
    """Return how many keys are recorded: the number changes if there are others."""
    with ledger.engine.connect() as connection:
        return count_erasures(connection, lake)


def last_erasure(ledger: Ledger, lake: str) -> str | None:
    """Return the time of the last erasure in a lake; None if there was none."""
    query = select(func.max(erasures.c.erased_at)).where(erasures.c.lake == lake)
    with ledger.engine.connect() as connection:
        return connection.execute(query).scalar()


def count_erasures(connection: Connection, lake: str) -> int:
    """Return how many keys are recorded, as a transaction sees it."""
    return int(connection.execute(select(func.count()).where(erasures.c.lake == lake)).scalar_one())


def refuse_further(connection: Connection, lake: str, count: int) -> None:
    """Refuse a transaction if more keys than `count` are recorded; until it ends, none can come.

    Raises:
        ErasedMeanwhileError: Events were erased meanwhile.
    """
    lock_table(connection, erasures)
    if count_erasures(connection, lake) != count:
        raise ErasedMeanwhileError


def record_erasure(
    ledger: Ledger, lake: str, erasure: Erasure, keys: Sequence[bytes], folders: Iterable[str] = ()
) -> None:
    """Record an erasure in the lake and in further folders first, then in the ledger.

    A record that a kill keeps from the ledger comes back with `restore_erasures`.
    """
    content = _to_parquet(erasure, keys)
    for folder in (storage.join(lake, ERASURES), *folders):
        storage.write_atomic(storage.join(folder, f"{erasure.erasure_id}.parquet"), content)
    _insert(ledger, lake, erasure, keys)


def restore_erasures(ledger: Ledger, lake: str, landing: str, sources: Iterable[str] = ()) -> set[bytes]:
    """Record the erasures that a lake or landing has and the ledger lacks; return their keys.

    Args:
        ledger: The ledger.
        lake: The lake. A record that only another folder has is written to it.
        landing: The folder for records in landing. It gets each record of the lake.
        sources: Further folders with records, of the places that raw files are copied from.

    Raises:
        LakeError: A record is damaged. Nothing may be built without it.
    """
    query = select(erasures.c.erasure_id).where(erasures.c.lake == lake).distinct()
    with ledger.engine.connect() as connection:
        known = {f"{erasure_id}.parquet" for erasure_id in connection.execute(query).scalars()}
    own = (storage.join(lake, ERASURES), landing)
    present = {folder: {uri.rsplit("/", 1)[-1] for uri in storage.list_files(folder)} for folder in (*own, *sources)}
    restored: set[bytes] = set()
    for name in sorted(set[str]().union(*present.values())):
        lacking = [folder for folder in own if name not in present[folder]]
        if name in known and not lacking:
            continue
        uri = storage.join(next(folder for folder in present if name in present[folder]), name)
        content = storage.read_bytes(uri)
        erasure, keys = _from_parquet(uri, content)
        for folder in lacking:
            storage.write_atomic(storage.join(folder, name), content)
        if name not in known:
            _insert(ledger, lake, erasure, keys)
            restored.update(keys)
    return restored


def _to_parquet(erasure: Erasure, keys: Sequence[bytes]) -> memoryview:
    note = {name.encode(): str(getattr(erasure, name)).encode() for name in _NOTED}
    note |= {_RAW: b"yes"} if erasure.raw else {}
    table = pa.table({"event_key": pa.array(keys, pa.binary(16))}).replace_schema_metadata(note)
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getbuffer()


def _from_parquet(uri: str, content: bytes) -> tuple[Erasure, list[bytes]]:
    with sound(uri):
        table = pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False)
        note: dict[bytes, bytes] = table.schema.metadata or {}
        facts = {name: note[name.encode()].decode() for name in _NOTED}
        erasure = Erasure(**facts, raw=note.get(_RAW) == b"yes")
        return erasure, table.column("event_key").to_pylist()


def _insert(ledger: Ledger, lake: str, erasure: Erasure, keys: Sequence[bytes]) -> None:
    facts = {name: getattr(erasure, name) for name in (*_NOTED, "raw")}
    rows = [{"lake": lake, "event_key": key.hex(), **facts} for key in sorted(set(keys))]
    with ledger.transaction() as connection:
        for start in range(0, len(rows), _ROWS_PER_INSERT):
            # another process may restore the same record
            connection.execute(insert_new(connection, erasures), rows[start : start + _ROWS_PER_INSERT])
        generation = raise_generation(connection, lake)
    mark_generation(lake, generation, ledger.run)
