"""Render the JSON Schema of the deliveries file as one table of settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

Schema = dict[str, Any]
_BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
}


def settings_table(schema: Schema) -> str:
    """Render every setting of a delivery with its default and description.

    Args:
        schema: a JSON Schema of the file, as pydantic makes it: a mapping `deliveries` of name to settings.
    """
    definitions = schema.get("$defs", {})
    delivery = schema.get("properties", {}).get("deliveries", {}).get("additionalProperties", schema)
    rows = _rows(delivery, "", definitions)
    return "\n".join(["| setting | default | meaning |", "|---|---|---|", *rows, ""])


def _objects(schema: Schema, definitions: Schema) -> list[Schema]:
    """List the objects that a schema allows, each once: through references, alternatives and lists."""
    if "$ref" in schema:
        return _objects(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "properties" in schema:
        return [schema]
    parts = [each for word in ("anyOf", "oneOf", "allOf") for each in schema.get(word, [])]
    parts += [schema["items"]] if "items" in schema else []
    objects: list[Schema] = []
    for found in (found for each in parts for found in _objects(each, definitions)):
        objects += [found] if found not in objects else []
    return objects


def _rows(schema: Schema, prefix: str, definitions: Schema) -> Iterator[str]:
    """Yield the rows of an object; if it has alternatives, their common rows come first."""
    tables = [
        (found.get("title", ""), list(_rows_of(found, prefix, definitions))) for found in _objects(schema, definitions)
    ]
    common = [row for row in tables[0][1] if all(row in rows for _, rows in tables)] if tables else []
    yield from common
    for title, rows in tables:
        own = [row for row in rows if row not in common]
        if own and len(tables) > 1:
            yield f"| *{title}* | | |"
        yield from own


def _rows_of(schema: Schema, prefix: str, definitions: Schema) -> Iterator[str]:
    required = schema.get("required", [])
    for name, setting in schema["properties"].items():
        default = "required" if name in required else _default(setting)
        yield f"| `{prefix}{name}` | {default} | {_meaning(setting, definitions)} |"
        yield from _rows(setting, f"{prefix}{name}.", definitions)


def _default(setting: Schema) -> str:
    value = setting.get("default")
    if value is None or value in ("", [], {}):
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(f"`{item}`" for item in value)
    if isinstance(value, float):
        return f"{value:g}"
    return f"`{value}`" if isinstance(value, str) else "see there" if isinstance(value, dict) else str(value)


def _meaning(setting: Schema, definitions: Schema) -> str:
    parts = [setting.get("description", "")]
    choices = _choices(setting, definitions)
    if choices:
        parts.append(" or ".join(f"`{choice}`" for choice in choices))
    parts += [text.format(value) for word, text in _BOUNDS.items() for value in _values(setting, word)]
    return "; ".join(" ".join(part.split()).replace("|", "\\|").rstrip(".") for part in parts if part)


def _values(setting: Schema, word: str) -> list[Any]:
    """List the values of a keyword in a setting and in its alternatives (such as `anyOf`)."""
    return [each[word] for each in (setting, *setting.get("anyOf", [])) if word in each]


def _choices(setting: Schema, definitions: Schema) -> list[Any]:
    found: list[Any] = []
    for each in (setting, *setting.get("anyOf", []), *setting.get("allOf", [])):
        named = definitions.get(each.get("$ref", "").rpartition("/")[2], each)
        found += named.get("enum", []) + ([named["const"]] if "const" in named else [])
    return found
