"""Recognise the values of a person in texts and bytes, however JSON spells them."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

LEAST_TELLING = 6
"""A shorter value is found in other places by chance: it is searched for in its own column alone."""
_ESCAPE = re.compile(r'\\(?:u([0-9a-fA-F]{4})|(["\\/bfnrt]))')
_LETTERS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_DEEPEST = 3
_FORMS: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")
_BACKSLASH = b"\\"


@dataclass(frozen=True)
class Needle:
    """Values to look for, in upper or lower case.

    A value inside a longer number or word does not count.
    """

    values: tuple[str, ...]

    @classmethod
    def of(cls, values: Iterable[str]) -> Needle:
        """Return one for the values that are long enough to identify a person.

        An accented letter may be one character or two.
        """
        long = [value for value in values if len(value) >= LEAST_TELLING]
        spelled = (unicodedata.normalize(form, value) for value in long for form in _FORMS)
        return cls(tuple(dict.fromkeys([*long, *spelled])))

    def is_in_bytes(self, data: bytes) -> bool:
        """Return whether bytes hold a value as UTF-8, or as JSON in text spells it."""
        if self.is_plainly_in(data):
            return True
        return bool(self.values) and _BACKSLASH in data and self._is_in_escaped(data.decode("utf-8", "replace"))

    def is_plainly_in(self, data: bytes) -> bool:
        """Return whether bytes hold a value as UTF-8, without escapes."""
        return bool(self.values) and self._bytes.search(data) is not None

    def is_in_text(self, text: str) -> bool:
        """Return whether a text holds a value, or JSON in it does."""
        if not self.values:
            return False
        return self._text.search(text) is not None or ("\\" in text and self._is_in_escaped(text))

    def _is_in_escaped(self, text: str) -> bool:
        """Return whether a text in JSON holds a value, or a text in JSON in that text."""
        for _ in range(_DEEPEST):
            plain = unescape(text)
            if self._text.search(plain) is not None:
                return True
            if plain == text:
                return False
            text = plain
        return False

    @cached_property
    def _text(self) -> re.Pattern[str]:
        return re.compile("|".join(map(_pattern, self.values)), re.IGNORECASE)

    @cached_property
    def _bytes(self) -> re.Pattern[bytes]:
        return re.compile("|".join(map(_pattern, self.values)).encode("utf-8", "surrogatepass"), re.IGNORECASE)


def unescape(text: str) -> str:
    """Return a text with all escapes of JSON replaced by their characters."""
    plain = _ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else _LETTERS.get(found[2], found[2]), text)
    # two halves of a character become one
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _pattern(value: str) -> str:
    """Return a pattern for a value, but not for a part of a longer number or word."""
    before = "(?<![0-9])" if value[0].isdecimal() else "(?<![A-Za-z])" if value[0].isalpha() else ""
    after = "(?![0-9])" if value[-1].isdecimal() else "(?![A-Za-z])" if value[-1].isalpha() else ""
    return before + "".join(map(_either_case, value)) + after


def _either_case(sign: str) -> str:
    """Return a pattern for a sign; patterns of bytes know the two cases of ASCII letters only."""
    if sign.isascii():
        return re.escape(sign)
    return f"(?:{'|'.join(dict.fromkeys((sign, sign.lower(), sign.upper(), sign.title())))})"
