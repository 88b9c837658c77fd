"""The exact road: one event's payload into typed columns, whatever does not fit into `_rescued`.

Slower than pyarrow's reader and more careful: decimals of any spelling, numbers out of range, mixed kinds,
duplicate keys, lone surrogates, empty objects. The fast road must give the same rows where both can go.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Context, Decimal
from typing import Any

from pismo_lake.contract import INT64_MAX, INT64_MIN
from pismo_lake.exact_json import DuplicateKeys, dumps
from pismo_lake.naming import SEPARATOR
from pismo_lake.nodes import Kind, Node

SCALE = 18
"""Fractional digits of a decimal column; with precision 38 that leaves 20 before the point."""

_WHOLE_DIGITS = 20
_UNIT = Decimal(1).scaleb(-SCALE)
_CONTEXT = Context(prec=64)
_ZERO = Decimal(0)


class _Unfit(Exception):  # noqa: N818 - control flow inside this module, never seen outside
    """A value does not fit the kind of its path; `reason` goes to `_rescued`."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


@dataclass(slots=True)
class Conformed:
    """One event's values by column name, and what did not fit: (JSON pointer, reason, value).

    `discard` leaves out fields without a column instead of keeping them among what did not fit.
    """

    columns: dict[str, Any] = field(default_factory=dict)
    rescued: list[dict[str, Any]] = field(default_factory=list)
    discard: bool = False

    def rescue(self, path: str, reason: str, value: Any) -> None:
        """Keep a value that has no column."""
        self.rescued.append({"path": path, "reason": reason, "value": value})

    @property
    def rescued_text(self) -> str | None:
        """The `_rescued` column: a JSON array of path, reason and value, or None."""
        return dumps(self.rescued) if self.rescued else None


def fit_object(node: Node, value: Any, path: str, name: str, out: Conformed) -> None:
    """Spread an object over its columns; `path` is its JSON pointer, `name` its column prefix."""
    if value is None:
        return
    if not isinstance(value, dict):
        out.rescue(path, "not_an_object", value)
        return
    if not value:
        out.rescue(path, "empty_object", value)
        return
    if isinstance(value, DuplicateKeys):
        for key, shadowed in value.shadowed:
            out.rescue(f"{path}/{pointer(key)}", "duplicate_key", shadowed)
    for key, item in value.items():
        if item is None:
            continue
        child = node.fields.get(key)
        at = f"{path}/{pointer(key)}"
        if child is None:
            if not out.discard:
                out.rescue(at, "no_column", item)
        elif child.kind is Kind.OBJECT:
            fit_object(child, item, at, f"{name}{SEPARATOR}{child.segment}", out)
        else:
            try:
                out.columns[f"{name}{SEPARATOR}{child.segment}"] = _fit(child, item, discard=out.discard)
            except _Unfit as unfit:
                out.rescue(at, unfit.reason, item)


def pointer(key: str) -> str:
    """A key as one step of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def _fit(node: Node, value: Any, *, discard: bool) -> Any:
    kind = node.kind
    if kind is Kind.STRING and isinstance(value, str):
        return _text(value)
    if kind is Kind.INT and type(value) is int:
        if not INT64_MIN <= value <= INT64_MAX:
            raise _Unfit("out_of_range")
        return value
    if kind is Kind.DECIMAL and type(value) in (int, Decimal):
        return fit_decimal(value)
    if kind is Kind.BOOL and type(value) is bool:
        return value
    if kind is Kind.JSON:
        return dumps(value)
    if kind is Kind.LIST and isinstance(value, list) and node.item is not None and node.typed:
        return [None if item is None else _fit_item(node.item, item, discard=discard) for item in value]
    raise _Unfit("untyped" if not node.typed else f"not_{kind}")


def _fit_item(node: Node, value: Any, *, discard: bool) -> Any:
    """A list element; objects become structs, and one that does not fit sends the whole list to `_rescued`."""
    if node.kind is not Kind.OBJECT:
        return _fit(node, value, discard=discard)
    if not isinstance(value, dict):
        raise _Unfit("not_object")
    if not value:
        raise _Unfit("empty_object")
    if isinstance(value, DuplicateKeys):
        raise _Unfit("duplicate_key")
    struct: dict[str, Any] = {}
    for key, item in value.items():
        if item is None:
            continue
        child = node.fields.get(key)
        if child is None:
            if discard:
                continue
            raise _Unfit("no_column")
        struct[child.segment] = _fit_item(child, item, discard=discard)
    return struct


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _Unfit("lone_surrogate") from None
    return value


def fit_decimal(value: int | Decimal) -> Decimal:
    """The number at scale 18, digit for digit; `_Unfit` where it has more digits than decimal128(38, 18)."""
    number = Decimal(value)
    if not number:
        return _ZERO
    _, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int) or len(digits) + exponent > _WHOLE_DIGITS:
        raise _Unfit("out_of_range")
    if exponent < -SCALE and any(digits[max(len(digits) + exponent + SCALE, 0) :]):
        raise _Unfit("out_of_range")
    return number.quantize(_UNIT, context=_CONTEXT)
