"""What contracts say, for people: columns of an event type, where schema and lake differ, a schema made of events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from pismo_lake.contracts.columns import payload_columns
from pismo_lake.contracts.tree import Kind, Node
from pismo_lake.ledger.tables import contract_changes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pismo_lake.contracts.contract import Contract
    from pismo_lake.contracts.store import ContractStore
    from pismo_lake.ledger import Ledger

_TYPES = {
    Kind.BOOL: "boolean", Kind.INT: "integer", Kind.DECIMAL: "number", Kind.STRING: "string", Kind.OBJECT: "object",
    Kind.LIST: "array",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Difference:
    """A path of which schema and lake do not say the same; an empty kind stands for nothing."""

    event: str
    path: str
    declared: str
    lake: str

    def __str__(self) -> str:
        return f"{self.event} {self.path}: schema {self.declared or 'has none'}, lake {self.lake or 'has none'}"


def described(contract: Contract, declared: Node | None) -> Iterator[str]:
    """A line a column: name, type, whether a schema or data brought it."""
    for column in payload_columns(contract):
        known = declared is not None and _at(declared, column.keys) is not None and column.name.startswith("data")
        widened = ", int64 before" if column.node.widened else ""
        yield f"{column.name:48} {column.type!s:28} {'declared' if known else 'inferred'}{widened}"
        if column.node.format:
            why = "no time with a zone" if column.node.format == "date-time" else "no date"
            yield f"{'':48} its typed column is null where the text is {why}"
    for note in sorted(contract.noted):
        yield f"seen and without a column: {note}"


def differences(contracts: ContractStore, domain: str, event_type: str) -> list[Difference]:
    """Where the schema of an event type and what the lake knows of it differ; empty where there is no schema."""
    declared = contracts.declared(domain, event_type)
    if declared is None:
        return []
    event = f"{domain}/{event_type}"
    return [Difference(event, *found) for found in _compared(declared, contracts.of(domain, event_type).data, "")]


def schema_of(contract: Contract, title: str) -> dict[str, Any]:
    """A draft-07 schema of the payload as it is known, to be reviewed: nothing is required, everything may be null."""
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": title}
    told = "Made from events that came. Nothing is known of what is required."
    return head | {"description": told} | _schema(contract.data)


def changes_of(ledger: Ledger, lake: str, domain: str, event_type: str) -> list[tuple[Any, ...]]:
    """The recorded changes of a contract: (path, before, after, first file, offset, seen at), oldest first."""
    table = contract_changes.c
    query = select(table.path, table.before, table.after, table.first_file, table.first_offset, table.seen_at)
    mine = (table.lake == lake, table.domain == domain, table.event_type == event_type)
    with ledger.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(query.where(*mine).order_by(table.id))]


def _compared(declared: Node, have: Node, path: str) -> Iterator[tuple[str, str, str]]:
    """(path, declared kind, kind in the lake) of what differs; int columns take what is declared as a decimal."""
    if declared.kind is not have.kind:
        if Kind.NULL not in {declared.kind, have.kind} and {declared.kind, have.kind} != {Kind.INT, Kind.DECIMAL}:
            yield path, declared.kind, have.kind
        return
    for key in dict.fromkeys([*declared.fields, *have.fields]):
        told, known = declared.fields.get(key), have.fields.get(key)
        if told is None or known is None:
            yield f"{path}/{key}", told.kind if told else "", known.kind if known else ""
        else:
            yield from _compared(told, known, f"{path}/{key}")
    if declared.item is not None and have.item is not None:
        yield from _compared(declared.item, have.item, f"{path}/*")


def _at(node: Node, keys: tuple[str, ...]) -> Node | None:
    found: Node | None = node
    for key in keys:
        found = found.fields.get(key) if found else None
    return found


def _schema(node: Node) -> dict[str, Any]:
    if node.kind is Kind.OBJECT:
        return {"type": ["object", "null"], "properties": {key: _schema(child) for key, child in node.fields.items()}}
    if node.kind is Kind.LIST:
        return {"type": ["array", "null"], "items": _schema(node.item or Node())}
    if node.kind is Kind.JSON:
        return {"type": ["object", "null"], "additionalProperties": True}
    return {"type": [_TYPES[node.kind], "null"]} if node.kind in _TYPES else {}
