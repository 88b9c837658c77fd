"""Validate settings with their pydantic model; errors use the terms of the deliveries file."""

from __future__ import annotations

import dataclasses
import re
from enum import EnumType
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError

from pismo_lake.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

Model = TypeVar("Model")

LINES = "__lines__"
"""The key under which the YAML loader keeps the line of each key of a mapping."""

_EXPECTED = {"bool": "true or false", "string": "text", "int": "a number", "float": "a number", "finite": "a number"}
_RANGE = {"greater_than_equal", "less_than_equal", "greater_than", "less_than"}
_UNKNOWN = "unexpected_keyword_argument"


class SettingError(ConfigError):
    """A setting is wrong; `line` is its line in the deliveries file, if it is known."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


def validate(model: type[Model], values: Mapping[str, Any], prefix: str = "", line: int | None = None) -> Model:
    """Make a model of a mapping; settings that are null keep their defaults.

    Args:
        model: a pydantic dataclass.
        values: the mapping, with the lines of its keys under `LINES` if they are known.
        prefix: the path of the mapping in its delivery, for example ``source.``.
        line: the line of the mapping itself.

    Raises:
        SettingError: a setting is unknown, missing or wrong. The message names it.
    """
    lines = values.get(LINES, {})
    given = {key: value for key, value in values.items() if key != LINES and value is not None}
    try:
        made: Model = _adapter(model).validate_python(given)
    except ValidationError as error:
        # report one error, an unknown setting first: a misspelt name explains the missing one
        first = min(error.errors(include_url=False), key=lambda found: found["type"] != _UNKNOWN)
        name = str(first["loc"][0]) if first["loc"] else ""
        raise SettingError(_describe(model, first, prefix, name), lines.get(name) or line) from None
    return made


def list_required(model: type[Any]) -> list[str]:
    """Return the names of the settings that have no default."""
    return list(_adapter(model).json_schema().get("required", []))


_ADAPTERS: dict[str, TypeAdapter[Any]] = {}


def _adapter(model: type[Any]) -> TypeAdapter[Any]:
    if model.__name__ not in _ADAPTERS:
        _ADAPTERS[model.__name__] = TypeAdapter(model)
    return _ADAPTERS[model.__name__]


def _describe(model: type[Any], error: ErrorDetails, prefix: str, name: str) -> str:
    kind, path = error["type"], f"{prefix}{name}"
    if not name:
        return str(error["ctx"]["error"])
    if kind == _UNKNOWN:
        allowed = sorted(field.name for field in dataclasses.fields(model) if field.name != "name")
        return f"unknown setting {path}, allowed: {', '.join(allowed)}"
    if kind == "missing":
        return f"{path} is missing{_choices(model, name)}"
    value = error["input"]
    if kind == "enum":
        allowed = re.findall(r"'([^']*)'", error["ctx"]["expected"])
        return f"{path} is {value!r}, allowed: {', '.join(allowed)}"
    if kind in _RANGE:
        return f"{path} must be {_range(model, name)}"
    wanted = next((text for start, text in _EXPECTED.items() if kind.startswith(start)), None)
    if wanted is None:
        wanted = "true or false" if _annotation(model, name) is bool else error["msg"].removeprefix("Value error, ")
        wanted = "a number" if _annotation(model, name) in {int, float} else wanted
    return f"{path} is {value!r}, {wanted.removesuffix(' is expected')} is expected"


def _annotation(model: type[Any], name: str) -> Any:
    wanted = get_type_hints(model)[name]
    return next((kind for kind in get_args(wanted) if kind is not type(None)), wanted)


def _choices(model: type[Any], name: str) -> str:
    kind = _annotation(model, name)
    return f", allowed: {', '.join(kind)}" if isinstance(kind, EnumType) else ""


def _range(model: type[Any], name: str) -> str:
    schema = _adapter(model).json_schema()["properties"][name]
    bounds = {"minimum", "maximum", "exclusiveMinimum"}
    schema = next((part for part in schema.get("anyOf", ()) if bounds & part.keys()), schema)
    if "exclusiveMinimum" in schema:
        return f"more than {schema['exclusiveMinimum']:g}"
    if "maximum" not in schema:
        return f"{schema['minimum']:g} or more"
    return f"from {schema['minimum']:g} to {schema['maximum']:g}"
