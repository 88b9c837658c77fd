"""Find the lists of an event type that have a table of their own, and the columns of their items."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pismo_lake.contracts.columns import Column, payload_columns, struct_fields
from pismo_lake.contracts.names import SEPARATOR
from pismo_lake.contracts.tree import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pismo_lake.contracts.contract import Contract


def child_columns(contract: Contract) -> list[Column]:
    """Return the lists that have a table of their own; a list in a list stays in its items."""
    return [
        column
        for column in payload_columns(contract)
        if column.node.kind is Kind.LIST and contract.rules.is_child_table(column.keys)
    ]


def list_name(column: Column) -> str:
    """Return a list's name for its child table: its column without ``data__``."""
    return column.name.removeprefix("data__")


def item_columns(column: Column) -> list[Column]:
    """Return the columns of a list's items: the fields of structs, or the items themselves."""
    item = column.node.item
    assert item is not None  # a typed list has items
    return list(_spread(Column(column.name, column.keys, item)))


def _spread(column: Column) -> Iterator[Column]:
    if column.node.kind is not Kind.OBJECT:
        yield column
        return
    for key, child in struct_fields(column.node):
        yield from _spread(Column(f"{column.name}{SEPARATOR}{child.segment}", (*column.keys, key), child))
