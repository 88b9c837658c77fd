"""JSON in and out without losing a digit: decimals from their text, duplicate keys seen, non-finite refused."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any, Self

import simplejson

# int() of a longer text is refused by CPython (sys.set_int_max_str_digits), Decimal is not.
_LONGEST_INT = 4000


class NonFiniteNumberError(ValueError):
    """NaN or Infinity: not JSON, and no amount."""


class Unbounded(Decimal):
    """A number with an exponent that no `Decimal` has: infinite where it is compared, its own text where written."""

    text: str

    def __new__(cls, text: str) -> Self:
        number = super().__new__(cls, "-Infinity" if text.startswith("-") else "Infinity")
        number.text = text
        return number

    def __str__(self) -> str:
        return self.text


class DuplicateKeys(dict[str, Any]):
    """An object in which a key came more than once; the last value stands, `shadowed` keeps the others."""

    shadowed: tuple[tuple[str, Any], ...] = ()


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    plain = dict(pairs)
    if len(plain) == len(pairs):
        return plain
    last = {key: position for position, (key, _) in enumerate(pairs)}
    marked = DuplicateKeys(plain)
    marked.shadowed = tuple((key, value) for position, (key, value) in enumerate(pairs) if last[key] != position)
    return marked


def _integer(digits: str) -> int | Decimal:
    return int(digits) if len(digits) < _LONGEST_INT else Decimal(digits)


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        return Unbounded(text)


def _refuse(name: str) -> Any:
    raise NonFiniteNumberError(name)


_EXACT = json.JSONDecoder(
    parse_float=_decimal, parse_int=_integer, parse_constant=_refuse, object_pairs_hook=_pairs, strict=False
)


def loads(text: str) -> Any:
    """Parse one JSON value; numbers with a fraction or exponent come back as `decimal.Decimal`.

    Control characters inside strings are let through (they lose nothing); NaN and Infinity raise
    `NonFiniteNumberError`; other damage raises `ValueError`, deep nesting `RecursionError`.
    """
    return _EXACT.decode(text)


def dumps(value: Any) -> str:
    """JSON text of `value`, digits as they were, ASCII only (so a lone surrogate survives as its escape)."""
    return str(simplejson.dumps(value, use_decimal=True, ensure_ascii=True, separators=(",", ":")))
