"""Give a contract's Arrow types and columns, and read events with pyarrow's JSON reader."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from pismo_lake.contracts.names import SEPARATOR
from pismo_lake.contracts.tree import Kind, Node
from pismo_lake.decode.arrow_json import read_events
from pismo_lake.decode.fields import ENVELOPE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pismo_lake.contracts.contract import Contract

DECIMAL = pa.decimal128(38, 18)
RESCUED = pa.field("_rescued", pa.string())
_SCALARS = {
    Kind.BOOL: pa.bool_(),
    Kind.INT: pa.int64(),
    Kind.DECIMAL: DECIMAL,
    Kind.STRING: pa.string(),
    Kind.JSON: pa.string(),
}
_ENVELOPE = {field.key: field.read_as for field in ENVELOPE}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a contract: its name, the JSON keys of its path (without `data`), its node."""

    name: str
    keys: tuple[str, ...]
    node: Node

    @property
    def type(self) -> pa.DataType:
        """The type of the column before any privacy policy."""
        return _type(self.node)


def payload_columns(contract: Contract) -> list[Column]:
    """Return the columns of a contract, by name: the payload's first, then extra envelope keys."""
    parts = (_columns(contract.data, "data", ()), _columns(contract.envelope, "envelope", ()))
    return [column for part in parts for column in sorted(part, key=lambda column: column.name)]


def payload_schema(contract: Contract) -> pa.Schema:
    """Return `payload_columns` as a schema."""
    return pa.schema([pa.field(column.name, column.type) for column in payload_columns(contract)])


def _columns(node: Node, name: str, keys: tuple[str, ...]) -> Iterator[Column]:
    for key, child in node.fields.items():
        column = f"{name}{SEPARATOR}{child.segment}"
        if child.kind is Kind.OBJECT:
            yield from _columns(child, column, (*keys, key))
        elif child.typed:
            yield Column(column, (*keys, key), child)


def struct_fields(node: Node) -> list[tuple[str, Node]]:
    """Return the JSON keys and nodes of a struct's typed fields, in its order."""
    typed = ((key, child) for key, child in node.fields.items() if child.typed)
    return sorted(typed, key=lambda field: (field[1].segment, field[0]))


def _type(node: Node) -> pa.DataType:
    """Return the column type of a typed node; untyped fields of structs are left out."""
    if node.kind is Kind.LIST and node.item is not None:
        return pa.list_(_type(node.item))
    if node.kind is Kind.OBJECT:
        return pa.struct([pa.field(child.segment, _type(child)) for _, child in struct_fields(node)])
    return _SCALARS[node.kind]


class FastReader:
    """Reads regular events of one contract with `pyarrow.json`, if the contract is `usable` so."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self.usable = not renamed_in_lists(contract.data) and not renamed_in_lists(contract.envelope)
        fields = [pa.field("data", _reading_type(contract.data))]
        fields += [pa.field(key, _reading_type(child)) for key, child in contract.envelope.fields.items()]
        self._tails = pa.schema(fields)
        self._events = pa.schema([*_ENVELOPE.items(), *fields])
        self.schema = payload_schema(contract)

    def read(self, text: bytes, count: int, *, headless: bool = False) -> pa.Table | None:
        """Parse `count` events; None if pyarrow refuses one or finds another number.

        `headless` events begin with their payload.
        """
        table = read_events(text, count, self._tails if headless else self._events)
        return None if table is None else self.columns_of(table)

    def takes(self, parsed: pa.Schema) -> bool:
        """Return whether `columns_of` accepts payloads that were parsed with this schema."""
        return self.usable and self.columns_of(parsed.empty_table()) is not None

    def columns_of(self, parsed: pa.Table) -> pa.Table | None:
        """Return the contract's columns and an empty `_rescued` from parsed payloads.

        They may have been parsed under an earlier state of the contract; its newer columns are null. Return None if
        they have columns that the contract lacks, or has with another type.
        """
        values = {name: parsed.column(name).combine_chunks() for name in parsed.schema.names if name not in _ENVELOPE}
        columns: dict[str, pa.Array | None] = {}
        known = _spread(self._contract.data, _by_key(values.pop("data")), "data", columns)
        if not (known and _spread(self._contract.envelope, values, "envelope", columns)):
            return None
        count = parsed.num_rows
        arrays = [_convert(columns[field.name], field.type, count) for field in self.schema]
        if any(array is None for array in arrays):
            return None
        # because of _rescued, even a payload without columns keeps its rows
        return pa.table([*arrays, pa.nulls(count, pa.string())], schema=self.schema.append(RESCUED))


def _spread(node: Node, values: dict[str, pa.Array] | None, name: str, columns: dict[str, pa.Array | None]) -> bool:
    """Find a node's columns among the parsed values of its keys.

    Return False if there are other values, or if the value is no object.
    """
    if values is None:
        return False
    for key, child in node.fields.items():
        column, found = f"{name}{SEPARATOR}{child.segment}", values.pop(key, None)
        if child.kind is Kind.OBJECT:
            if not _spread(child, _by_key(found), column, columns):
                return False
        elif child.typed:
            columns[column] = found
        elif found is not None and not pa.types.is_null(found.type):
            return False
    return not values


def _by_key(objects: pa.Array | None) -> dict[str, pa.Array] | None:
    """Return the values of parsed objects by key; None if they are not objects."""
    if objects is None or pa.types.is_null(objects.type):
        return {}
    if not pa.types.is_struct(objects.type):
        return None
    # flatten() passes the struct's own nulls to its children
    return dict(zip((field.name for field in objects.type), objects.flatten(), strict=True))


def _convert(values: pa.Array | None, kind: pa.DataType, count: int) -> pa.Array | None:
    """Return parsed values as a column of this type; None if they have another type."""
    if values is None or pa.types.is_null(values.type):
        return pa.nulls(count, kind)
    if values.type == kind:
        return values
    return values.cast(kind) if pa.types.is_integer(values.type) and kind == DECIMAL else None


def _reading_type(node: Node) -> pa.DataType:
    """Return the type to parse a path with: JSON keys as names, `null` if only null is expected."""
    if node.kind is Kind.OBJECT:
        return pa.struct([pa.field(key, _reading_type(child)) for key, child in node.fields.items()])
    if node.kind is Kind.LIST:
        return _type(node) if node.typed else pa.null()
    return _SCALARS.get(node.kind, pa.null())


def plain_type(node: Node) -> pa.DataType:
    """Return `_reading_type`, but null for paths that hold JSON text."""
    if node.kind is Kind.OBJECT:
        return pa.struct([pa.field(key, plain_type(child)) for key, child in node.fields.items()])
    return pa.null() if _holds_json(node) else _reading_type(node)


def _holds_json(node: Node) -> bool:
    items = [*node.fields.values(), *([node.item] if node.item is not None else [])]
    return node.kind is Kind.JSON or any(map(_holds_json, items))


def renamed_in_lists(node: Node, *, in_list: bool = False) -> bool:
    """Return whether a struct inside a list has a field that the fast path cannot name or type."""
    for key, child in node.fields.items():
        if in_list and (child.segment != key or not child.typed):
            return True
        if renamed_in_lists(child, in_list=in_list):
            return True
    return node.item is not None and renamed_in_lists(node.item, in_list=True)
