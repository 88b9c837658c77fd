"""Make column names from JSON keys by one reversible rule.

Path segments are joined by two underscores. Inside a segment, every character except ASCII letters, digits, ``_`` and
``-`` is percent-encoded as UTF-8. So is an underscore at the start, at the end, or after another one. So a name can
always be split back into its keys. The empty key becomes ``%``.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

SEPARATOR = "__"
_PLAIN = re.compile(r"[A-Za-z0-9-]+(?:_[A-Za-z0-9-]+)*")
_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


def column_segment(key: str) -> str:
    """Return one JSON key as one segment of a column name.

    >>> column_segment("amount"), column_segment("a__b"), column_segment("é.x"), column_segment("") ('amount',
    'a_%5Fb', '%C3%A9%2Ex', '%')
    """
    if _PLAIN.fullmatch(key):
        return key
    if not key:
        return "%"
    encoded = "".join(chr(b) if b in _SAFE else f"%{b:02X}" for b in key.encode("utf-8", "surrogatepass"))
    pieces: list[str] = []
    for position, letter in enumerate(encoded):
        alone = 0 < position < len(encoded) - 1 and encoded[position - 1] != "_"
        pieces.append("%5F" if letter == "_" and not alone else letter)
    return "".join(pieces)


def distinct_segment(key: str, taken: set[str]) -> str:
    """Return the segment of `key`, changed if it differs only in case from one already `taken`.

    Athena, Spark and DuckDB ignore the case of column names. Letters are percent-encoded one by one until the name
    differs; it still decodes to the same key. `taken` holds casefolded segments.
    """
    candidate = column_segment(key)
    for count in range(1, len(key) + 1):
        if candidate.casefold() not in taken:
            break
        head = "".join(f"%{byte:02X}" for byte in key[:count].encode("utf-8", "surrogatepass"))
        candidate = head + (column_segment(key[count:]) if key[count:] else "")
    return candidate


def column_path(name: str) -> tuple[str, ...]:
    """Return the JSON keys of a column name: the inverse of joining `column_segment`s.

    >>> column_path("data__a_%5Fb__%") ('data', 'a__b', '')
    """
    return tuple("" if segment == "%" else unquote(segment) for segment in name.split(SEPARATOR))


def pointer(key: str) -> str:
    """Return a key as one step of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")
