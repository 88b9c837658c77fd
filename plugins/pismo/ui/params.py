"""Turn a DAG's Params into the fields of a form, and a form's texts into the Params of a run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markdown_it import MarkdownIt
from markupsafe import Markup

from pismo_lake.errors import ParamsError

if TYPE_CHECKING:
    from collections.abc import Mapping

ON, OFF = "true", "false"
_MARKDOWN = MarkdownIt("commonmark", {"html": False})


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a form: its label and help, how it is filled in, and the DAG's own value.

    `kind` is *switch*, *choice*, *lines*, *number* or *text*.
    """

    name: str
    label: str
    help: Markup
    section: str
    kind: str
    own: Any
    choices: tuple[str, ...] = ()
    example: str = ""

    def text(self, value: Any) -> str:
        """Return a value as the form shows it."""
        if value is None:
            return ""
        if isinstance(value, bool):
            return ON if value else OFF
        return "\n".join(map(str, value)) if isinstance(value, list | tuple) else str(value)

    def value(self, text: str) -> Any:
        """Return the value that a text means; the DAG decides whether it is a valid one."""
        text = text.strip()
        if self.kind == "switch":
            return {ON: True, OFF: False}.get(text, text)
        if self.kind == "lines":
            return [line.strip() for line in text.splitlines() if line.strip()]
        if not text:
            return None
        if self.kind == "number":
            try:
                return json.loads(text)
            except ValueError:
                return text
        return text


def fields_of(params: Mapping[str, tuple[Any, Mapping[str, Any]]]) -> tuple[Field, ...]:
    """Return the fields of a DAG's Params, in its order."""
    return tuple(_field(name, own, schema) for name, (own, schema) in params.items())


def _field(name: str, own: Any, schema: Mapping[str, Any]) -> Field:
    types = schema.get("type", "string")
    types = {types} if isinstance(types, str) else set(types)
    kinds = {"boolean": "switch", "array": "lines", "number": "number", "integer": "number"}
    kind = next((kinds[each] for each in sorted(types & set(kinds))), "choice" if "enum" in schema else "text")
    about = Markup(_MARKDOWN.renderInline(schema.get("description_md") or ""))  # noqa: S704 - HTML in it is escaped
    choices = (ON, OFF) if kind == "switch" else tuple(map(str, schema.get("enum", ())))
    example = str(next(iter(schema.get("examples", ())), ""))
    return Field(name, schema.get("title") or name, about, schema.get("section") or "", kind, own, choices, example)


def conf_of(fields: tuple[Field, ...], texts: Mapping[str, str]) -> dict[str, Any]:
    """Return the Params that texts ask for, without those that have the DAG's own value.

    Raises:
        ParamsError: a text is for a Param that the DAG does not have.
    """
    known = {field.name: field for field in fields}
    unknown = sorted(set(texts) - set(known))
    if unknown:
        msg = f"unknown Param {', '.join(unknown)[:200]}; valid names: {', '.join(known)}"
        raise ParamsError(msg)
    values = {name: known[name].value(text) for name, text in texts.items()}
    return {name: value for name, value in values.items() if value != known[name].own}
