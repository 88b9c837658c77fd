"""Write lists of a payload as tables of their own, if the contract rules ask for it.

A child table has one row for each item. It is beside the events, at ``items/domain=<d>/event_type=<event
type>__<list>/event_date=<date>/``, so that queries that count events never read its rows. Its key is `org_id`,
`event_id`, `position` (from 0). In the row of the event, the list's length replaces the list; null means that there is
no list, 0 that it is empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pismo_lake.contracts.lists import child_columns, list_name
from pismo_lake.contracts.names import SEPARATOR
from pismo_lake.paths import items_path
from pismo_lake.rows.schema import EVENT_COLUMNS, SOURCE_SCHEMA, child_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from pismo_lake.contracts.contract import Contract
    from pismo_lake.settings.privacy import Privacy


def child_tables(
    rows: pa.Table, payload: pa.Table, contract: Contract, privacy: Privacy | None, names: tuple[str, str], date: str
) -> Iterator[tuple[str, pa.Table]]:
    """Yield (partition folder, table) of the lists in a partition's events, if they have items.

    `rows` are the events as in the lake, `payload` their columns with the lists, row for row; `names` are the domain
    and the event type with its version.
    """
    domain, event = names
    for column in child_columns(contract):
        lists = payload.column(column.name).combine_chunks()
        parents, positions = places(lists)
        if not len(parents):
            continue
        mine = rows.take(pa.array(parents))
        arrays = [mine.column(field.name) for field in EVENT_COLUMNS]
        arrays += [pa.array(positions, pa.int32()), *leaves(lists.flatten())]
        arrays += [mine.column(name) for name in SOURCE_SCHEMA.names]
        schema = child_schema(column, privacy, "/".join(names))
        yield items_path(domain, event, list_name(column), date), pa.table(arrays, schema=schema)


def places(lists: pa.ListArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return for each item of the lists, in order, the row of its list and its position in it."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy().astype(np.int64)
    parents = np.repeat(np.arange(len(lists)), lengths)
    return parents, np.arange(len(parents)) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def leaf_fields(field: pa.Field) -> list[pa.Field]:
    """Return the fields of `leaves` of such items, with the column names of a child table."""
    if not pa.types.is_struct(field.type):
        return [field]
    below = (child.with_name(f"{field.name}{SEPARATOR}{child.name}") for child in field.type)
    return [leaf for child in below for leaf in leaf_fields(child)]


def leaves(items: pa.Array) -> list[pa.Array]:
    """Return the values of items, with structs split into their fields down to the last level."""
    if not pa.types.is_struct(items.type):
        return [items]
    return [leaf for child in items.flatten() for leaf in leaves(child)]
