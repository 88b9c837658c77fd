"""Write a data dictionary of a lake: each event type with its columns, as Markdown or HTML."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pismo_lake.ddl.columns import FIXED
from pismo_lake.ddl.tables import families_of
from pismo_lake.ddl.texts import escape_signs
from pismo_lake.ddl.views import describe_rows, describe_table
from pismo_lake.html.render import environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jinja2 import Template

    from pismo_lake.ddl.columns import DescribedColumn
    from pismo_lake.ddl.tables import DescribedTable
    from pismo_lake.settings.privacy import Privacy

FOLDER = Path(__file__).parent
"""The folder of the template `dictionary.html.j2`."""
FILES = {"markdown": "data-dictionary.md", "html": "data-dictionary.html"}
"""The forms of a dictionary, and the name of the file of each."""

_COMMON = (
    "Columns of all event types",
    "Every table of events has these columns. The tables of lists have some of them.",
)
_HEADINGS = ("column", "short name", "type", "path", "source of the type", "privacy", "description")
_MARKS = {sign: f"\\{sign}" for sign in "`*_[]"} | {
    "&": "&amp;", "<": "&lt;", ">": "&gt;", "\\": "&#92;", "|": "&#124;", "~": "&#126;", "$": "&#36;",
}  # fmt: skip
# writers of Markdown differ in the signs that a backslash escapes: those here are in all of them


@dataclass(frozen=True, slots=True)
class Line:
    """One column of a dictionary. Its `short` name is the one in views."""

    column: str
    short: str
    type: str
    path: str
    source: str
    privacy: str
    about: str

    @property
    def cells(self) -> tuple[str, ...]:
        """The values in the order of the headings."""
        return (self.column, self.short, self.type, self.path, self.source, self.privacy, self.about)


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a dictionary: a table of the lake, with the view for all versions of the event type."""

    title: str
    about: str
    names: tuple[tuple[str, str], ...]
    lines: tuple[Line, ...]


def make_sections(tables: Sequence[DescribedTable]) -> list[Section]:
    """Return the sections: columns of all event types, event types in order, rejects, day reports."""
    families = families_of(tables)
    sections = [section for versions in families.values() for section in _sections_of(versions)]
    first = next((table for table in tables if table.is_of_events and not table.item), None)
    if first is not None:
        lines = [line for column in first.columns if _is_common(column) for line in _lines(column, first.shorts)]
        sections.insert(0, Section(*_COMMON, (), tuple(lines)))
    others = [table for table in tables if not table.is_of_events]
    return sections + [
        Section(
            table.name.replace("_", " ").capitalize(), describe_table(table), (("table", table.name),),
            tuple(line for column in table.columns for line in _lines(column, {})),
        )
        for table in others
    ]  # fmt: skip


def describe_policy(privacy: Privacy | None) -> str:
    """Return the name of a policy and its effect on all texts; nothing without a policy."""
    if privacy is None:
        return ""
    name = escape_signs(privacy.name)
    return f"{name}; it masks card numbers in all texts" if privacy.card_numbers else name


def to_json(sections: Sequence[Section]) -> list[dict[str, Any]]:
    """Return sections as plain values."""
    return [
        {
            "title": section.title,
            "description": section.about,
            "names": dict(section.names),
            "columns": [dict(zip(_KEYS, line.cells, strict=True)) for line in section.lines],
        }
        for section in sections
    ]


_KEYS = ("name", "short_name", "type", "path", "source", "privacy", "description")


def to_markdown(sections: Sequence[Section], lake: str, policy: str) -> str:
    """Return the dictionary as Markdown; no text from outside is more than text in it."""
    out = ["# Data dictionary", "", *_head(lake, policy), ""]
    for section in sections:
        out += [f"## {_plain(section.title)}", "", _plain(section.about), ""]
        out += [f"- {kind}: {_plain(name)}" for kind, name in section.names]
        out += ["", f"| {' | '.join(_HEADINGS)} |", f"|{'---|' * len(_HEADINGS)}"]
        out += [f"| {' | '.join(map(_plain, line.cells))} |" for line in section.lines]
        out.append("")
    return "\n".join(out)


def to_html(sections: Sequence[Section], lake: str, policy: str) -> str:
    """Return the dictionary as an HTML document without a script; texts from outside are escaped."""
    return _template().render(sections=sections, headings=_HEADINGS, lake=escape_signs(lake), policy=policy)


def _head(lake: str, policy: str) -> Iterator[str]:
    yield f"Lake: {_plain(escape_signs(lake))}  "
    yield f"Privacy policy: {_plain(policy)}" if policy else "There is no privacy policy."


def _sections_of(versions: Sequence[DescribedTable]) -> Iterator[Section]:
    """Yield a section for each version of an event type, or of a list."""
    for table in versions:
        title = f"{table.domain}/{table.event}{f'-{table.version}' if table.version else ''}"
        lines = [line for column in table.columns if not _is_common(column) for line in _lines(column, table.shorts)]
        yield Section(
            f"{title}, list {table.item}" if table.item else title,
            f"{describe_rows(table)} {table.about}".strip(),
            (("view", table.view), ("view of all versions", table.together), ("table", table.name)),
            tuple(lines),
        )


def _is_common(column: DescribedColumn) -> bool:
    return column.source == FIXED and column.name != "position"


def _lines(column: DescribedColumn, shorts: dict[str, str]) -> Iterator[Line]:
    """Yield the line of a column, and one for each field of its items."""
    short = shorts.get(column.name, "")
    yield Line(column.name, short, _type_text(column.type), column.path, column.source, column.privacy, column.about)
    for part in column.parts:
        yield from _lines(part, {})


def _type_text(kind: pa.DataType) -> str:
    """Return a type in words; the fields of a struct have lines of their own."""
    if pa.types.is_list(kind):
        return f"list of {_type_text(kind.value_type)}"
    return "struct" if pa.types.is_struct(kind) else str(kind)


def _plain(text: str) -> str:
    """Return a text in which Markdown and HTML find no mark."""
    return "".join(_MARKS.get(sign, sign) for sign in text)


@lru_cache(maxsize=1)
def _template() -> Template:
    return environment(FOLDER).get_template("dictionary.html.j2")
