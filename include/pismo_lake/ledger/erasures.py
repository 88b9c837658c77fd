"""Record erased events: keys of organisation and event id that become no rows any more.

They are kept in the ledger and beside the lake's data, so that neither a rebuild from raw files nor the loss of the
ledger restores an event. A key is a hash, which tells nothing about a person.
"""

from __future__ import annotations

import io
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import func, select

from pismo_lake import storage
from pismo_lake.ledger.binding import mark_generation, raise_generation
from pismo_lake.ledger.tables import erasures
from pismo_lake.paths import ERASURES
from pismo_lake.storage.errors import sound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pismo_lake.ledger.engine import Ledger

_ROWS_PER_INSERT = 1000


@dataclass(frozen=True, slots=True)
class Erasure:
    """One order to erase: its reference (a ticket), its time, and its run."""

    erasure_id: str
    reference: str
    erased_at: str
    run: str

    @classmethod
    def fresh(cls, reference: str, erased_at: str, run: str) -> Erasure:
        """Return a new erasure with an id of its own."""
        return cls(uuid.uuid4().hex, reference, erased_at, run)


def erased_keys(ledger: Ledger, lake: str) -> set[bytes]:
    """Return the dedupe keys (16 bytes) of all erased events of a lake."""
    query = select(erasures.c.event_key).where(erasures.c.lake == lake)
    with ledger.engine.connect() as connection:
        return {bytes.fromhex(key) for (key,) in connection.execute(query)}


def erasure_count(ledger: Ledger, lake: str) -> int:
    """Return the number of recorded keys, which changes with each erasure."""
    query = select(func.count()).where(erasures.c.lake == lake)
    with ledger.engine.connect() as connection:
        return int(connection.execute(query).scalar_one())


def record_erasure(ledger: Ledger, lake: str, erasure: Erasure, keys: Sequence[bytes]) -> None:
    """Record an erasure, first in the lake; `restore_erasures` finds one that is only there."""
    note = {name.encode(): str(getattr(erasure, name)).encode() for name in Erasure.__slots__}
    table = pa.table({"event_key": pa.array(keys, pa.binary(16))}).replace_schema_metadata(note)
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    storage.write_atomic(storage.join(lake, ERASURES, f"{erasure.erasure_id}.parquet"), sink.getbuffer())
    _insert(ledger, lake, erasure, keys)


def restore_erasures(ledger: Ledger, lake: str) -> int:
    """Add the lake's erasures that a ledger lacks; return their number."""
    query = select(erasures.c.erasure_id).where(erasures.c.lake == lake).distinct()
    with ledger.engine.connect() as connection:
        known = {row.erasure_id for row in connection.execute(query)}
    restored = 0
    for uri in storage.list_files(storage.join(lake, ERASURES)):
        content = storage.read_bytes(uri)
        with sound(uri):
            table = pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False)
            metadata: dict[bytes, Any] = table.schema.metadata or {}
            erasure = Erasure(*(metadata[name.encode()].decode() for name in Erasure.__slots__))
        if erasure.erasure_id not in known:
            _insert(ledger, lake, erasure, table.column("event_key").to_pylist())
            restored += 1
    return restored


def _insert(ledger: Ledger, lake: str, erasure: Erasure, keys: Sequence[bytes]) -> None:
    told = {name: getattr(erasure, name) for name in Erasure.__slots__}
    rows = [{"lake": lake, "event_key": key.hex(), **told} for key in sorted(set(keys))]
    with ledger.transaction() as connection:
        for start in range(0, len(rows), _ROWS_PER_INSERT):
            connection.execute(erasures.insert(), rows[start : start + _ROWS_PER_INSERT])
        generation = raise_generation(connection, lake)
    mark_generation(lake, generation, ledger.run)
