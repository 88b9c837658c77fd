"""Keep the contract of one event type: a tree of JSON paths, with one kind for each.

It is inferred, or it begins as a JSON Schema says. A path's kind is set by its first value and never changes, except
that an integer becomes decimal when a fraction arrives; then every hour with the event type is built again. A value of
another kind does not fail and is not lost: it is kept in `_rescued`. Columns are added, and change no type otherwise,
so files written years apart can be read together. Contracts learn when a file is indexed, before its events are
flattened.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pismo_lake.contracts.names import distinct_segment
from pismo_lake.contracts.sparse import LearnedList
from pismo_lake.contracts.tree import MAX_COLUMNS, Kind, Node, extends, has_new_lists, leaves, widened_paths
from pismo_lake.decode.exact_json import DuplicateKeys, Unbounded
from pismo_lake.settings.contracts import EVOLVING, ContractRules, Mode

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_DEPTH = 12
"""Objects that are nested deeper below `data` stay JSON text."""

MAX_KEYS = 300
"""An object with more keys is a map and stays JSON text; an object that grows beyond this gets no further fields."""

MAX_NOTED = 500
"""The most oddities of an event type that are recorded as changes; the others are only counted as rescued values."""

INT64_MIN, INT64_MAX = -(1 << 63), (1 << 63) - 1
# pyarrow's JSON reader accepts 21 integer digits in decimal128(38, 18): such values take the slow path.
DECIMAL_LIMIT = 1e20
_NUMBERS = frozenset({int, float, Decimal, Unbounded})
_WORDS = {
    str: "string", bool: "bool", int: "int", float: "decimal", Decimal: "decimal", Unbounded: "decimal", list: "list",
    dict: "object", DuplicateKeys: "object",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Change:
    """One step of a contract's evolution: a new path, its kind, its widening, or a misfit value.

    `after` is the kind, or ``rescued <kind>``, ``discarded <kind>`` or ``closed list``. `offset` is the event's; None
    for a schema's change.
    """

    path: str
    before: str
    after: str
    offset: int | None = None

    @property
    def widens(self) -> bool:
        """Whether columns in the lake change their type."""
        return self.before == Kind.INT and self.after == Kind.DECIMAL


class Contract:
    """The columns of one event type so far: its payload (`data`), and extra envelope keys."""

    def __init__(
        self,
        data: Node | None = None,
        envelope: Node | None = None,
        *,
        free_form: frozenset[str],
        decimals: str,
        rules: ContractRules = EVOLVING,
        event: str = "",
    ) -> None:
        self.data = data or Node(Kind.OBJECT, "data")
        self.envelope = envelope or Node(Kind.OBJECT, "envelope")
        self.changes: list[Change] = []
        self.noted: set[str] = set()
        self.revision = 0
        self.mode = rules.mode_of(event)
        self.rules, self._free_form = rules, free_form
        self._decimals = re.compile(decimals)
        self._columns = sum(1 for _ in leaves(self.data)) + sum(1 for _ in leaves(self.envelope))
        self._offset: int | None = None
        self._list: LearnedList | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the form for storage, see `Node.to_json`; `noted` are the recorded oddities."""
        tree: dict[str, Any] = {"data": self.data.to_json(), "envelope": self.envelope.to_json()}
        return tree | {"noted": sorted(self.noted)} if self.noted else tree

    def find_widened(self) -> tuple[str, ...]:
        """Return the paths that were int64 columns and are decimal now."""
        return (*widened_paths(self.data, "/data"), *widened_paths(self.envelope, ""))

    def extends(self, older: Contract) -> bool:
        """Return whether it has all of an older contract unchanged; it may have new paths and oddities."""
        trees = ((self.data, older.data), (self.envelope, older.envelope))
        return older.noted <= self.noted and all(extends(*pair) for pair in trees)

    def has_new_lists(self, older: Contract) -> bool:
        """Return whether it has a list that an older contract lacks."""
        return has_new_lists(self.data, older.data) or has_new_lists(self.envelope, older.envelope)

    @classmethod
    def from_json(cls, tree: Mapping[str, Any], **options: Any) -> Contract:
        """Return the contract of a `to_json` tree; an empty tree gives an empty contract.

        `options` are those of the constructor.
        """
        data, envelope = (Node.from_json(tree[part]) if part in tree else None for part in ("data", "envelope"))
        contract = cls(data, envelope, **options)
        contract.noted = set(tree.get("noted", ()))
        return contract

    def declare(self, declared: Node) -> list[Change]:
        """Add a schema's columns; return the paths whose kind is already another one and stays."""
        conflicts: list[Change] = []
        self._offset = None
        self._agree(self.data, declared, "data", "", conflicts)
        return conflicts

    def _agree(self, node: Node, declared: Node, key: str, path: str, conflicts: list[Change]) -> None:
        kinds = (node.kind, declared.kind)
        if declared.kind is Kind.NULL:
            return
        if node.kind is Kind.NULL or kinds == (Kind.INT, Kind.DECIMAL):
            self._become(node, declared.kind, key, path)
        elif kinds != (Kind.DECIMAL, Kind.INT) and node.kind is not declared.kind:
            conflicts.append(Change(f"{path}/{key}", node.kind, declared.kind))
            return
        if node.kind is Kind.STRING:
            self._agree_on_format(node, declared.format, f"{path}/{key}", conflicts)
        for name, child in declared.fields.items():
            known = node.fields.get(name) or self._new(node, name)
            if known is not None:
                self._agree(known, child, name, f"{path}/{key}", conflicts)
        if declared.item is not None:
            node.item = node.item or self._item()
            self._agree(node.item, declared.item, "*", f"{path}/{key}", conflicts)

    def _agree_on_format(self, node: Node, declared: str, path: str, conflicts: list[Change]) -> None:
        """Give a text its typed column; files of the lake may have one already, which keeps its type."""
        if node.format and declared not in {node.format, ""}:
            conflicts.append(Change(path, f"{Kind.STRING} {node.format}", f"{Kind.STRING} {declared}"))
        elif declared and not node.format:
            if not self._is_new(path):
                self.changes.append(Change(path, "", f"{Kind.STRING} {declared}", self._offset))
            node.format = declared

    def _is_new(self, path: str) -> bool:
        """Return whether the last change is that this path got its kind."""
        return bool(self.changes) and self.changes[-1].path == path

    def learn(self, data: Any, extras: Mapping[str, Any], offset: int | None = None) -> bool:
        """Learn from one event; return False if it does not fit plainly and needs the slow path.

        `data` is the parsed payload; decimals may be floats, since only kinds are learned. `offset` is the event's
        place in its file.
        """
        self._offset, self._list = offset, None
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
        if self.mode is not Mode.EVOLVE or len(node.fields) >= MAX_KEYS or self._close_if_sparse():
            self._note(path, key, "", value)
            return None
        child = self._new(node, key)
        if child is not None and value is None:
            self.changes.append(Change(f"{path}/{key}", "", Kind.NULL, self._offset))
        return child

    def _new(self, node: Node, key: str) -> Node | None:
        if self._columns >= MAX_COLUMNS or not key.isprintable():
            return None
        taken = {child.segment.casefold() for child in node.fields.values()}
        node.fields[key] = child = Node(Kind.NULL, distinct_segment(key, taken))
        self._columns += 1
        self.revision += 1
        return child

    def _item(self) -> Node:
        self.revision += 1
        return Node(Kind.NULL, "item")

    def _note(self, path: str, key: str, before: str, value: Any) -> bool:
        """Record, once, a value that gets no column; always return False."""
        verb = "discarded" if not before and self.mode is Mode.DISCARD else "rescued"
        change = Change(f"{path}/{key}", before, f"{verb} {_WORDS.get(type(value), 'null')}", self._offset)
        name = f"{change.path} {change.after}"
        if name not in self.noted and len(self.noted) < MAX_NOTED and key.isprintable():
            self.noted.add(name)
            self.changes.append(change)
        return False

    def _learn(self, node: Node, value: Any, key: str, path: str, depth: int, name: str = "") -> bool:
        """Learn from one value; for an item of a list, `key` is ``*`` and `name` the list's key."""
        kind = node.kind
        seen = type(value)
        if kind is Kind.NULL and self._stays_json(key, path):
            self._become(node, Kind.JSON, key, path)
        if node.kind is Kind.JSON:
            return False
        if seen in _NUMBERS:
            return self._learn_number(node, value, key, path, name or key)
        if kind is Kind.NULL:
            self._become(node, self._kind_of(value, depth), key, path)
            kind = node.kind
        if (seen is str and kind is Kind.STRING) or (seen is bool and kind is Kind.BOOL):
            return True
        if kind is Kind.OBJECT and isinstance(value, dict):
            return self._learn_object(node, value, f"{path}/{key}", depth + 1)
        if kind is Kind.LIST and seen is list:
            return self._learn_items(node, value, f"{path}/{key}", depth, name or key)
        return False if kind is Kind.JSON else self._note(path, key, kind, value)

    def _stays_json(self, key: str, path: str) -> bool:
        return key in self._free_form or (
            bool(self.rules.json_paths)
            and self.rules.is_json(tuple(step for step in (*path.split("/")[2:], key) if step != "*"))
        )

    def _learn_items(self, node: Node, values: list[Any], path: str, depth: int, name: str) -> bool:
        node.item = node.item or self._item()
        outermost = self._list is None
        if outermost:
            self._list = LearnedList(node, path, values, depth, self._stays_json, self._is_map)
        regular = True
        for value in values:
            if value is not None and not self._learn(node.item, value, "*", path, depth + 1, name):
                regular = False
        if outermost:
            self._list = None
        return regular and node.item.typed

    def _close_if_sparse(self) -> bool:
        """Close the list that is learned from if it is sparse; return whether it gets no further fields."""
        found = self._list
        if found is None:
            return False
        if found.closes():
            found.node.closed = True
            self.changes.append(Change(found.path, Kind.LIST, "closed list", self._offset))
            self.revision += 1
        return found.node.closed

    def _learn_number(self, node: Node, value: Any, key: str, path: str, name: str) -> bool:
        kind = node.kind
        whole = type(value) is int and INT64_MIN <= value <= INT64_MAX
        if kind is Kind.INT and whole:
            return True
        if kind is Kind.NULL:
            decimal = not whole or self._decimals.search(name) is not None
            self._become(node, Kind.DECIMAL if decimal else Kind.INT, key, path)
        elif kind is Kind.INT:
            self._become(node, Kind.DECIMAL, key, path)
        elif kind is not Kind.DECIMAL:
            return self._note(path, key, kind, value)
        return bool(whole or -DECIMAL_LIMIT < value < DECIMAL_LIMIT)

    @staticmethod
    def _is_map(value: Any, depth: int) -> bool:
        return depth >= MAX_DEPTH or (isinstance(value, dict) and len(value) > MAX_KEYS)

    def _kind_of(self, value: Any, depth: int) -> Kind:
        if isinstance(value, str | bool):
            return Kind.STRING if isinstance(value, str) else Kind.BOOL
        if self._is_map(value, depth) or self._close_if_sparse():
            return Kind.JSON
        return Kind.OBJECT if isinstance(value, dict) else Kind.LIST

    def _become(self, node: Node, kind: Kind, key: str, path: str) -> None:
        before = "" if node.kind is Kind.NULL else node.kind
        self.changes.append(Change(f"{path}/{key}", before, kind, self._offset))
        node.widened |= self.changes[-1].widens
        node.kind = kind
        self.revision += 1
