"""The inferred contract of one event type: a tree of JSON paths and the one kind each of them has.

The first kind seen at a path stands for good; the only widening is int to decimal, and it has every hour that
holds the event type built anew. A value of another kind does not fail and is not lost: it goes to `_rescued`.
Columns are added, never retyped otherwise, so files written years apart still read together. Contracts are learned
when a file is landed, before anything is flattened.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pismo_lake.exact_json import DuplicateKeys
from pismo_lake.naming import distinct_segment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_DEPTH = 12
"""Objects nested deeper below `data` than this stay JSON text."""

MAX_COLUMNS = 1500
"""An event type gets no more columns than this; further keys go to `_rescued`."""

INT64_MIN, INT64_MAX = -(1 << 63), (1 << 63) - 1
# pyarrow's JSON reader lets 21 integer digits into decimal128(38, 18) unnoticed; such values take the exact road.
DECIMAL_LIMIT = 1e20


class Kind(StrEnum):
    """What a path holds. `NULL`: seen, but never with a value."""

    NULL = "null"
    BOOL = "bool"
    INT = "int"
    DECIMAL = "decimal"
    STRING = "string"
    JSON = "json"
    OBJECT = "object"
    LIST = "list"


@dataclass(slots=True)
class Node:
    """One path: its kind, its column segment, its fields (objects) or its items (lists), whether it was int before."""

    kind: Kind = Kind.NULL
    segment: str = ""
    fields: dict[str, Node] = field(default_factory=dict)
    item: Node | None = None
    widened: bool = False

    @property
    def typed(self) -> bool:
        """Whether the path has a column yet: untyped nulls, `[]` and `{}` have none."""
        if self.kind is Kind.OBJECT:
            return any(child.typed for child in self.fields.values())
        if self.kind is Kind.LIST:
            return self.item is not None and self.item.typed
        return self.kind is not Kind.NULL

    def to_json(self) -> dict[str, Any]:
        """A plain tree for storage; `from_json` gives the node back."""
        tree: dict[str, Any] = {"kind": self.kind.value, "segment": self.segment}
        if self.fields:
            tree["fields"] = {key: child.to_json() for key, child in self.fields.items()}
        if self.item is not None:
            tree["item"] = self.item.to_json()
        if self.widened:
            tree["widened"] = True
        return tree

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> Node:
        """Inverse of `to_json`."""
        item = tree.get("item")
        return cls(
            Kind(tree["kind"]),
            tree["segment"],
            {key: cls.from_json(child) for key, child in tree.get("fields", {}).items()},
            None if item is None else cls.from_json(item),
            bool(tree.get("widened")),
        )


@dataclass(frozen=True, slots=True)
class Change:
    """One step of a contract's evolution: a path that came, got its kind, or widened."""

    path: str
    before: str
    after: str

    @property
    def widens(self) -> bool:
        """Whether columns that stand in the lake already change their type."""
        return self.before == Kind.INT and self.after == Kind.DECIMAL


class Contract:
    """What one event type's payload (`data`) and extra envelope keys (`envelope`) look like so far."""

    def __init__(
        self,
        data: Node | None = None,
        envelope: Node | None = None,
        *,
        free_form: frozenset[str],
        decimals: str,
    ) -> None:
        self.data = data or Node(Kind.OBJECT, "data")
        self.envelope = envelope or Node(Kind.OBJECT, "envelope")
        self.changes: list[Change] = []
        self.revision = 0
        self._free_form = free_form
        self._decimals = re.compile(decimals)
        self._columns = sum(1 for _ in _leaves(self.data)) + sum(1 for _ in _leaves(self.envelope))

    def to_json(self) -> dict[str, Any]:
        """Storage form, see `Node.to_json`."""
        return {"data": self.data.to_json(), "envelope": self.envelope.to_json()}

    def widened(self) -> tuple[str, ...]:
        """The paths that were int64 columns and are decimal now."""
        return (*_widened(self.data, "/data"), *_widened(self.envelope, ""))

    @classmethod
    def from_json(cls, tree: Mapping[str, Any], *, free_form: frozenset[str], decimals: str) -> Contract:
        """Inverse of `to_json`."""
        return cls(
            Node.from_json(tree["data"]),
            Node.from_json(tree["envelope"]),
            free_form=free_form,
            decimals=decimals,
        )

    def learn(self, data: Any, extras: Mapping[str, Any]) -> bool:
        """Take one event in; False where the event does not fit plainly and needs the exact road.

        `data` is the parsed payload (floats may stand for decimals here: only kinds are learned).
        """
        regular = data is None or (isinstance(data, dict) and self._learn_object(self.data, data, "/data", 1))
        return self._learn_object(self.envelope, extras, "", 1) and regular if extras else regular

    def _learn_object(self, node: Node, value: Mapping[str, Any], path: str, depth: int) -> bool:
        regular = bool(value) and not isinstance(value, DuplicateKeys)
        fields = node.fields
        for key, item in value.items():
            child = fields.get(key)
            if child is None:
                child = self._add(node, key, item, path)
                if child is None:
                    regular = False
                    continue
            if item is not None and not self._learn(child, item, key, path, depth):
                regular = False
        return regular

    def _add(self, node: Node, key: str, value: Any, path: str) -> Node | None:
        if self._columns >= MAX_COLUMNS or not key.isprintable():
            return None
        taken = {child.segment.casefold() for child in node.fields.values()}
        child = Node(Kind.NULL, distinct_segment(key, taken))
        node.fields[key] = child
        self._columns += 1
        self.revision += 1
        if value is None:
            self.changes.append(Change(f"{path}/{key}", "", Kind.NULL))
        return child

    def _learn(self, node: Node, value: Any, key: str, path: str, depth: int) -> bool:
        kind = node.kind
        seen = type(value)
        if kind is Kind.NULL and key in self._free_form:
            self._become(node, Kind.JSON, key, path)
            return False
        if seen is str:
            return kind is Kind.STRING or (kind is Kind.NULL and self._become(node, Kind.STRING, key, path))
        if seen is int or seen is float or seen is Decimal:
            return self._learn_number(node, value, key, path)
        if seen is bool:
            return kind is Kind.BOOL or (kind is Kind.NULL and self._become(node, Kind.BOOL, key, path))
        if kind is Kind.NULL:
            self._become(node, self._container(value, depth), key, path)
            kind = node.kind
        if kind is Kind.OBJECT and isinstance(value, dict):
            return self._learn_object(node, value, f"{path}/{key}", depth + 1)
        if kind is Kind.LIST and seen is list:
            return self._learn_items(node, value, key, path, depth)
        return False

    def _learn_items(self, node: Node, values: list[Any], key: str, path: str, depth: int) -> bool:
        if node.item is None:
            node.item = Node(Kind.NULL, "item")
            self.revision += 1
        regular = True
        for value in values:
            if value is not None and not self._learn(node.item, value, key, f"{path}/{key}/*", depth + 1):
                regular = False
        return regular and node.item.typed

    def _learn_number(self, node: Node, value: Any, key: str, path: str) -> bool:
        kind = node.kind
        whole = type(value) is int and INT64_MIN <= value <= INT64_MAX
        if kind is Kind.INT and whole:
            return True
        if kind is Kind.NULL:
            decimal = not whole or self._decimals.search(key) is not None
            self._become(node, Kind.DECIMAL if decimal else Kind.INT, key, path)
        elif kind is Kind.INT:
            self._become(node, Kind.DECIMAL, key, path)
        elif kind is not Kind.DECIMAL:
            return False
        return bool(whole or -DECIMAL_LIMIT < value < DECIMAL_LIMIT)

    @staticmethod
    def _container(value: Any, depth: int) -> Kind:
        if depth >= MAX_DEPTH:
            return Kind.JSON
        return Kind.OBJECT if isinstance(value, dict) else Kind.LIST

    def _become(self, node: Node, kind: Kind, key: str, path: str) -> bool:
        self.changes.append(Change(f"{path}/{key}", "" if node.kind is Kind.NULL else node.kind, kind))
        node.widened |= self.changes[-1].widens
        node.kind = kind
        self.revision += 1
        return True


def _leaves(node: Node) -> Iterator[Node]:
    for child in node.fields.values():
        if child.kind is Kind.OBJECT:
            yield from _leaves(child)
        yield child
        if child.item is not None:
            yield from _leaves(child.item)


def _widened(node: Node, path: str) -> Iterator[str]:
    if node.widened:
        yield path
    for key, child in node.fields.items():
        yield from _widened(child, f"{path}/{key}")
    if node.item is not None:
        yield from _widened(node.item, f"{path}/*")
