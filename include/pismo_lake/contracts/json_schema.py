"""Read contracts from JSON Schema (draft-07) files, as ``<domain>/<event>-<version>.json``.

Source: Pismo's page "Access Pismo event schemas on GitHub"; its folder `published-event-schemas` can be used
unchanged. A schema defines columns and their kinds. Its other rules are not enforced; the command `contracts check`
reports events that break them.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from pismo_lake.contracts.contract import MAX_DEPTH
from pismo_lake.contracts.tree import Kind, Node
from pismo_lake.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from referencing import Resource
    from referencing._core import Resolver

    from pismo_lake.settings.contracts import ContractRules

SHIPPED = Path(__file__).parent / "shipped"
"""Contracts of the events that Pismo's public pages show whole."""

_KINDS = {
    "string": Kind.STRING, "integer": Kind.INT, "number": Kind.DECIMAL, "boolean": Kind.BOOL, "object": Kind.OBJECT,
    "array": Kind.LIST,
}  # fmt: skip
_FORMATS = {"date", "date-time"}
_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", dict: "object", list: "array"}
# the segment, in this module, of an object that names none of its keys
_MAP = "map"


class SchemaFolder:
    """The schemas below a folder, by their domain and event."""

    def __init__(self, folder: Path) -> None:
        self.root = folder.absolute()
        self._payloads: dict[Path, Node] = {}
        if not self.root.is_dir():
            msg = f"contracts folder {folder} does not exist"
            raise ConfigError(msg)

    @cached_property
    def paths(self) -> dict[tuple[str, str], Path]:
        """The schema files by domain and event with version, folded: Pismo mixes ``-`` and ``_``."""
        return {
            (_fold(path.parent.name), _fold(path.stem)): path
            for path in sorted(self.root.glob("*/*.json"))
            if path.is_file()
        }

    def find(self, domain: str, event: str) -> Path | None:
        """Return the schema file of an event type; None if there is none."""
        return self.paths.get((_fold(domain), _fold(event)))

    def document(self, path: Path) -> Any:
        """Return the content of a schema file."""
        try:
            return orjson.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            msg = f"contract {path}: {error}"
            raise ConfigError(msg) from error

    def payload(self, path: Path) -> Node:
        """Return a schema's payload; the schema may describe only the payload, or the whole event.

        The node is shared.

        Raises:
            ConfigError: the file is not JSON, or no schema, or refers to a missing file.
        """
        if path not in self._payloads:
            self._payloads[path] = self._payload(path)
        return self._payloads[path]

    def _payload(self, path: Path) -> Node:
        # most commands read no schema
        from referencing import Registry, Resource
        from referencing.exceptions import Unresolvable
        from referencing.jsonschema import DRAFT7

        document = self.document(path)
        registry: Any = Registry(retrieve=self.retrieve)  # type: ignore[call-arg]
        base = path.as_uri()
        resource = Resource.from_contents(document, default_specification=DRAFT7)
        resolver = registry.with_resource(base, resource).resolver(base)
        try:
            node = _close_maps(_node(document, resolver, 0, ()))
        except (Unresolvable, ConfigError, RecursionError, AttributeError, TypeError) as error:
            msg = f"contract {path}: {str(error) or type(error).__name__}"
            raise ConfigError(msg) from error
        if "data" in node.fields and node.fields.keys() & {"event_id", "domain", "event_type", "org_id"}:
            about, node = node.about, node.fields["data"]
            node.about = node.about or about
        # a payload without properties is still an object
        return node if node.kind is Kind.OBJECT else Node(Kind.OBJECT, about=node.about)

    def retrieve(self, uri: str) -> Resource[Any]:
        """Return a file that a ``$ref`` names, only from inside the folder, never from a network."""
        from referencing import Resource
        from referencing.jsonschema import DRAFT7

        path = Path(uri.removeprefix("file://"))
        if not uri.startswith("file://") or not path.resolve().is_relative_to(self.root.resolve()):
            msg = f"$ref to {uri}, which is not in {self.root}"
            raise ConfigError(msg)
        return Resource.from_contents(self.document(path), default_specification=DRAFT7)


@lru_cache(maxsize=64)
def schema_folder(folder: Path) -> SchemaFolder:
    """Return the schemas of a folder; a process reads them once."""
    return SchemaFolder(folder)


def schema_folders(rules: ContractRules) -> list[SchemaFolder]:
    """Return the folders that rules name, in order."""
    own = [Path(rules.folder)] if rules.folder else []
    return [schema_folder(folder) for folder in [*own, *([SHIPPED] if rules.shipped else [])]]


def find_schema(folders: Iterable[SchemaFolder], domain: str, event: str) -> tuple[SchemaFolder, Path] | None:
    """Return the first folder with a schema of an event type, and its file; None without any."""
    found = ((folder, folder.find(domain, event)) for folder in folders)
    return next(((folder, path) for folder, path in found if path is not None), None)


def _fold(name: str) -> str:
    return name.casefold().replace("_", "-")


def _close_maps(node: Node) -> Node:
    """Return the node with its maps, which have no keys of their own, as JSON text."""
    for key, child in node.fields.items():
        node.fields[key] = _close_maps(child)
    if node.item is not None:
        node.item = _close_maps(node.item)
    return Node(Kind.JSON, about=node.about) if node.segment == _MAP and not node.fields else node


def _node(schema: Any, resolver: Resolver[Any], depth: int, way: tuple[int, ...]) -> Node:
    if not isinstance(schema, dict):
        # true and false give no kind
        return Node()
    if "$ref" in schema:
        node = _follow_reference(str(schema["$ref"]), resolver, depth, way)
    else:
        node = _own_node(schema, resolver, depth, way)
        for other in _alternatives(schema):
            node = _both(node, _node(other, resolver, depth, way))
    node.about = _description(schema) or node.about
    return node


def _description(schema: dict[str, Any]) -> str:
    """Return the text that a schema has about its values, or nothing."""
    return next((text for key in ("description", "title") if isinstance(text := schema.get(key), str) and text), "")


def _follow_reference(reference: str, resolver: Resolver[Any], depth: int, way: tuple[int, ...]) -> Node:
    found = resolver.lookup(reference)
    if id(found.contents) in way:
        # it refers to itself: the kinds below are inferred
        return Node()
    return _node(found.contents, found.resolver, depth, (*way, id(found.contents)))


def _own_node(schema: dict[str, Any], resolver: Resolver[Any], depth: int, way: tuple[int, ...]) -> Node:
    """Return the node of a schema itself, without the schemas that it combines."""
    types = _types(schema)
    if len(types) > 1:
        return Node(Kind.DECIMAL if types == {"integer", "number"} else Kind.JSON)
    kind = _KINDS[types.pop()] if types else Kind.NULL
    if kind is Kind.OBJECT:
        return _object(schema, resolver, depth, way)
    if kind is Kind.LIST:
        if depth >= MAX_DEPTH:
            return Node(Kind.JSON)
        items = schema.get("items", True)
        node = Node(Kind.LIST, item=Node())
        for item in items if isinstance(items, list) else [items]:
            node.item = _both(node.item or Node(), _node(item, resolver, depth + 1, way))
        return node
    return Node(kind, format=schema["format"] if kind is Kind.STRING and schema.get("format") in _FORMATS else "")


def _object(schema: dict[str, Any], resolver: Resolver[Any], depth: int, way: tuple[int, ...]) -> Node:
    properties = schema.get("properties", {})
    any_key = schema.get("additionalProperties", True) is not False or "patternProperties" in schema
    if depth >= MAX_DEPTH:
        return Node(Kind.JSON)
    fields = {str(key): _node(value, resolver, depth + 1, way) for key, value in properties.items()}
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
        names = dict.fromkeys([*one.fields, *other.fields])
        fields = {name: _both(one.fields.get(name) or Node(), other.fields.get(name) or Node()) for name in names}
        return Node(Kind.OBJECT, one.segment and other.segment, fields)
    if kinds == {Kind.LIST}:
        return Node(Kind.LIST, item=_both(one.item or Node(), other.item or Node()))
    if kinds <= {Kind.INT, Kind.DECIMAL}:
        return Node(Kind.DECIMAL if Kind.DECIMAL in kinds else Kind.INT)
    if len(kinds) > 1:
        return Node(Kind.JSON)
    return Node(one.kind, format=one.format if one.format == other.format else "")
