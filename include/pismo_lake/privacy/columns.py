"""Apply a privacy policy to Arrow columns: to their types and to their values.

A hashed or masked column becomes text, whatever its type is. A dropped column keeps its type and is null. The metadata
of a column names the action, and the key if there is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from pismo_lake.contracts.columns import RESCUED, payload_columns, struct_fields
from pismo_lake.contracts.tree import Kind, Node
from pismo_lake.privacy.card_columns import rescue_card_numbers
from pismo_lake.privacy.redact import Redactor
from pismo_lake.settings.rules import Action

if TYPE_CHECKING:
    from collections.abc import Callable

    from pismo_lake.contracts.columns import Column
    from pismo_lake.contracts.contract import Contract
    from pismo_lake.settings.privacy import Privacy

NOTE, KEY_NOTE = "pismo.privacy", "pismo.privacy_key"
"""The metadata of a column that say which actions changed it, and with which key."""


def protect_schema(contract: Contract, privacy: Privacy | None, event: str) -> pa.Schema:
    """Return the schema of a contract's payload columns after a policy."""
    return pa.schema([protect_field(column, privacy, event) for column in payload_columns(contract)])


def protect(table: pa.Table, contract: Contract, privacy: Privacy, event: str) -> pa.Table:
    """Return a flattened table (payload columns and `_rescued`) after a policy."""
    redactor = Redactor(privacy, event)
    if privacy.card_numbers:
        table = rescue_card_numbers(table, contract, redactor)
    columns = [
        _array(table.column(column.name).combine_chunks(), column.node, column.keys, redactor)
        for column in payload_columns(contract)
    ]
    rescued = _each(table.column(RESCUED.name).combine_chunks(), redactor.redact_rescued)
    schema = protect_schema(contract, privacy, event).append(RESCUED)
    return pa.table([*columns, rescued], schema=schema)


def protect_field(column: Column, privacy: Privacy | None, event: str) -> pa.Field:
    """Return the field of a column after a policy; its metadata names the actions."""
    if privacy is None:
        return pa.field(column.name, column.type)
    done = sorted(_notes(column.node, column.keys, privacy, event))
    notes = {NOTE: ", ".join(done)} if done else None
    if notes and privacy.key and Action.HASH in done:
        notes[KEY_NOTE] = privacy.key.key_id
    return pa.field(column.name, _type(column.type, column.node, column.keys, privacy, event), metadata=notes)


def _notes(node: Node, keys: tuple[str, ...], privacy: Privacy, event: str) -> set[str]:
    """Return the actions on a column, or on anything in its lists."""
    if node.item is not None:
        return _notes(node.item, keys, privacy, event)
    if node.fields:
        return {note for key, child in node.fields.items() for note in _notes(child, (*keys, key), privacy, event)}
    rule = privacy.rule(event, keys)
    return {rule.action} if rule is not None and rule.action is not Action.KEEP else set()


def _type(kind: pa.DataType, node: Node, keys: tuple[str, ...], privacy: Privacy, event: str) -> pa.DataType:
    if node.kind is Kind.LIST and node.item is not None:
        return pa.list_(_type(kind.value_type, node.item, keys, privacy, event))
    if node.kind is Kind.OBJECT:
        return pa.struct([
            field.with_type(_type(field.type, child, (*keys, key), privacy, event))
            for field, (key, child) in zip(kind, struct_fields(node), strict=True)
        ])  # fmt: skip
    rule = privacy.rule(event, keys)
    return pa.string() if rule is not None and rule.action.gives_text else kind


def _array(array: pa.Array, node: Node, keys: tuple[str, ...], redactor: Redactor) -> pa.Array:
    rule = redactor.rule(keys)
    whole = not (rule is not None and rule.values and node.kind in {Kind.LIST, Kind.OBJECT, Kind.JSON})
    if rule is not None and rule.action is Action.DROP and whole:
        return pa.nulls(len(array), _type(array.type, node, keys, redactor.privacy, redactor.event_type))
    if node.kind is Kind.LIST and node.item is not None:
        return _list(array, node.item, keys, redactor)
    if node.kind is Kind.OBJECT:
        children = [
            _array(values, child, (*keys, key), redactor)
            for values, (key, child) in zip(array.flatten(), struct_fields(node), strict=True)
        ]
        names = [array.type.field(at).name for at in range(array.type.num_fields)]
        return pa.StructArray.from_arrays(children, names, mask=array.is_null())
    if rule is not None and rule.action is Action.KEEP:
        return array
    if node.kind is Kind.JSON:
        return _each(array, lambda text: redactor.json_text(text, keys))
    if rule is not None:
        return _each(array, lambda value: redactor.leaf(value, rule))
    return _free_text(array, keys, redactor) if node.kind is Kind.STRING else array


def _list(array: pa.ListArray, item: Node, keys: tuple[str, ...], redactor: Redactor) -> pa.ListArray:
    lengths = pc.fill_null(pc.list_value_length(array), 0)
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths).cast(pa.int32())])
    # flatten() leaves out values that null lists hide
    return pa.ListArray.from_arrays(offsets, _array(array.flatten(), item, keys, redactor), mask=array.is_null())


def _free_text(array: pa.StringArray, keys: tuple[str, ...], redactor: Redactor) -> pa.StringArray:
    suspects = pc.fill_null(pc.match_substring_regex(array, redactor.suspect), fill_value=False)
    if not pc.any(suspects).as_py():
        return array
    changed = _each(array.filter(suspects), lambda text: redactor.free_text(text, keys))
    return pc.replace_with_mask(array, suspects, changed)


def _each(array: pa.Array, change: Callable[[Any], str | None]) -> pa.StringArray:
    """Change each value; change equal values once."""
    coded = array.dictionary_encode()
    words = pa.array([change(value) for value in coded.dictionary.to_pylist()], pa.string())
    return words.take(coded.indices)
