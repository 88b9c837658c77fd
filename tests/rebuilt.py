"""Rebuild payloads from rows of the lake: from columns, `_rescued` and child tables."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from pismo_lake.contracts.columns import Column, payload_columns, struct_fields
from pismo_lake.contracts.lists import child_columns, item_columns
from pismo_lake.contracts.names import column_path
from pismo_lake.contracts.tree import Kind, Node
from pismo_lake.decode.exact_json import loads
from pismo_lake.rows.schema import count_field

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pismo_lake.contracts.contract import Contract

ItemRows = dict[str, dict[str, list[dict[str, Any]]]]
"""Rows of child tables by list column and event id, in the order of their positions."""


def payload_of(row: Mapping[str, Any], contract: Contract, items: ItemRows | None = None) -> Any:
    """Return the payload of a row; absent keys and nulls are equal, and so are repeated keys."""
    out: dict[str, Any] = {}
    apart = {column.name for column in child_columns(contract)} if items is not None else set()
    for column in payload_columns(contract):
        if column.name in apart:
            if row[count_field(column).name] is not None:
                _put(
                    out, column_path(column.name), _listed(column, (items or {})[column.name].get(row["event_id"], []))
                )
        elif row[column.name] is not None:
            _put(out, column_path(column.name), _value(column.node, row[column.name]))
    entries = loads(row["_rescued"]) if row["_rescued"] else []
    # an object before its content; of repeated keys the last value wins, and it has no entry with that reason
    for entry in sorted(entries, key=lambda entry: entry["path"].count("/")):
        if entry["reason"] != "duplicate_key" or entry.get("positions"):
            _rescue(out, entry["path"], entry.get("positions", []), entry["value"])
    return out.get("data")


def plain(value: Any) -> Any:
    """Return a payload from columns: absent keys are null, and so are objects with only nulls."""
    if isinstance(value, dict):
        kept = {key: kept for key, item in value.items() if (kept := plain(item)) is not None}
        return kept if kept or not value else None
    return [plain(item) for item in value] if isinstance(value, list) else value


def item_rows(tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> ItemRows:
    """Rows of child tables, given by list column, in order."""
    found: ItemRows = {}
    for name, rows in tables.items():
        found[name] = defaultdict(list)
        for row in sorted(rows, key=lambda row: row["position"]):
            mine = found[name][row["event_id"]]
            assert row["position"] == len(mine)
            mine.append(dict(row))
    return found


def _listed(column: Column, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    columns = item_columns(column)
    if column.node.item is not None and column.node.item.kind is not Kind.OBJECT:
        return [None if row[column.name] is None else _value(columns[0].node, row[column.name]) for row in rows]
    depth = len(column_path(column.name))
    found = []
    for row in rows:
        struct: dict[str, Any] = {}
        for item in columns:
            if row[item.name] is not None:
                _put(struct, column_path(item.name)[depth:], _value(item.node, row[item.name]))
        found.append(struct or None)
    return found


def _value(node: Node, value: Any) -> Any:
    if node.kind is Kind.JSON:
        return loads(value)
    if node.kind is Kind.LIST and node.item is not None:
        return [None if item is None else _value(node.item, item) for item in value]
    if node.kind is Kind.OBJECT:
        values = ((key, child, value[child.segment]) for key, child in struct_fields(node))
        kept = {key: _value(child, item) for key, child, item in values if item is not None}
        return {key: item for key, item in kept.items() if item is not None} or None
    return value


def _put(into: dict[str, Any], keys: Sequence[str], value: Any) -> None:
    for key in keys[:-1]:
        into = into.setdefault(key, {})
    into[keys[-1]] = value


def _rescue(into: Any, path: str, positions: Sequence[int], value: Any) -> None:
    steps: list[Any] = [step.replace("~1", "/").replace("~0", "~") for step in path.removeprefix("/").split("/")]
    for at in positions:
        steps[at] = int(steps[at])
    for step, following in pairwise(steps):
        if isinstance(step, str):
            into = into.setdefault(step, [] if isinstance(following, int) else {})
        else:
            # an item of which nothing fits is null in its column
            into[step] = {} if into[step] is None else into[step]
            into = into[step]
    into[steps[-1]] = value
