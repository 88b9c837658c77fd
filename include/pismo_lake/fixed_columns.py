"""The columns of rows and rejects that hang on no contract."""

from __future__ import annotations

import pyarrow as pa

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
