"""Fit an event's payload into typed columns on the slow path; `_rescued` keeps misfits.

It is slower than pyarrow's reader and more careful: it handles decimals of any spelling, numbers out of range, mixed
kinds, duplicate keys, lone surrogates and empty objects. If both paths can read an event, both must give the same row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Context, Decimal
from typing import Any

from pismo_lake.contracts.contract import INT64_MAX, INT64_MIN
from pismo_lake.contracts.names import SEPARATOR, pointer
from pismo_lake.contracts.tree import Kind, Node
from pismo_lake.decode.exact_json import DuplicateKeys, dumps

SCALE = 18
"""Fractional digits of a decimal column; with precision 38 that leaves 20 before the point."""

_WHOLE_DIGITS = 20
_UNIT = Decimal(1).scaleb(-SCALE)
_CONTEXT = Context(prec=64)
_ZERO = Decimal(0)


class _Unfit(Exception):  # noqa: N818 - control flow inside this module, never seen outside
    """A value does not fit the kind of its path; `reason` is written to `_rescued`."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


@dataclass(slots=True)
class Conformed:
    """One event's values by column name, and the misfits: path (a JSON pointer), reason, value.

    If the path leads into a list, `positions` are the numbers of its steps, from 0, that are list positions. `discard`
    drops fields without a column instead of keeping them as misfits.
    """

    columns: dict[str, Any] = field(default_factory=dict)
    rescued: list[dict[str, Any]] = field(default_factory=list)
    discard: bool = False

    def rescue(self, path: str, reason: str, value: Any, positions: tuple[int, ...] = ()) -> None:
        """Keep a value that has no column."""
        within = {"positions": list(positions)} if positions else {}
        self.rescued.append({"path": path, **within, "reason": reason, "value": value})
        self.rescue_shadowed(value, _Place(path, positions))

    def rescue_keys(self, value: dict[str, Any], path: str, positions: tuple[int, ...] = ()) -> None:
        """Keep the earlier values of an object's repeated keys."""
        if isinstance(value, DuplicateKeys):
            for key, shadowed in value.shadowed:
                self.rescue(f"{path}/{pointer(key)}", "duplicate_key", shadowed, positions)

    def rescue_shadowed(self, value: Any, at: _Place) -> None:
        """Keep the earlier values of repeated keys at any depth: JSON text has each key once."""
        if isinstance(value, dict):
            self.rescue_keys(value, at.path, at.positions)
            for key, item in value.items():
                self.rescue_shadowed(item, at.field(key))
        elif isinstance(value, list):
            for place, item in enumerate(value):
                self.rescue_shadowed(item, at.item(place))

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
    out.rescue_keys(value, path)
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
                out.columns[f"{name}{SEPARATOR}{child.segment}"] = _fit(child, item, _Place(at), out)
            except _Unfit as unfit:
                out.rescue(at, unfit.reason, item)


def _fit(node: Node, value: Any, at: _Place, out: Conformed) -> Any:
    """Return a value in its column's type; parts of lists that do not fit are added to `out`.

    Raises:
        _Unfit: the value does not fit.
    """
    kind = node.kind
    if kind is Kind.STRING and isinstance(value, str):
        return _text(value)
    if kind is Kind.INT and type(value) is int:
        if not INT64_MIN <= value <= INT64_MAX:
            raise _Unfit("out_of_range")
        return value
    if kind is Kind.DECIMAL and (type(value) is int or isinstance(value, Decimal)):
        return fit_decimal(value)
    if kind is Kind.BOOL and type(value) is bool:
        return value
    if kind is Kind.JSON:
        out.rescue_shadowed(value, at)
        return dumps(value)
    if kind is Kind.LIST and isinstance(value, list) and node.item is not None and node.typed:
        item = node.item
        return [_fit_or_rescue(item, each, at.item(place), out) for place, each in enumerate(value)]
    if kind is Kind.OBJECT and isinstance(value, dict):
        return _struct(node, value, at, out)
    raise _Unfit("untyped" if not node.typed else f"not_{kind}")


def _fit_or_rescue(node: Node, value: Any, at: _Place, out: Conformed) -> Any:
    """Return a list item, or a field of one; null if it does not fit and is rescued."""
    if value is None:
        return None
    try:
        return _fit(node, value, at, out)
    except _Unfit as unfit:
        out.rescue(at.path, unfit.reason, value, at.positions)
        return None


def _struct(node: Node, value: dict[str, Any], at: _Place, out: Conformed) -> dict[str, Any]:
    """Fit an object in a list; its fields have no columns of their own."""
    if not value:
        raise _Unfit("empty_object")
    if isinstance(value, DuplicateKeys):
        raise _Unfit("duplicate_key")
    struct: dict[str, Any] = {}
    for key, item in value.items():
        child = node.fields.get(key)
        if child is None:
            if item is not None and not out.discard:
                out.rescue(at.field(key).path, "no_column", item, at.positions)
        elif not child.typed:
            # a field that never had a value is not part of the struct yet
            _fit_or_rescue(child, item, at.field(key), out)
        else:
            struct[child.segment] = _fit_or_rescue(child, item, at.field(key), out)
    return struct


@dataclass(frozen=True, slots=True)
class _Place:
    """A JSON pointer, and the numbers of its steps, from 0, that are list positions."""

    path: str
    positions: tuple[int, ...] = ()

    def item(self, position: int) -> _Place:
        """Return the place of a list's item."""
        return _Place(f"{self.path}/{position}", (*self.positions, self.path.count("/")))

    def field(self, key: str) -> _Place:
        """Return the place of an object's field."""
        return _Place(f"{self.path}/{pointer(key)}", self.positions)


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _Unfit("lone_surrogate") from None
    return value


def fit_decimal(value: int | Decimal) -> Decimal:
    """Return the number at scale 18 with all its digits.

    Raises:
        _Unfit: it has more digits than decimal128(38, 18).
    """
    number = Decimal(value)
    if not number:
        return _ZERO
    _, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int) or len(digits) + exponent > _WHOLE_DIGITS:
        raise _Unfit("out_of_range")
    if exponent < -SCALE and any(digits[max(len(digits) + exponent + SCALE, 0) :]):
        raise _Unfit("out_of_range")
    return number.quantize(_UNIT, context=_CONTEXT)
