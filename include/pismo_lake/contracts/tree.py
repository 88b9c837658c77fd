"""Define the tree of a contract: one node for each JSON path."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_COLUMNS = 1500
"""The most columns of an event type; values of further keys are kept in `_rescued`."""

_OWN = ("kind", "segment", "widened", "format", "closed")


class Kind(StrEnum):
    """The kind of a path's values. `NULL`: the path was seen, but never with a value."""

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
    """One path: its kind, its column segment, its fields (objects) or its item (lists).

    `widened` paths were int before. `format` is a schema's format of a string: ``date`` or ``date-time``. `about` is a
    schema's description of the path; contracts do not store it. `closed` lists were sparse once: their items learn no
    further fields.
    """

    kind: Kind = Kind.NULL
    segment: str = ""
    fields: dict[str, Node] = field(default_factory=dict)
    item: Node | None = None
    widened: bool = False
    format: str = ""
    about: str = field(default="", compare=False)
    closed: bool = False

    @property
    def typed(self) -> bool:
        """Whether the path has a column yet: `[]`, `{}` and paths with only nulls have none."""
        if self.kind is Kind.OBJECT:
            return any(child.typed for child in self.fields.values())
        if self.kind is Kind.LIST:
            return self.item is not None and self.item.typed
        return self.kind is not Kind.NULL

    def to_json(self) -> dict[str, Any]:
        """Return a plain tree for storage; `from_json` reads it."""
        tree: dict[str, Any] = {"kind": self.kind.value, "segment": self.segment}
        if self.fields:
            tree["fields"] = {key: child.to_json() for key, child in self.fields.items()}
        if self.item is not None:
            tree["item"] = self.item.to_json()
        if self.widened:
            tree["widened"] = True
        if self.format:
            tree["format"] = self.format
        if self.closed:
            tree["closed"] = True
        return tree

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> Node:
        """Return the node of a `to_json` tree."""
        item = tree.get("item")
        return cls(
            Kind(tree["kind"]),
            tree["segment"],
            {key: cls.from_json(child) for key, child in tree.get("fields", {}).items()},
            None if item is None else cls.from_json(item),
            bool(tree.get("widened")),
            str(tree.get("format", "")),
            closed=bool(tree.get("closed")),
        )


def extends(node: Node, older: Node) -> bool:
    """Return whether a tree has all paths of an older one unchanged; it may have more fields.

    An event that taught the older tree nothing then has the same meaning under both: it has none of the new fields.
    """
    same = all(getattr(node, name) == getattr(older, name) for name in _OWN)
    # whether an event with an empty list fits depends on the type of the items
    if not same or (node.kind is Kind.LIST and node.typed != older.typed):
        return False
    if node.item is not older.item and not (node.item and older.item and extends(node.item, older.item)):
        return False
    return all(key in node.fields and extends(node.fields[key], child) for key, child in older.fields.items())


def has_new_lists(node: Node, older: Node | None) -> bool:
    """Return whether a tree has a list that an older tree lacks."""
    if older is None and node.kind is Kind.LIST:
        return True
    known = {} if older is None else older.fields
    return any(has_new_lists(child, known.get(key)) for key, child in node.fields.items()) or (
        node.item is not None and has_new_lists(node.item, None if older is None else older.item)
    )


def leaves(node: Node) -> Iterator[Node]:
    """Yield every node below a node: its fields and their items, at any depth."""
    for child in node.fields.values():
        yield from leaves(child)
        yield child
    if node.item is not None:
        yield from leaves(node.item)


def widened_paths(node: Node, path: str) -> Iterator[str]:
    """Yield the paths, from `path` on, that were int and are decimal now."""
    if node.widened:
        yield path
    for key, child in node.fields.items():
        yield from widened_paths(child, f"{path}/{key}")
    if node.item is not None:
        yield from widened_paths(node.item, f"{path}/*")
