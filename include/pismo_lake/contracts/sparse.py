"""Recognise lists whose items together have many fields and use few of them.

In a column of such a list, each item takes space for every field: with 300 fields and 300,000 items of one field each,
4 MB of JSON would need more than a gigabyte. So a contract learns no fields from such a list.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pismo_lake.contracts.tree import MAX_COLUMNS, Kind, Node

if TYPE_CHECKING:
    from collections.abc import Callable

FEWEST_CELLS = 1 << 18
"""A list that takes space for fewer values is never sparse."""

CELLS_A_VALUE = 16
"""A list is sparse if it takes space for more values than this, for each value that it has."""


@dataclass(slots=True)
class LearnedList:
    """A list in no other list, from which a contract is learning.

    `stays_json` says of a key and the path above it whether its values stay JSON text. `is_map` says so of a value
    and its depth.
    """

    node: Node
    path: str
    values: list[Any]
    depth: int
    stays_json: Callable[[str, str], bool]
    is_map: Callable[[Any, int], bool]
    _judged: bool = False
    _items: dict[str, int] = field(default_factory=dict)
    _fields: dict[str, set[str]] = field(default_factory=dict)
    _count: int = 0

    def closes(self) -> bool:
        """Return whether the list is sparse and was not closed before; the first call looks at all values."""
        if self._judged or self.node.closed:
            return False
        self._judged = True
        self._add_items(self.values, self.node, self.path, self.depth)
        cells = sum(count * len(self._fields[path]) for path, count in self._items.items())
        self._fields.clear()
        return cells > FEWEST_CELLS and cells > CELLS_A_VALUE * self._count

    def _add_items(self, values: list[Any], node: Node | None, path: str, depth: int) -> None:
        self._items[path] = self._items.get(path, 0) + len(values)
        self._fields.setdefault(path, set())
        item = None if node is None else node.item
        for value in values:
            if value is not None:
                self._add(value, item, "*", path, path, depth + 1)

    def _add(self, value: Any, node: Node | None, key: str, above: str, items: str, depth: int) -> None:
        """Count a value that is not null; `items` is the path of the innermost list around it."""
        path = f"{above}/{key}"
        spreads = isinstance(value, dict | list) and self._spreads(value, node, key, above, depth)
        if spreads and isinstance(value, dict):
            for name, child in value.items():
                if child is not None:
                    known = None if node is None else node.fields.get(name)
                    self._add(child, known, name, path, items, depth + 1)
            return
        self._count += 1
        found = self._fields[items]
        if len(found) < MAX_COLUMNS:
            found.add(path)
        if spreads:
            self._add_items(value, node, path, depth)

    def _spreads(self, value: Any, node: Node | None, key: str, above: str, depth: int) -> bool:
        """Return whether the contract has, or could get, fields for the parts of a value."""
        if node is not None and node.kind is not Kind.NULL:
            return node.kind is (Kind.OBJECT if isinstance(value, dict) else Kind.LIST)
        return not self.is_map(value, depth) and not self.stays_json(key, above)
