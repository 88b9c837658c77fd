"""Card numbers in columns of numbers: null there, and masked in `_rescued`, as text that does not fit the column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from pismo_lake.card_numbers import LEAST_NUMBER
from pismo_lake.contracts.columns import payload_columns, struct_fields
from pismo_lake.contracts.tree import Kind, Node

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pismo_lake.contracts.contract import Contract
    from pismo_lake.privacy.redact import Redactor

REASON = "card_number"
_NUMBERS = {Kind.INT, Kind.DECIMAL}


def rescue_card_numbers(table: pa.Table, contract: Contract, redactor: Redactor) -> pa.Table:
    """Return a flattened table in which no column of numbers that no rule is for holds a card number."""
    rescued: dict[int, list[dict[str, Any]]] = {}
    for column in payload_columns(contract):
        array = table.column(column.name).combine_chunks()
        suspects = [row for row in _suspects(array, column.node, column.keys, redactor) if array[row].is_valid]
        if not suspects:
            continue
        changed: dict[int, Any] = {}
        for row in sorted(set(suspects)):
            entries: list[dict[str, Any]] = []
            value = _without(array[row].as_py(), column.node, column.keys, _place(column), redactor, entries)
            if entries:
                changed[row] = value
                rescued.setdefault(row, []).extend(entries)
        if changed:
            mask = pa.array([row in changed for row in range(len(array))])
            new = pa.array([changed[row] for row in sorted(changed)], array.type)
            table = table.set_column(
                table.schema.get_field_index(column.name), table.field(column.name), _put(array, mask, new)
            )
    return _with_rescued(table, rescued) if rescued else table


def _suspects(array: pa.Array, node: Node, keys: tuple[str, ...], redactor: Redactor) -> Iterator[int]:
    """Yield the rows with a number as long as a card number; a row may come again."""
    if node.kind in _NUMBERS and redactor.rule(keys) is None:
        large = pc.greater_equal(pc.abs_checked(pc.max_element_wise(array, -LEAST_NUMBER)), LEAST_NUMBER)
        yield from pc.indices_nonzero(pc.fill_null(large, fill_value=False)).to_pylist()
    elif node.kind is Kind.LIST and node.item is not None:
        parents = pc.list_parent_indices(array)
        yield from (parents[row].as_py() for row in _suspects(array.flatten(), node.item, keys, redactor))
    elif node.kind is Kind.OBJECT:
        for values, (key, child) in zip(array.flatten(), struct_fields(node), strict=True):
            yield from _suspects(values, child, (*keys, key), redactor)
