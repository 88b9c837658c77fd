"""The schemas of what stands in the lake: rows of events and rejects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from pismo_lake.child_tables import child_columns, count_field
from pismo_lake.columns import RESCUED, Column, payload_columns
from pismo_lake.fixed_columns import ENVELOPE_SCHEMA, SOURCE_SCHEMA
from pismo_lake.protect import protected_schema

if TYPE_CHECKING:
    from pismo_lake.contract import Contract
    from pismo_lake.privacy import Privacy

TYPED = "typed__"
"""What the names of typed columns begin with."""

_TYPED_AS = {"date": pa.date32(), "date-time": pa.timestamp("us", tz="UTC")}


def typed_columns(contract: Contract) -> list[tuple[pa.Field, Column]]:
    """Dates and times that a schema declares: the typed column beside each column of text, and that column.

    The text stays as Pismo wrote it; the typed value is null where the text is no date, or a time without a zone.
    """
    return [
        (pa.field(f"{TYPED}{column.name.removeprefix('data__')}", _TYPED_AS[column.node.format]), column)
        for column in payload_columns(contract)
        if column.node.format
    ]


def lake_schema(contract: Contract, privacy: Privacy | None, event: str) -> pa.Schema:
    """The columns of an event type's files, as far as its contract goes; `event_date` stands in the path alone."""
    typed = [field for field, _ in typed_columns(contract)]
    children = child_columns(contract)
    apart = {column.name for column in children}
    payload = [field for field in protected_schema(contract, privacy, event) if field.name not in apart]
    counts = [count_field(column) for column in children]
    return pa.schema([*ENVELOPE_SCHEMA, *payload, *typed, *counts, *SOURCE_SCHEMA, RESCUED])
