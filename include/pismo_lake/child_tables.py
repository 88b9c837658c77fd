"""Lists of a payload as tables of their own, a row an item, where the contract rules ask for it.

A child table stands beside the events, at ``items/domain=<d>/event_type=<event type>__<list>/event_date=<date>/``,
so that whatever counts events never meets its rows. Its key is `org_id`, `event_id`, `position` (from 0). In the row of
the event the list gives way to its length, which tells no list (null) from an empty one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pismo_lake.columns import Column, payload_columns, struct_fields
from pismo_lake.fixed_columns import ENVELOPE_SCHEMA, SOURCE_SCHEMA
from pismo_lake.layout import items_path
from pismo_lake.naming import SEPARATOR
from pismo_lake.nodes import Kind
from pismo_lake.protect import protected_field

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from pismo_lake.contract import Contract
    from pismo_lake.privacy import Privacy

COUNT = "count__"
"""What the names of the columns begin with that hold a list's length."""

POSITION = pa.field("position", pa.int32(), nullable=False)
_BEFORE = [ENVELOPE_SCHEMA.field(name) for name in ("event_id", "org_id", "event_timestamp")]


def child_columns(contract: Contract) -> list[Column]:
    """The lists of a contract that have a table of their own; a list inside another one stays in that one's items."""
    return [
        column
        for column in payload_columns(contract)
        if column.node.kind is Kind.LIST and contract.rules.is_child_table(column.keys)
    ]


def count_field(column: Column) -> pa.Field:
    """The column that stands for a list in the event's own row."""
    return pa.field(f"{COUNT}{list_name(column)}", pa.int32())


def list_name(column: Column) -> str:
    """A list as its child table is named after it: its column without ``data__``."""
    return column.name.removeprefix("data__")


def item_columns(column: Column) -> list[Column]:
    """The columns of a list's items: a struct's fields, one each, or the items themselves under the list's name."""
    item = column.node.item
    assert item is not None  # a typed list has items
    return list(_spread(Column(column.name, column.keys, item)))


def _spread(column: Column) -> Iterator[Column]:
    if column.node.kind is not Kind.OBJECT:
        yield column
        return
    for key, child in struct_fields(column.node):
        yield from _spread(Column(f"{column.name}{SEPARATOR}{child.segment}", (*column.keys, key), child))


def child_schema(column: Column, privacy: Privacy | None, event: str) -> pa.Schema:
    """The columns of a child table; `event` is ``<domain>/<event type with version>``, as policies name it."""
    fields = [protected_field(item, privacy, event) for item in item_columns(column)]
    return pa.schema([*_BEFORE, POSITION, *fields, *SOURCE_SCHEMA])


def child_tables(
    rows: pa.Table, payload: pa.Table, contract: Contract, privacy: Privacy | None, names: tuple[str, str], date: str
) -> Iterator[tuple[str, pa.Table]]:
    """Yield (partition folder, table) of the lists in a partition's events; those without any item have none.

    `rows` are the events as they stand in the lake, `payload` their columns with the lists, row for row; `names` the
    domain and the event type with its version.
    """
    domain, event = names
    for column in child_columns(contract):
        lists = payload.column(column.name).combine_chunks()
        parents, positions = places(lists)
        if not len(parents):
            continue
        mine = rows.take(pa.array(parents))
        arrays = [mine.column(field.name) for field in _BEFORE]
        arrays += [pa.array(positions, pa.int32()), *leaves(lists.flatten())]
        arrays += [mine.column(name) for name in SOURCE_SCHEMA.names]
        schema = child_schema(column, privacy, "/".join(names))
        yield items_path(domain, event, list_name(column), date), pa.table(arrays, schema=schema)


def places(lists: pa.ListArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of every item of the lists, in order: the row of its list, and its position there."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy().astype(np.int64)
    parents = np.repeat(np.arange(len(lists)), lengths)
    return parents, np.arange(len(parents)) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def leaf_fields(field: pa.Field) -> list[pa.Field]:
    """The fields of `leaves` of such items, named as the columns of a child table are."""
    if not pa.types.is_struct(field.type):
        return [field]
    below = (child.with_name(f"{field.name}{SEPARATOR}{child.name}") for child in field.type)
    return [leaf for child in below for leaf in leaf_fields(child)]


def leaves(items: pa.Array) -> list[pa.Array]:
    """The values of items: structs field by field down to what is none."""
    if not pa.types.is_struct(items.type):
        return [items]
    return [leaf for child in items.flatten() for leaf in leaves(child)]
