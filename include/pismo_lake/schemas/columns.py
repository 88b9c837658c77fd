"""Tell the effect of a schema on the columns of a lake, before it is used.

The answer comes from contracts themselves: the saved contract with the present schema, beside the saved contract with
the other one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pismo_lake.contracts.columns import payload_columns
from pismo_lake.contracts.contract import Contract
from pismo_lake.schemas.model import ChangeKind, ColumnChange

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pismo_lake.contracts.tree import Node

_TYPED = {"date": pa.date32(), "date-time": pa.timestamp("us", tz="UTC")}


def column_changes(trees: Iterable[Mapping[str, Any]], present: Node | None, other: Node) -> tuple[ColumnChange, ...]:
    """Return the meaning of another schema for the columns of an event type, sorted by column.

    Args:
        trees: the saved contracts of the event type, one for each lake that has it.
        present: the schema in use; None without one.
        other: the schema that shall be used.
    """
    found = {change for tree in [*trees] or [{}] for change in _compare(tree, present, other)}
    return tuple(sorted(found))


def is_retyping(changes: Iterable[ColumnChange]) -> bool:
    """Return whether a column of a lake would change its type."""
    return any(change.kind is ChangeKind.RETYPED for change in changes)


def _compare(tree: Mapping[str, Any], present: Node | None, other: Node) -> Iterator[ColumnChange]:
    before, known = _declare(tree, present)
    # a lake keeps the columns of the present schema: a pull saves it, because a build may have written it
    after, conflicts = _declare(tree, present, other) if tree else _declare(tree, other)
    for path, ours, theirs in sorted(conflicts - known):
        yield ColumnChange(path, ChangeKind.CONFLICT, ours, theirs)
    had, has = _types(before), _types(after)
    for name in had.keys() | has.keys():
        if name not in had:
            yield ColumnChange(name, ChangeKind.ADDED, after=str(has[name]))
        elif name in has and had[name] != has[name]:
            same = _is_extended(had[name], has[name])
            kind = ChangeKind.EXTENDED if same else ChangeKind.RETYPED if tree else ChangeKind.REDECLARED
            yield ColumnChange(name, kind, str(had[name]), str(has[name]))
    declared, declared_then = _types(_declare({}, present)[0]), _types(_declare({}, other)[0])
    for name in (declared.keys() - declared_then.keys()) & had.keys():
        yield ColumnChange(name, ChangeKind.UNDECLARED, str(had[name]))


def _is_extended(before: pa.DataType, after: pa.DataType) -> bool:
    """Return whether a type is the same but for more fields in the items of a list."""
    if pa.types.is_list(before) and pa.types.is_list(after):
        return _is_extended(before.value_type, after.value_type)
    if pa.types.is_struct(before) and pa.types.is_struct(after):
        fields = {field.name: field.type for field in after}
        return all(field.name in fields and _is_extended(field.type, fields[field.name]) for field in before)
    return bool(before == after)


def _declare(tree: Mapping[str, Any], *schemas: Node | None) -> tuple[Contract, set[tuple[str, str, str]]]:
    """Return a saved contract with some schemas, and the paths on which it disagrees with the last one."""
    # neither free-form keys nor names of decimals matter for a schema
    contract = Contract.from_json(tree, free_form=frozenset(), decimals="$^")
    conflicts = [contract.declare(schema) for schema in schemas if schema is not None]
    last = conflicts[-1] if conflicts else []
    return contract, {(change.path, str(change.before), str(change.after)) for change in last}


def _types(contract: Contract) -> dict[str, pa.DataType]:
    """Return the types of a contract's payload columns by name, with those of typed columns."""
    found = {}
    for column in payload_columns(contract):
        found[column.name] = column.type
        if column.node.format:
            found[f"typed__{column.name.removeprefix('data__')}"] = _TYPED[column.node.format]
    return found
