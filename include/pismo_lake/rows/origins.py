"""Say for each column of an event type the origin of its values, and the effect of privacy on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pismo_lake.contracts.columns import payload_columns
from pismo_lake.contracts.lists import child_columns
from pismo_lake.decode.fields import ENVELOPE
from pismo_lake.privacy.columns import NOTE
from pismo_lake.rows.schema import count_field, event_schema, typed_columns

if TYPE_CHECKING:
    from pismo_lake.contracts.columns import Column
    from pismo_lake.contracts.store import ContractStore


@dataclass(frozen=True, slots=True)
class ColumnOrigin:
    """A column of the lake; `path` is that of its value in an event, None for a column that the lake adds.

    `privacy` names the actions of the policy on it, such as ``hash``; it is empty if the value is the event's own.
    """

    name: str
    type: str
    path: str | None
    privacy: str = ""


def column_origins(contracts: ContractStore, domain: str, event_type: str) -> tuple[ColumnOrigin, ...]:
    """Return the columns of an event type, given by its path segments, in their order."""
    contract = contracts.of(domain, event_type)
    paths = {field.lake_column: field.key for field in ENVELOPE if field.lake_column}
    paths |= dict.fromkeys(("event_timestamp", "event_timestamp_text"), "timestamp")
    columns = payload_columns(contract)
    paths |= {column.name: _path(column) for column in columns}
    paths |= {field.name: _path(column) for field, column in typed_columns(contract)}
    paths |= {count_field(column).name: _path(column) for column in child_columns(contract)}
    schema = event_schema(contracts, domain, event_type)
    notes = {field.name: (field.metadata or {}).get(NOTE.encode(), b"").decode() for field in schema}
    notes |= {field.name: notes.get(column.name, "") for field, column in typed_columns(contract)}
    return tuple(
        ColumnOrigin(field.name, str(field.type), paths.get(field.name), notes[field.name]) for field in schema
    )


def _path(column: Column) -> str:
    """Return the path of a payload column in the event, with dots."""
    below = ".".join(column.keys)
    return f"data.{below}" if column.name.startswith("data__") else below
