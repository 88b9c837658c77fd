"""Define the schemas of the lake's files: rows of events, of lists, of rejects, and of day reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from pismo_lake.contracts.columns import RESCUED, Column, payload_columns
from pismo_lake.contracts.lists import child_columns, item_columns, list_name
from pismo_lake.decode.fields import ENVELOPE, LAKE_COLUMNS, TIME_COLUMN
from pismo_lake.privacy.columns import protect_field, protect_schema

if TYPE_CHECKING:
    from pismo_lake.contracts.contract import Contract
    from pismo_lake.contracts.store import ContractStore
    from pismo_lake.settings.privacy import Privacy

TYPED = "typed__"
"""The prefix of the names of typed columns."""

_TYPED_AS = {"date": pa.date32(), "date-time": pa.timestamp("us", tz="UTC")}

_INSTANT = pa.timestamp("us", tz="UTC")
_LAKE_NAMES = {field.column: (field.lake_column or "", not field.required) for field in ENVELOPE}
ENVELOPE_SCHEMA = pa.schema(
    [
        pa.field(TIME_COLUMN, _INSTANT)
        if column == TIME_COLUMN
        else pa.field(_LAKE_NAMES[column][0], pa.string(), nullable=_LAKE_NAMES[column][1])
        for column in LAKE_COLUMNS
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

REPORTS_SCHEMA = pa.schema(
    [
        pa.field("delivery", pa.string(), nullable=False),
        pa.field("section", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("value", pa.int64(), nullable=False),
    ]
)
"""One number of a day report a row."""

REPORT_TOTALS = (
    "files", "bytes", "plain_bytes", "events", "rows", "duplicates", "conflicts", "rejects", "erased", "heartbeats",
    "lake_files", "lake_bytes",
)  # fmt: skip
"""The metrics of a day report that count."""

REPORT_FLAGS = ("closed", "balanced", "complete")
"""The metrics of a day report that are 0 or 1."""

COUNT = "count__"
"""The prefix of the names of columns that hold a list's length."""

POSITION = pa.field("position", pa.int32(), nullable=False)

EVENT_COLUMNS = [ENVELOPE_SCHEMA.field(name) for name in ("event_id", "org_id", "event_timestamp")]


def typed_columns(contract: Contract) -> list[tuple[pa.Field, Column]]:
    """Return the typed column of each declared date and time, with the text column beside it.

    The text stays as Pismo wrote it. The typed value is null if the text is no date, or a time without a zone.
    """
    return [
        (pa.field(f"{TYPED}{column.name.removeprefix('data__')}", _TYPED_AS[column.node.format]), column)
        for column in payload_columns(contract)
        if column.node.format
    ]


def lake_schema(contract: Contract, privacy: Privacy | None, event: str) -> pa.Schema:
    """Return the present columns of an event type's files; `event_date` is only in their path."""
    typed = [field for field, _ in typed_columns(contract)]
    children = child_columns(contract)
    apart = {column.name for column in children}
    payload = [field for field in protect_schema(contract, privacy, event) if field.name not in apart]
    counts = [count_field(column) for column in children]
    return pa.schema([*ENVELOPE_SCHEMA, *payload, *typed, *counts, *SOURCE_SCHEMA, RESCUED])


def count_field(column: Column) -> pa.Field:
    """Return the column that replaces a list in the event's own row."""
    return pa.field(f"{COUNT}{list_name(column)}", pa.int32())


def child_schema(column: Column, privacy: Privacy | None, event: str) -> pa.Schema:
    """Return the columns of a child table.

    `event` is ``<domain>/<event type with version>``, as policies name it.
    """
    fields = [protect_field(item, privacy, event) for item in item_columns(column)]
    return pa.schema([*EVENT_COLUMNS, POSITION, *fields, *SOURCE_SCHEMA])


def event_schema(contracts: ContractStore, domain: str, event_type: str) -> pa.Schema:
    """Return the present columns of an event type's files; its name is given by path segments."""
    return lake_schema(contracts.of(domain, event_type), contracts.privacy, f"{domain}/{event_type}")


def child_schemas(contracts: ContractStore, domain: str, event_type: str) -> list[tuple[str, pa.Schema]]:
    """Return name and columns of each child table of an event type, by its path segments."""
    columns = child_columns(contracts.of(domain, event_type))
    event = f"{domain}/{event_type}"
    return [(list_name(column), child_schema(column, contracts.privacy, event)) for column in columns]
