"""Number rows by the group that they belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

T = TypeVar("T")


def number_groups(
    table: pa.Table, columns: Sequence[str], named: Callable[..., T]
) -> tuple[list[T], NDArray[np.int64]]:
    """Return the distinct groups, and for each row the index of its group.

    `named` makes the group of a row from its values in `columns`, passed by name. Several combinations of values may
    give the same group.
    """
    code = np.zeros(len(table), dtype=np.int64)
    for name in columns:
        column = table[name].combine_chunks().dictionary_encode(null_encoding="encode")
        code = code * len(column.dictionary) + column.indices.to_numpy()
    # like `np.unique`, but without a sort of the rows
    coded = pa.array(code).dictionary_encode()
    inverse = coded.indices.to_numpy()
    first = np.zeros(len(coded.dictionary), dtype=np.int64)
    first[inverse[::-1]] = np.arange(len(code) - 1, -1, -1)
    order = np.argsort(coded.dictionary.to_numpy())
    things = [named(**row) for row in table.select(columns).take(pa.array(first[order])).to_pylist()]
    numbers = {thing: number for number, thing in enumerate(dict.fromkeys(things))}
    number_of = np.zeros(len(order), dtype=np.int64)
    number_of[order] = [numbers[thing] for thing in things]
    return list(numbers), number_of[inverse]
