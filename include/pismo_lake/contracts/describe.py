"""Describe contracts for people: columns, differences from the schema, and inferred schemas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from pismo_lake.contracts.columns import payload_columns
from pismo_lake.contracts.tree import Kind, Node
from pismo_lake.ledger.tables import contract_changes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pismo_lake.contracts.columns import Column
    from pismo_lake.contracts.contract import Contract
    from pismo_lake.contracts.store import ContractStore
    from pismo_lake.ledger import Ledger

_TYPES = {
    Kind.BOOL: "boolean", Kind.INT: "integer", Kind.DECIMAL: "number", Kind.STRING: "string", Kind.OBJECT: "object",
    Kind.LIST: "array",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Difference:
    """A path on which schema and lake differ; an empty kind means that one of them lacks it."""

    event: str
    path: str
    declared: str
    lake: str

    def __str__(self) -> str:
        return f"{self.event} {self.path}: schema {self.declared or 'has none'}, lake {self.lake or 'has none'}"


@dataclass(frozen=True, slots=True)
class ColumnLine:
    """A column: Arrow type, origin (``declared`` by a schema, or ``inferred``), and a note."""

    name: str
    type: str
    origin: str
    note: str


def column_lines(contract: Contract, declared: Node | None) -> Iterator[ColumnLine]:
    """Yield the columns of an event type, in their order."""
    for column in payload_columns(contract):
        known = declared_node(column, declared) is not None
        notes = ["int64 before"] if column.node.widened else []
        if column.node.format:
            why = "no time with a zone" if column.node.format == "date-time" else "no date"
            notes.append(f"its typed column is null if the text is {why}")
        yield ColumnLine(column.name, str(column.type), "declared" if known else "inferred", "; ".join(notes))


def differences(contracts: ContractStore, domain: str, event_type: str) -> list[Difference]:
    """Return the differences of an event type's schema and the lake; empty without a schema."""
    declared = contracts.find_declared(domain, event_type)
    if declared is None:
        return []
    event = f"{domain}/{event_type}"
    return [Difference(event, *found) for found in _compare(declared, contracts.of(domain, event_type).data, "")]


def schema_of(contract: Contract, title: str) -> dict[str, Any]:
    """Return a draft-07 schema of the known payload, for review.

    No key is required, and every value may be null.
    """
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": title}
    text = "Made from events. They do not show which keys are required."
    return head | {"description": text} | _schema(contract.data)


def changes_of(ledger: Ledger, lake: str, domain: str, event_type: str) -> list[tuple[Any, ...]]:
    """Return changes, oldest first: (path, before, after, first file, offset, seen at)."""
    table = contract_changes.c
    query = select(table.path, table.before, table.after, table.first_file, table.first_offset, table.seen_at)
    mine = (table.lake == lake, table.domain == domain, table.event_type == event_type)
    with ledger.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(query.where(*mine).order_by(table.id))]


def _compare(declared: Node, have: Node, path: str) -> Iterator[tuple[str, str, str]]:
    """Yield (path, declared kind, kind in the lake) of differing paths.

    Integer and decimal do not differ, because an int column can become decimal.
    """
    if declared.kind is not have.kind:
        if Kind.NULL not in {declared.kind, have.kind} and {declared.kind, have.kind} != {Kind.INT, Kind.DECIMAL}:
            yield path, declared.kind, have.kind
        return
    for key in dict.fromkeys([*declared.fields, *have.fields]):
        theirs, ours = declared.fields.get(key), have.fields.get(key)
        if theirs is None or ours is None:
            yield f"{path}/{key}", theirs.kind if theirs else "", ours.kind if ours else ""
        else:
            yield from _compare(theirs, ours, f"{path}/{key}")
    if declared.item is not None and have.item is not None:
        yield from _compare(declared.item, have.item, f"{path}/*")


def declared_node(column: Column, declared: Node | None) -> Node | None:
    """Return the node that a schema has for a column of the payload, or of the items of a list; None without one."""
    if not column.name.startswith("data"):
        return None
    found = declared
    for key in column.keys:
        found = _items_of(found).fields.get(key) if found else None
    # the column of a child table is about the items of its list
    return found if found is None or column.node.kind is Kind.LIST else _items_of(found)


def _items_of(node: Node) -> Node:
    """Return the node of a list's innermost items; of other values, the node itself."""
    while node.kind is Kind.LIST and node.item is not None:
        node = node.item
    return node


def source_of_type(column: Column, declared: Node | None) -> str:
    """Return where the type of a column comes from: ``declared`` by a schema, or ``inferred`` from events.

    If the schema declares another type, this is in the answer.
    """
    node = declared_node(column, declared)
    if node is None or node.kind is Kind.NULL:
        return "inferred"
    kinds = {node.kind, column.node.kind}
    if len(kinds) == 1 or kinds == {Kind.INT, Kind.DECIMAL}:
        return "declared"
    return f"inferred, the schema says {node.kind}"


def _schema(node: Node) -> dict[str, Any]:
    """Return the schema of a path, which allows its values and is read as the same kind again."""
    if node.kind is Kind.OBJECT and node.fields:
        return {"type": ["object", "null"], "properties": {key: _schema(child) for key, child in node.fields.items()}}
    if node.kind is Kind.LIST:
        return {"type": ["array", "null"], "items": _schema(node.item or Node())}
    if node.kind is Kind.JSON:
        return {"type": ["object", "array", "string", "number", "boolean", "null"]}
    # an object that never had a field would be read as a map: nothing is said about it
    known = node.kind in _TYPES and node.kind is not Kind.OBJECT
    return {"type": [_TYPES[node.kind], "null"]} if known else {}
