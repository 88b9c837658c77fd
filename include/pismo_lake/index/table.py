"""Define the columns of an index file, and a file's index with its totals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from pismo_lake.decode.fields import ENVELOPE, TIME_COLUMN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pismo_lake.index.parsed import ParsedRows


SCHEMA = pa.schema(
    [
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("length", pa.int64(), nullable=False),
        pa.field("reason", pa.string()),  # null: a usable event
        pa.field("regular", pa.bool_(), nullable=False),
        *(pa.field(field.column, pa.string()) for field in ENVELOPE),
        pa.field(TIME_COLUMN, pa.timestamp("us", tz="UTC")),
        pa.field("dedupe_key", pa.binary(16)),
        pa.field("content_hash", pa.binary(8)),  # of earlier versions; see `index.keys`
        pa.field("content_xxh3", pa.binary(8)),
        pa.field("payload_at", pa.int32()),  # the place of the payload's key in an event whose head is closed
    ]
)


@dataclass(slots=True)
class IndexedFile:
    """The index table of a file and its totals.

    Times are microseconds since the epoch; None if no event has a time. `parsed` are payloads that a build need not
    parse again. `left` has the offsets and the bytes of the other events, if they are few: with both, a build need not
    read the raw file.
    """

    table: pa.Table
    events: int
    rejects: int
    min_timestamp: int | None
    max_timestamp: int | None
    untimed: int
    parsed: Sequence[ParsedRows] = ()
    left: pa.Table | None = None
