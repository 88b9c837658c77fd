"""Read and write JSON without losing a digit, a duplicate key or a non-finite number."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any, Self

import simplejson

# CPython refuses int() of a longer text (sys.set_int_max_str_digits); it accepts Decimal.
_LONGEST_INT = 4000


class NonFiniteNumberError(ValueError):
    """NaN or Infinity, which is not JSON."""


class Unbounded(Decimal):
    """A number with an exponent that is too large for `Decimal`.

    It compares as infinite, and it is written as its own text.
    """

    text: str

    def __new__(cls, text: str) -> Self:
        """Make an infinite number that keeps its text."""
        number = super().__new__(cls, "-Infinity" if text.startswith("-") else "Infinity")
        number.text = text
        return number

    def __str__(self) -> str:
        return self.text


class DuplicateKeys(dict[str, Any]):
    """An object with a repeated key; it holds the last value, and `shadowed` the others."""

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
    """Parse one JSON value; a number with a fraction or exponent becomes a `decimal.Decimal`.

    Control characters inside strings are accepted, because they lose nothing.

    Raises:
        NonFiniteNumberError: NaN or Infinity.
        ValueError: other damage.
        RecursionError: the nesting is too deep.
    """
    return _EXACT.decode(text)


def dumps(value: Any) -> str:
    """Return `value` as JSON text with its original digits, in ASCII.

    So a lone surrogate is kept as an escape.
    """
    return str(simplejson.dumps(value, use_decimal=True, ensure_ascii=True, separators=(",", ":")))
