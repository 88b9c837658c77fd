"""Mask card numbers in columns of numbers: null there, and masked in `_rescued`.

The masked text does not fit the column.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from pismo_lake.contracts.columns import RESCUED, payload_columns, struct_fields
from pismo_lake.contracts.names import pointer
from pismo_lake.contracts.tree import Kind, Node
from pismo_lake.decode.exact_json import dumps, loads
from pismo_lake.privacy.card_networks import LEAST_NUMBER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pismo_lake.contracts.contract import Contract
    from pismo_lake.privacy.redact import Redactor


_NUMBERS = {Kind.INT, Kind.DECIMAL}


def rescue_card_numbers(table: pa.Table, contract: Contract, redactor: Redactor) -> pa.Table:
    """Return a flattened table without card numbers in number columns that have no rule."""
    rescued: dict[int, list[dict[str, Any]]] = {}
    for column in payload_columns(contract):
        array = table.column(column.name).combine_chunks()
        suspects = sorted(set(_suspects(array, column.node, column.keys, redactor)))
        if not suspects:
            continue
        root = "/data" if column.name.startswith("data__") else ""
        path = root + "".join(f"/{pointer(key)}" for key in column.keys)
        changed: dict[int, Any] = {}
        for row in suspects:
            cleaner = _Cleaner(redactor)
            value = cleaner.clean(array[row].as_py(), column.node, column.keys, path)
            if cleaner.rescued:
                changed[row] = value
                rescued.setdefault(row, []).extend(cleaner.rescued)
        if changed:
            values = [changed.get(row, value) for row, value in enumerate(array.to_pylist())]
            at = table.schema.get_field_index(column.name)
            table = table.set_column(at, table.field(at), pa.array(values, array.type))
    return _add_rescued(table, rescued) if rescued else table


def _suspects(array: pa.Array, node: Node, keys: tuple[str, ...], redactor: Redactor) -> Iterator[int]:
    """Yield the rows with a number as long as a card number; a row may be repeated."""
    if node.kind in _NUMBERS and redactor.rule(keys) is None:
        large = pc.or_kleene(pc.greater_equal(array, LEAST_NUMBER), pc.less_equal(array, -LEAST_NUMBER))
        if pc.any(large).as_py():
            yield from pc.indices_nonzero(pc.fill_null(large, fill_value=False)).to_pylist()
    elif node.kind is Kind.LIST and node.item is not None:
        inner = list(_suspects(array.flatten(), node.item, keys, redactor))
        yield from pc.list_parent_indices(array).take(pa.array(inner, pa.int64())).to_pylist() if inner else ()
    elif node.kind is Kind.OBJECT:
        for values, (key, child) in zip(array.flatten(), struct_fields(node), strict=True):
            yield from _suspects(values, child, (*keys, key), redactor)


@dataclass(slots=True)
class _Cleaner:
    """Removes the card numbers from one value, and makes an entry of `_rescued` for each."""

    redactor: Redactor
    rescued: list[dict[str, Any]] = field(default_factory=list)

    def clean(self, value: Any, node: Node, keys: tuple[str, ...], path: str, positions: tuple[int, ...] = ()) -> Any:
        """Return a value as its column holds it, with null for each card number."""
        if value is None:
            return None
        if node.kind is Kind.LIST and node.item is not None:
            within = (*positions, path.count("/"))
            return [self.clean(item, node.item, keys, f"{path}/{at}", within) for at, item in enumerate(value)]
        if node.kind is Kind.OBJECT:
            cleaned = dict(value)
            for key, child in struct_fields(node):
                inner = value[child.segment]
                cleaned[child.segment] = self.clean(inner, child, (*keys, key), f"{path}/{pointer(key)}", positions)
            return cleaned
        if node.kind not in _NUMBERS or self.redactor.rule(keys) is not None:
            return value
        masked = self.redactor.number(value)
        if masked is value:
            return value
        entry = {"path": path, "positions": list(positions), "reason": "card_number", "value": masked}
        self.rescued.append(entry if positions else {name: entry[name] for name in entry if name != "positions"})
        return None


def _add_rescued(table: pa.Table, rescued: dict[int, list[dict[str, Any]]]) -> pa.Table:
    texts = table.column(RESCUED.name).to_pylist()
    for row, entries in rescued.items():
        texts[row] = dumps([*(loads(texts[row]) if texts[row] else []), *entries])
    return table.set_column(table.schema.get_field_index(RESCUED.name), RESCUED, pa.array(texts, pa.string()))
