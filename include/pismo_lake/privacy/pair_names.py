"""Find the name before the ``=`` or ``:`` of a ``name=value`` or ``name: value`` in text.

A name may be of up to three words (``tax id: …``), percent-encoded (``data+de+nascimento=…``), in quotes, and of
several parts in brackets (``customer[name]=…``). The sign may be percent-encoded, too. A colon between two digits
(``12:04``), beside another colon or before a slash has no name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from pismo_lake.privacy.escapes import INVISIBLE_SIGNS

if TYPE_CHECKING:
    from collections.abc import Iterator

# without counted repeats: they make the pattern large, and each column compiles it
PAIR_SUSPECT = r"\p{L}[^\p{L}=:]*(?:=|%[0-9]*3[ADad]|:[^0-9/:])|\p{L}[^\p{L}\p{N}=:]*:[^/:]"
"""A pattern (RE2) that matches every text with a name and a value."""

SIGN = re.compile(r"={1,3}>?|:=?|%(?:25){0,4}3[ADad]")
"""The signs between a name and its value."""

LONGEST_NAME = 100
"""How far before its sign a name may begin."""

_NEAR = 16
# read from the end of the text
_BACKWARDS = re.compile(
    rf"[\w.\-\[\]$@\u0300-\u036f{INVISIBLE_SIGNS}]+(?: [\w.\-\[\]$@\u0300-\u036f{INVISIBLE_SIGNS}]+){{0,2}}"
)
_BESIDE = " \t\"'`*\\"
_LITERAL = re.compile(r"\\+[nrt]")
_PARTS = re.compile(r"[\[\]]+")


def names_before(text: str, sign: re.Match[str], start: int) -> list[tuple[str, ...]]:
    """Return the names that may be meant before a sign, the one of most words first; none before `start`."""
    at = sign.start()
    if sign[0] == ":" and _is_other_colon(text, at):
        return []
    window = text[max(start, at - LONGEST_NAME) : at]
    if not any(letter.isalpha() for letter in window[-_NEAR:]):
        return []
    if "\\" in window:
        window = _LITERAL.sub("\n", window)
    if "%" in window or "+" in window:
        window = decode(window)
    found = _BACKWARDS.match(window.rstrip(_BESIDE)[::-1])
    if not found:
        return []
    words = found[0][::-1].split(" ")
    names = (" ".join(words[first:]) for first in range(len(words)))
    return [parts for name in names if (parts := tuple(_parts(name)))]


def decode(text: str) -> str:
    """Return a text of a form or a URL without percent-encoding, even if it was encoded several times."""
    for _ in range(3):
        text = unquote_plus(text) if "%" in text else text.replace("+", " ")
        if "%" not in text:
            break
    return text


def _is_other_colon(text: str, at: int) -> bool:
    before, after = text[at - 1 : at], text[at + 1 : at + 2]
    return before == ":" or after in {":", "/"} or (before.isdecimal() and after.isdecimal())


def _parts(name: str) -> Iterator[str]:
    """Yield the parts of a name with brackets, without the positions of lists."""
    for part in _PARTS.split(name):
        if any(letter.isalpha() for letter in part):
            yield part
