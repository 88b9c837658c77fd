"""Read the kinds and texts of paths from a JSON Schema, as nodes of a contract.

A schema defines columns and their kinds. Its other rules are not enforced. Schemas come from elsewhere, so a schema
that is too large, or whose references lead in a circle, is an error and takes no time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Any

from pismo_lake.contracts.contract import MAX_DEPTH
from pismo_lake.contracts.tree import Kind, Node
from pismo_lake.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from referencing._core import Resolver

MOST_PARTS = 20_000
"""The most schemas inside a schema; one that is referred to twice counts twice."""

MOST_LEVELS = 100
"""The most levels of schemas inside a schema."""

_KINDS = {
    "string": Kind.STRING, "integer": Kind.INT, "number": Kind.DECIMAL, "boolean": Kind.BOOL, "object": Kind.OBJECT,
    "array": Kind.LIST,
}  # fmt: skip
_FORMATS = {"date", "date-time"}
_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", dict: "object", list: "array"}
# the segment, in this module, of an object that names none of its keys
_MAP = "map"


@dataclass(frozen=True, slots=True)
class _Place:
    """The place of a schema inside another one.

    Attributes:
        resolver: finds the target of a `$ref`.
        parts: counts the schemas that were read.
        level: the number of schemas around it.
        depth: the level of the value that the schema is about.
        way: the schemas that references led to, from the root on.
        chain: the last ones of them, which are about this same value.
    """

    resolver: Resolver[Any]
    parts: Iterator[int]
    level: int = 0
    depth: int = 0
    way: tuple[int, ...] = ()
    chain: tuple[int, ...] = ()

    def below(self) -> _Place:
        """Return the place of a schema about a value inside this one."""
        return replace(self, level=self.level + 1, depth=self.depth + 1, chain=())

    def beside(self) -> _Place:
        """Return the place of another schema about the same value."""
        return replace(self, level=self.level + 1)


def node_of(document: Any, resolver: Resolver[Any]) -> Node:
    """Return the node of a schema, without its maps.

    Raises:
        ConfigError: it has an unknown type, too many parts, or a reference that leads only back to itself.
    """
    return _close_maps(_node(document, _Place(resolver, count(1))))


def _close_maps(node: Node) -> Node:
    """Return the node with its maps, which have no keys of their own, as JSON text."""
    for key, child in node.fields.items():
        node.fields[key] = _close_maps(child)
    if node.item is not None:
        node.item = _close_maps(node.item)
    return Node(Kind.JSON, about=node.about) if node.segment == _MAP and not node.fields else node


def _node(schema: Any, place: _Place) -> Node:
    if next(place.parts) > MOST_PARTS or place.level > MOST_LEVELS:
        msg = f"more than {MOST_PARTS} parts, or more than {MOST_LEVELS} levels"
        raise ConfigError(msg)
    if not isinstance(schema, dict):
        # true and false give no kind
        return Node()
    if "$ref" in schema:
        node = _follow_reference(str(schema["$ref"]), place)
    else:
        node = _own_node(schema, place)
        for other in _alternatives(schema):
            node = _both(node, _node(other, place.beside()))
    node.about = _description(schema) or node.about
    return node


def _description(schema: dict[str, Any]) -> str:
    """Return the text that a schema has about its values, or nothing."""
    return next((text for key in ("description", "title") if isinstance(text := schema.get(key), str) and text), "")


def _follow_reference(reference: str, place: _Place) -> Node:
    found = place.resolver.lookup(reference)
    contents = id(found.contents)
    if contents in place.chain:
        msg = f"$ref {reference} leads only back to itself"
        raise ConfigError(msg)
    if contents in place.way:
        # a value inside it has the same form again: the kinds below are inferred
        return Node()
    there = replace(place.beside(), resolver=found.resolver, way=(*place.way, contents), chain=(*place.chain, contents))
    return _node(found.contents, there)


def _own_node(schema: dict[str, Any], place: _Place) -> Node:
    """Return the node of a schema itself, without the schemas that it combines."""
    types = _types(schema)
    if len(types) > 1:
        return Node(Kind.DECIMAL if types == {"integer", "number"} else Kind.JSON)
    kind = _KINDS[types.pop()] if types else Kind.NULL
    if kind is Kind.OBJECT:
        return _object(schema, place)
    if kind is Kind.LIST:
        if place.depth >= MAX_DEPTH:
            return Node(Kind.JSON)
        items = schema.get("items", True)
        node = Node(Kind.LIST, item=Node())
        for item in items if isinstance(items, list) else [items]:
            node.item = _both(node.item or Node(), _node(item, place.below()))
        return node
    return Node(kind, format=schema["format"] if kind is Kind.STRING and schema.get("format") in _FORMATS else "")


def _object(schema: dict[str, Any], place: _Place) -> Node:
    properties = schema.get("properties", {})
    any_key = schema.get("additionalProperties", True) is not False or "patternProperties" in schema
    if place.depth >= MAX_DEPTH:
        return Node(Kind.JSON)
    fields = {str(key): _node(value, place.below()) for key, value in properties.items()}
    return Node(Kind.OBJECT, _MAP if any_key and not fields else "", fields)


def _types(schema: dict[str, Any]) -> set[str]:
    given = schema.get("type")
    types = set(given if isinstance(given, list) else [given]) - {None, "null"}
    if given is None:
        values = schema.get("enum", [schema["const"]] if "const" in schema else [])
        types = {_TYPES[type(value)] for value in values if value is not None}
        if not types and ("properties" in schema or "patternProperties" in schema):
            types = {"object"}
        elif not types and "items" in schema:
            types = {"array"}
    unknown = types - _KINDS.keys()
    if unknown:
        msg = f"unknown type {', '.join(map(str, unknown))}"
        raise ConfigError(msg)
    return types


def _alternatives(schema: dict[str, Any]) -> Iterator[Any]:
    for key in ("allOf", "anyOf", "oneOf"):
        listed: Iterable[Any] = schema.get(key, ())
        yield from listed
    yield from (schema[key] for key in ("then", "else") if key in schema)


def _both(one: Node, other: Node) -> Node:
    """Return a node that accepts the values of both, with the first description.

    Objects get the fields of both; kinds that differ become JSON text.
    """
    node = _unite(one, other)
    node.about = one.about or other.about
    return node


def _unite(one: Node, other: Node) -> Node:
    if Kind.NULL in {one.kind, other.kind}:
        return other if one.kind is Kind.NULL else one
    kinds = {one.kind, other.kind}
    if kinds == {Kind.OBJECT}:
        fields = dict(one.fields)
        for name, field in other.fields.items():
            fields[name] = _both(fields[name], field) if name in fields else field
        return Node(Kind.OBJECT, one.segment and other.segment, fields)
    if kinds == {Kind.LIST}:
        return Node(Kind.LIST, item=_both(one.item or Node(), other.item or Node()))
    if kinds <= {Kind.INT, Kind.DECIMAL}:
        return Node(Kind.DECIMAL if Kind.DECIMAL in kinds else Kind.INT)
    if len(kinds) > 1:
        return Node(Kind.JSON)
    return Node(one.kind, format=one.format if one.format == other.format else "")
