"""The schemas of what stands in the lake: rows of events and rejects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from pismo_lake.columns import RESCUED
from pismo_lake.protect import protected_schema

if TYPE_CHECKING:
    from pismo_lake.contract import Contract
    from pismo_lake.privacy import Privacy

ENVELOPE_SCHEMA = pa.schema(
    [
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("org_id", pa.string()),
        pa.field("cid", pa.string()),
        pa.field("schema_version", pa.string()),
        pa.field("event_type_text", pa.string(), nullable=False),
        pa.field("event_timestamp", pa.timestamp("us", tz="UTC")),
        pa.field("event_timestamp_text", pa.string()),
    ]
)
SOURCE_SCHEMA = pa.schema(
    [
        pa.field("_source_delivery", pa.string(), nullable=False),
        pa.field("_source_file", pa.string(), nullable=False),
        pa.field("_source_offset", pa.int64(), nullable=False),
    ]
)
REJECTS_SCHEMA = pa.schema(
    [
        pa.field("delivery", pa.string(), nullable=False),
        pa.field("source_file", pa.string(), nullable=False),
        pa.field("source_offset", pa.int64(), nullable=False),
        pa.field("length", pa.int64(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("event_id", pa.string()),
        pa.field("raw", pa.binary()),
    ]
)


def lake_schema(contract: Contract, privacy: Privacy | None, event: str) -> pa.Schema:
    """The columns of an event type's files, as far as its contract goes; `event_date` stands in the path alone."""
    return pa.schema([*ENVELOPE_SCHEMA, *protected_schema(contract, privacy, event), *SOURCE_SCHEMA, RESCUED])
