"""Whether many events of one type fit their contract as it stands, answered by one parse of all of them.

Events that fit teach the contract nothing and may take the fast road, so they need no look of their own. pyarrow's
JSON reader is laxer than the contract in places (a quoted number passes as a decimal, ``{}`` as an object of nulls);
the types here are chosen, the strings counted, and the callers asked, so that nothing laxer than the contract passes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pismo_lake.columns import plain_type, read_events, renamed_in_lists
from pismo_lake.contract import DECIMAL_LIMIT
from pismo_lake.heads import TEXTS
from pismo_lake.nodes import Kind

if TYPE_CHECKING:
    from pismo_lake.contract import Contract
    from pismo_lake.nodes import Node

_SCALARS = {
    Kind.BOOL: pa.bool_(),
    Kind.INT: pa.int64(),
    # a decimal column takes numbers in quotes too, a float column does not
    Kind.DECIMAL: pa.float64(),
    Kind.STRING: pa.string(),
}
_QUOTE, _COLON = b'":'
_BEFORE_STRING = np.zeros(256, dtype=bool)
_BEFORE_STRING[list(b" \t\r\n:,[{")] = True
_READERS: WeakKeyDictionary[Contract, tuple[int, dict[pa.DataType | None, _Reader | None]]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Fitting:
    """Events that fit, a row each: their envelopes, and their payloads as parsed where these are exact.

    There are no envelopes where the events came without, and no payload where a build has to parse it again.
    """

    envelopes: pa.Table
    payload: pa.Table | None = None


def fitting(contract: Contract, text: bytes, count: int, version: pa.DataType | None = None) -> Fitting | None:
    """`count` events, or None where any of them does not fit plainly.

    `text` holds the events one after the other, `version` is the type of their schema_version; without it the events
    begin with their payload. It must be valid UTF-8 without an empty object in it: those are not told apart here.
    """
    revision, readers = _READERS.get(contract, (-1, {}))
    if revision != contract.revision:
        _READERS[contract] = (contract.revision, readers := {})
    if version not in readers:
        readers[version] = None if _blind(contract) else _Reader(contract, version)
    reader = readers[version]
    return None if reader is None else reader.read(text, count)


def _blind(contract: Contract) -> bool:
    """Whether events of the contract take the exact road in any case, or none is known yet."""
    new = not contract.data.fields
    return new or renamed_in_lists(contract.data) or renamed_in_lists(contract.envelope)


class _Reader:
    """pyarrow's reader for one revision of a contract."""

    def __init__(self, contract: Contract, version: pa.DataType | None) -> None:
        fields = [] if version is None else [*((key, pa.string()) for key in TEXTS), ("schema_version", version)]
        self._envelope = [name for name, _ in fields]
        payload = {"data": contract.data, **contract.envelope.fields}
        self._schema = pa.schema([*fields, *((key, _type(node)) for key, node in payload.items())])
        self._exact = pa.schema([(key, plain_type(node)) for key, node in payload.items()])

    def read(self, text: bytes, count: int) -> Fitting | None:
        if not self._envelope and (exact := self._read_exact(text, count)) is not None:
            return exact
        table = read_events(text, count, self._schema)
        if table is None:
            return None
        table = table.combine_chunks()
        values = [table.column(at).chunk(0) for at in range(len(self._envelope), table.num_columns)]
        return Fitting(table.select(self._envelope)) if all(map(_within_limits, values)) else None

    def _read_exact(self, text: bytes, count: int) -> Fitting | None:
        """With decimals as decimals: all of it, if it has as many strings as it should."""
        table = read_events(text, count, self._exact)
        if table is None:
            return None
        table = table.combine_chunks()
        values = [column.chunk(0) for column in table.columns]
        if not all(map(_within_limits, values)) or strings_in(text) != sum(map(_strings, values)):
            return None
        return Fitting(table.select([]), table)


def strings_in(text: bytes) -> int | None:
    """How many values in compact JSON objects are strings; None where their spelling does not tell.

    Quotes stand in pairs, a pair before a colon is a key. Whitespace before a colon makes the number too large.
    """
    buffer = np.frombuffer(text, dtype=np.uint8)
    quotes = buffer == _QUOTE
    before_colon = np.flatnonzero(quotes[1:-1] & (buffer[2:] == _COLON)) + 1
    # a quote that begins a text which itself begins with a colon
    if _BEFORE_STRING[buffer[before_colon - 1]].any():
        return None
    pairs, keys = int(np.count_nonzero(quotes)), len(before_colon)
    if b"\\" in text:
        unescaped = text.replace(rb"\\", b"")
        pairs -= unescaped.count(rb"\"")
        keys -= unescaped.count(rb"\":")
    return pairs // 2 - keys


def _strings(array: pa.Array) -> int:
    """How many of the values, whatever their depth, are strings."""
    kind = array.type
    if pa.types.is_string(kind):
        return len(array) - int(array.null_count)
    if pa.types.is_struct(kind) or pa.types.is_list(kind):
        inner = array.flatten()
        return sum(map(_strings, inner)) if pa.types.is_struct(kind) else _strings(inner)
    return 0


def _within_limits(array: pa.Array) -> bool:
    """Whether all numbers that are to be decimals have their whole digits; NaN and Infinity have none."""
    kind = array.type
    if pa.types.is_decimal(kind):
        ends = pc.min_max(array)
        return all(end is None or abs(end) < DECIMAL_LIMIT for end in (ends["min"].as_py(), ends["max"].as_py()))
    if pa.types.is_float64(kind):
        numbers = pc.fill_null(array, 0.0).to_numpy()
        return bool((np.abs(numbers) < DECIMAL_LIMIT).all())
    if pa.types.is_struct(kind) or pa.types.is_list(kind):
        inner = array.flatten()
        return all(map(_within_limits, inner)) if pa.types.is_struct(kind) else _within_limits(inner)
    return True


def _type(node: Node) -> pa.DataType:
    """The type that takes what fits the node and nothing else; null where no value at all fits plainly."""
    if node.kind is Kind.OBJECT:
        return pa.struct([pa.field(key, _type(child)) for key, child in node.fields.items()])
    if node.kind is Kind.LIST:
        return pa.list_(_type(node.item)) if node.item is not None and node.typed else pa.null()
    return _SCALARS.get(node.kind, pa.null())
