"""Check with one parse whether many events of one type fit their contract.

Events that fit teach the contract nothing and can take the fast path, so they need not be read one by one. pyarrow's
JSON reader is in places less strict than the contract: it accepts a quoted number as a decimal, and ``{}`` as an
object of nulls. The types are chosen, the strings are counted and the callers check, so that no such event passes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.lib import Type_DECIMAL128, Type_DOUBLE, Type_LIST, Type_STRING, Type_STRUCT

from pismo_lake.contracts.columns import DECIMAL, plain_type, renamed_in_lists
from pismo_lake.contracts.contract import DECIMAL_LIMIT
from pismo_lake.contracts.tree import Kind
from pismo_lake.decode.arrow_json import read_events
from pismo_lake.decode.fields import PAYLOAD_KEY, TEXT_KEYS, VERSION_KEY
from pismo_lake.decode.scan import find_escaped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from pismo_lake.contracts.contract import Contract
    from pismo_lake.contracts.tree import Node

_SCALARS = {
    Kind.BOOL: pa.bool_(),
    Kind.INT: pa.int64(),
    # a decimal column also accepts numbers in quotes, a float column does not
    Kind.DECIMAL: pa.float64(),
    Kind.STRING: pa.string(),
}
# if the value is below the limit, the upper half of a decimal's 128 bits is below this
_HIGHEST_WORD = int(DECIMAL_LIMIT) * 10**DECIMAL.scale >> 64
_STEP = 1 << 17
_QUOTE, _COLON, _COMMA, _OPEN, _BACKSLASH, _SPACE = b'":,{\\ '
_BRACES_DIFFER = ord("{") ^ ord("[")
_READERS: WeakKeyDictionary[Contract, tuple[int, dict[pa.DataType | None, _Reader | None]]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Fitting:
    """Events that fit, one row each: their envelopes, and their parsed payloads if exact.

    There are no envelopes if the events begin with their payload. There is no payload if a build must parse it again.
    """

    envelopes: pa.Table
    payload: pa.Table | None = None


def parse_fitting(
    contract: Contract, text: bytes | NDArray[np.uint8], count: int, version: pa.DataType | None = None
) -> Fitting | None:
    """Parse `count` events; None if one of them does not fit plainly.

    `text` holds the events one after the other, `version` is the type of their schema_version; without it, the events
    begin with their payload. `text` must be valid UTF-8 without an empty object, because such objects are not
    recognised here.
    """
    revision, readers = _READERS.get(contract, (-1, {}))
    if revision != contract.revision:
        _READERS[contract] = (contract.revision, readers := {})
    if version not in readers:
        readers[version] = None if _blind(contract) else _Reader(contract, version)
    reader = readers[version]
    return None if reader is None else reader.read(text, count)


def _blind(contract: Contract) -> bool:
    """Return whether events of the contract always take the slow path, or it knows no event yet."""
    new = not contract.data.fields
    return new or renamed_in_lists(contract.data) or renamed_in_lists(contract.envelope)


class _Reader:
    """pyarrow's reader for one revision of a contract."""

    def __init__(self, contract: Contract, version: pa.DataType | None) -> None:
        fields = [] if version is None else [*((key, pa.string()) for key in TEXT_KEYS), (VERSION_KEY, version)]
        self._envelope = [name for name, _ in fields]
        payload = {PAYLOAD_KEY: contract.data, **contract.envelope.fields}
        self._schema = pa.schema([*fields, *((key, _type(node)) for key, node in payload.items())])
        self._exact = pa.schema([(key, plain_type(node)) for key, node in payload.items()])

    def read(self, text: bytes | NDArray[np.uint8], count: int) -> Fitting | None:
        if not self._envelope and (exact := self._read_exact(text, count)) is not None:
            return exact
        table = read_events(text, count, self._schema)
        if table is None:
            return None
        table = table.combine_chunks()
        values = (table.column(at).chunk(0) for at in range(len(self._envelope), table.num_columns))
        fits = all(_is_within_limits(leaf) for value in values for leaf in _leaves(value))
        return Fitting(table.select(self._envelope)) if fits else None

    def _read_exact(self, text: bytes | NDArray[np.uint8], count: int) -> Fitting | None:
        """Parse all events with decimals as decimals; None if their number of strings is wrong."""
        table = read_events(text, count, self._exact)
        if table is None:
            return None
        table = table.combine_chunks()
        leaves = [leaf for column in table.columns for leaf in _leaves(column.chunk(0))]
        if not all(map(_is_within_limits, leaves)):
            return None
        # only a decimal column accepts a number in quotes
        if _values(leaves, Type_DECIMAL128) and strings_in(text) != _values(leaves, Type_STRING):
            return None
        return Fitting(table.select([]), table)


def strings_in(text: bytes | NDArray[np.uint8]) -> int | None:
    """Return how many values in compact JSON objects are strings; None if that is not certain.

    Quotes come in pairs, and a pair before a colon is a key. White space before a colon makes the number too large.
    """
    buffer = np.frombuffer(text, dtype=np.uint8)
    quotes = keys = 0
    behind_slashes = [np.zeros(0, dtype=np.int64)]
    # in steps that fit the processor's cache, each with the byte before it and the byte after it
    for at in range(1, len(buffer) - 1, _STEP):
        some = buffer[at - 1 : at + _STEP + 1]
        before, marks, colons = some[:-2], some[1:-1] == _QUOTE, some == _COLON
        ends = marks & colons[2:]
        begins = colons[:-2] | (before == _COMMA)
        begins |= (before | _BRACES_DIFFER) == _OPEN
        begins |= before <= _SPACE
        begins &= ends
        if begins.any():
            # such a quote begins a text that itself begins with a colon
            return None
        quotes += int(np.count_nonzero(marks))
        keys += int(np.count_nonzero(ends))
        behind_slashes.append(np.flatnonzero(marks & (before == _BACKSLASH)) + at)
    suspects = np.concatenate(behind_slashes)
    within = suspects[find_escaped(buffer, suspects)]
    return (quotes - len(within)) // 2 - keys + int(np.count_nonzero(buffer[within + 1] == _COLON))


def _leaves(array: pa.Array) -> Iterator[pa.Array]:
    """Yield the arrays of single values inside an array, at any depth."""
    kind = array.type.id
    if kind == Type_STRUCT:
        for child in array.flatten():
            yield from _leaves(child)
    elif kind == Type_LIST:
        yield from _leaves(array.flatten())
    else:
        yield array


def _values(leaves: Sequence[pa.Array], kind: int) -> int:
    """Return the number of values of one type that are not null."""
    return sum(len(leaf) - leaf.null_count for leaf in leaves if leaf.type.id == kind)


def _is_within_limits(leaf: pa.Array) -> bool:
    """Return whether all numbers for decimal columns are in range; NaN and Infinity are not."""
    kind = leaf.type.id
    if kind == Type_DECIMAL128:
        words = np.frombuffer(leaf.buffers()[1], dtype=np.int64)[2 * leaf.offset : 2 * (leaf.offset + len(leaf))]
        return not len(words) or bool(words[1::2].min() >= -_HIGHEST_WORD and words[1::2].max() < _HIGHEST_WORD)
    if kind == Type_DOUBLE:
        return bool((np.abs(pc.fill_null(leaf, 0.0).to_numpy()) < DECIMAL_LIMIT).all())
    return True


def _type(node: Node) -> pa.DataType:
    """Return the type that accepts exactly the node's values; null if no value fits plainly."""
    if node.kind is Kind.OBJECT:
        return pa.struct([pa.field(key, _type(child)) for key, child in node.fields.items()])
    if node.kind is Kind.LIST:
        return pa.list_(_type(node.item)) if node.item is not None and node.typed else pa.null()
    return _SCALARS.get(node.kind, pa.null())
