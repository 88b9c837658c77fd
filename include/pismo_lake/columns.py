"""Arrow types and columns of a contract, and the fast road: pyarrow's JSON reader with the explicit schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.json as pj

from pismo_lake.naming import SEPARATOR
from pismo_lake.nodes import Kind, Node

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pismo_lake.contract import Contract

DECIMAL = pa.decimal128(38, 18)
RESCUED = pa.field("_rescued", pa.string())
_SCALARS = {
    Kind.BOOL: pa.bool_(),
    Kind.INT: pa.int64(),
    Kind.DECIMAL: DECIMAL,
    Kind.STRING: pa.string(),
    Kind.JSON: pa.string(),
}
# schema_version comes as integer or string (Event base contract); the decimal reader takes both.
_ENVELOPE = {
    "event_id": pa.string(),
    "schema_version": DECIMAL,
    "domain": pa.string(),
    "event_type": pa.string(),
    "org_id": pa.string(),
    "cid": pa.string(),
    "timestamp": pa.string(),
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a contract: its name, the JSON keys of its path (without `data`), its node and its type."""

    name: str
    keys: tuple[str, ...]
    node: Node

    @property
    def type(self) -> pa.DataType:
        """As it is read, before any privacy policy."""
        return _type(self.node)


def payload_columns(contract: Contract) -> list[Column]:
    """The columns of a contract in a stable order (by name): payload first, extra envelope keys after."""
    parts = (_columns(contract.data, "data", ()), _columns(contract.envelope, "envelope", ()))
    return [column for part in parts for column in sorted(part, key=lambda column: column.name)]


def payload_schema(contract: Contract) -> pa.Schema:
    """`payload_columns` as a schema."""
    return pa.schema([pa.field(column.name, column.type) for column in payload_columns(contract)])


def _columns(node: Node, name: str, keys: tuple[str, ...]) -> Iterator[Column]:
    for key, child in node.fields.items():
        column = f"{name}{SEPARATOR}{child.segment}"
        if child.kind is Kind.OBJECT:
            yield from _columns(child, column, (*keys, key))
        elif child.typed:
            yield Column(column, (*keys, key), child)


def struct_fields(node: Node) -> list[tuple[str, Node]]:
    """The JSON keys and nodes of the fields that a struct has, in its order; untyped ones have none."""
    typed = ((key, child) for key, child in node.fields.items() if child.typed)
    return sorted(typed, key=lambda field: (field[1].segment, field[0]))


def _type(node: Node) -> pa.DataType:
    """The column type of a typed node; untyped fields of structs are left out until they have a kind."""
    if node.kind is Kind.LIST and node.item is not None:
        return pa.list_(_type(node.item))
    if node.kind is Kind.OBJECT:
        return pa.struct([pa.field(child.segment, _type(child)) for _, child in struct_fields(node)])
    return _SCALARS[node.kind]


class FastReader:
    """Reads regular events of one contract by `pyarrow.json`; `usable` tells whether this contract allows it."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self.usable = not renamed_in_lists(contract.data) and not renamed_in_lists(contract.envelope)
        fields = [pa.field("data", _reading_type(contract.data))]
        fields += [pa.field(key, _reading_type(child)) for key, child in contract.envelope.fields.items()]
        self._tails = pa.schema(fields)
        self._events = pa.schema([*_ENVELOPE.items(), *fields])
        self.schema = payload_schema(contract)

    def read(self, text: bytes, count: int, *, headless: bool = False) -> pa.Table | None:
        """Parse `count` events; None where pyarrow refuses any of them or sees another number of them.

        Where they are `headless` they begin with their payload.
        """
        table = read_events(text, count, self._tails if headless else self._events)
        if table is None:
            return None
        columns: dict[str, pa.Array] = {}
        _spread(self._contract.data, table.column("data").combine_chunks(), "data", columns)
        for key, child in self._contract.envelope.fields.items():
            _place(child, table.column(key).combine_chunks(), f"envelope{SEPARATOR}{child.segment}", columns)
        # with _rescued even a payload without any column keeps its rows
        arrays = [columns[name] for name in self.schema.names]
        return pa.table([*arrays, pa.nulls(count, pa.string())], schema=self.schema.append(RESCUED))


def read_events(text: bytes, count: int, schema: pa.Schema, unexpected: str = "error") -> pa.Table | None:
    """Parse `count` events of these fields; None where pyarrow refuses any or sees another number of them.

    `unexpected` fields are an "error", or it is to "ignore" them.
    """
    parsing = pj.ParseOptions(explicit_schema=schema, newlines_in_values=True, unexpected_field_behavior=unexpected)
    reading = pj.ReadOptions(use_threads=False, block_size=len(text) + 1)
    try:
        # one block, so one batch; `read_json` gives the same and starts a thread for each call
        table = pj.open_json(pa.BufferReader(text), read_options=reading, parse_options=parsing).read_all()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError):
        return None
    return table if table.num_rows == count else None


def _spread(node: Node, array: pa.StructArray, name: str, columns: dict[str, pa.Array]) -> None:
    # flatten() hands the struct's own nulls down to the children
    for child, values in zip(node.fields.values(), array.flatten(), strict=True):
        _place(child, values, f"{name}{SEPARATOR}{child.segment}", columns)


def _place(node: Node, array: pa.Array, name: str, columns: dict[str, pa.Array]) -> None:
    if node.kind is Kind.OBJECT:
        _spread(node, array, name, columns)
    elif node.typed:
        columns[name] = array


def _reading_type(node: Node) -> pa.DataType:
    """The type to parse a path with: JSON keys as field names, `null` where nothing but null is expected."""
    if node.kind is Kind.OBJECT:
        return pa.struct([pa.field(key, _reading_type(child)) for key, child in node.fields.items()])
    if node.kind is Kind.LIST:
        return _type(node) if node.typed else pa.null()
    return _SCALARS.get(node.kind, pa.null())


def renamed_in_lists(node: Node, *, in_list: bool = False) -> bool:
    """Whether a struct inside a list has a field the fast road cannot name or type."""
    for key, child in node.fields.items():
        if in_list and (child.segment != key or not child.typed):
            return True
        if renamed_in_lists(child, in_list=in_list):
            return True
    return node.item is not None and renamed_in_lists(node.item, in_list=True)
