"""Describe the columns of the lake for people: path, source of the type, and the effect of the privacy policy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa

from pismo_lake.contracts.columns import Column, payload_columns, struct_fields
from pismo_lake.contracts.describe import declared_node, source_of_type
from pismo_lake.contracts.lists import child_columns, item_columns
from pismo_lake.contracts.tree import Kind, Node
from pismo_lake.ddl.texts import json_pointer, one_line, shorten
from pismo_lake.decode.fields import ENVELOPE, TIME_COLUMN
from pismo_lake.privacy.columns import NOTE, protect_field
from pismo_lake.rows.schema import (
    EVENT_COLUMNS,
    POSITION,
    REJECTS_SCHEMA,
    REPORTS_SCHEMA,
    SOURCE_SCHEMA,
    count_field,
    lake_schema,
    typed_columns,
)
from pismo_lake.settings.rules import Action

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pismo_lake.contracts.contract import Contract
    from pismo_lake.settings.privacy import Privacy

FIXED = "fixed"
"""The source of a type that is the same for every event type."""

_SOURCES = {"declared": "declared by the schema", "inferred": "inferred from events"}
_DONE = {
    Action.DROP: "removed",
    Action.MASK: "masked",
    Action.HASH: "hashed",
    Action.YEAR: "reduced to the year",
    Action.MONTH: "reduced to the month",
    Action.DECADE: "reduced to the decade",
}
_ABOUT = {
    "event_date": "The date of the event. It is in the path of the file.",
    "event_id": "The id of the event.",
    "org_id": "The organisation of the event.",
    "cid": "The correlation id. Several events can have the same one.",
    "schema_version": "The version of the event type, as text.",
    "event_type_text": "The event type as Pismo sent it.",
    "event_timestamp": "The time of the event in UTC. It is null if the text is no time with a zone.",
    "event_timestamp_text": "The time of the event as Pismo sent it.",
    "position": "The position of the item in its list, from 0.",
    "_source_delivery": "The delivery that brought the event.",
    "_source_file": "The file that the event comes from.",
    "_source_offset": "The byte at which the event begins in the uncompressed file.",
    "_rescued": "The values that fit no column: a JSON array of path, reason and value.",
}
_ABOUT_REJECTS = {
    "publish_date": "The publish date of the file. It is in the path of the file.",
    "delivery": "The delivery that brought the file.",
    "source_file": "The file that the bytes come from.",
    "source_offset": "The byte at which they begin in the uncompressed file.",
    "length": "The number of the bytes.",
    "reason": "The reason that they are no row of an event.",
    "event_id": "The id of the event, if it could be read.",
    "raw": "The bytes. They are null under a privacy policy.",
}
_ABOUT_REPORTS = {
    "publish_date": "The publish date that the report is about. It is in the path of the file.",
    "delivery": "The delivery that the report is about.",
    "section": "The part of the report: day, verdict, hour, event_type, lateness, rejects and others.",
    "name": "The thing that is counted: an hour, an event type, a reason.",
    "metric": "The name of the number.",
    "value": "The number. A metric that is yes or no has 1 or 0.",
}
_PATHS = {field.lake_column: json_pointer((field.key,)) for field in ENVELOPE if field.lake_column} | {
    TIME_COLUMN: json_pointer(("timestamp",))
}


@dataclass(frozen=True, slots=True)
class DescribedColumn:
    """A column for people.

    Attributes:
        path: The JSON pointer of its values in the event; empty if it has none.
        source: The source of its type: ``declared`` by a schema, ``inferred`` from events, or ``fixed``.
        privacy: The effect of the privacy policy, such as ``hashed``; empty if it changed nothing.
        about: A description.
        parts: The fields of the items, if the column is a list.
    """

    name: str
    type: pa.DataType
    path: str = ""
    source: str = FIXED
    privacy: str = ""
    about: str = ""
    parts: tuple[DescribedColumn, ...] = ()

    def comment(self, most: int) -> str:
        """Return all of it but the name and the type, in at most so many bytes; a long description is cut."""
        facts = [f"Path: {self.path}."] if self.path else []
        facts += [f"Type: {_SOURCES.get(self.source, self.source)}."] if self.source != FIXED else []
        facts += [f"Privacy: {self.privacy}."] if self.privacy else []
        said = shorten(" ".join(facts), most)
        room = most - len(said.encode()) - 1
        about = shorten(self.about, room) if room > 0 else ""
        return f"{about} {said}".strip()


def describe_events(
    contract: Contract, declared: Node | None, privacy: Privacy | None, event: str
) -> list[DescribedColumn]:
    """Return the columns of an event type's table, with the date of its path."""
    children = {column.name: column for column in child_columns(contract)}
    schema = lake_schema(contract, privacy, event)
    found = {
        column.name: _describe(column, declared, privacy, event)
        for column in payload_columns(contract)
        if column.name not in children
    }
    for field, column in typed_columns(contract):
        text = found[column.name]
        # typed values come from the texts after the policy
        done = "removed" if text.privacy else ""
        about = one_line(f"{text.about} The text of {column.name} as a value; null if it is none.")
        found[field.name] = replace(text, name=field.name, type=field.type, privacy=done, about=about)
    for column in children.values():
        field, described = count_field(column), _describe(column, declared, privacy, event)
        found[field.name] = replace(
            described, name=field.name, type=field.type, parts=(), privacy=_of_count(column, privacy, event),
            about=one_line(f"{described.about} The number of items, which are rows of a table of their own."),
        )  # fmt: skip
    return [_date(), *(found.get(field.name) or _fixed(field, _ABOUT) for field in schema)]


def describe_items(column: Column, declared: Node | None, privacy: Privacy | None, event: str) -> list[DescribedColumn]:
    """Return the columns of a child table, with the date of its path."""
    items = [_describe(item, declared, privacy, event) for item in item_columns(column)]
    head, tail = ([_fixed(field, _ABOUT) for field in part] for part in ([*EVENT_COLUMNS, POSITION], SOURCE_SCHEMA))
    return [_date(), *head, *items, *tail]


def describe_rejects() -> list[DescribedColumn]:
    """Return the columns of the table of rejects, with the date of its path."""
    return [_fixed(field, _ABOUT_REJECTS) for field in _dated(REJECTS_SCHEMA)]


def describe_reports() -> list[DescribedColumn]:
    """Return the columns of the table of day reports, with the date of its path."""
    return [_fixed(field, _ABOUT_REPORTS) for field in _dated(REPORTS_SCHEMA)]


def _dated(schema: pa.Schema) -> list[pa.Field]:
    return [pa.field("publish_date", pa.date32()), *schema]


def _date() -> DescribedColumn:
    return DescribedColumn("event_date", pa.date32(), about=_ABOUT["event_date"])


def _fixed(field: pa.Field, about: dict[str, str]) -> DescribedColumn:
    path = _PATHS.get(field.name, "") if about is _ABOUT else ""
    return DescribedColumn(field.name, field.type, path, about=about.get(field.name, ""))


def _describe(column: Column, declared: Node | None, privacy: Privacy | None, event: str) -> DescribedColumn:
    field, node = protect_field(column, privacy, event), declared_node(column, declared)
    keys = ("data", *column.keys) if column.name.startswith("data__") else column.keys
    return DescribedColumn(
        column.name, field.type, json_pointer(keys), source_of_type(column, declared), _done(field),
        one_line(node.about) if node else "", tuple(_parts(column, declared, privacy, event)),
    )  # fmt: skip


def _parts(column: Column, declared: Node | None, privacy: Privacy | None, event: str) -> Iterator[DescribedColumn]:
    """Yield the fields of a list's items, and of the lists in them."""
    item = column.node.item
    if column.node.kind is not Kind.LIST or item is None:
        return
    if item.kind is Kind.LIST:
        yield from _parts(replace(column, node=item), declared, privacy, event)
        return
    for key, child in struct_fields(item) if item.kind is Kind.OBJECT else ():
        yield from _fields(
            Column(f"{column.name}[].{child.segment}", (*column.keys, key), child), declared, privacy, event
        )


def _fields(column: Column, declared: Node | None, privacy: Privacy | None, event: str) -> Iterator[DescribedColumn]:
    if column.node.kind is not Kind.OBJECT:
        yield _describe(column, declared, privacy, event)
        return
    for key, child in struct_fields(column.node):
        yield from _fields(
            Column(f"{column.name}.{child.segment}", (*column.keys, key), child), declared, privacy, event
        )


def _done(field: pa.Field) -> str:
    """Return the effect of the policy on a column, in words."""
    actions = (field.metadata or {}).get(NOTE.encode(), b"").decode()
    return ", ".join(_DONE.get(Action(action), action) for action in actions.split(", ") if action)


def _of_count(column: Column, privacy: Privacy | None, event: str) -> str:
    rule = privacy.rule(event, column.keys) if privacy else None
    return "removed" if rule is not None and rule.action is Action.DROP and not rule.values else ""
