"""Change the values of JSON inside text, and write everything else unchanged.

The JSON may be at any place in the text, and may be cut off at the end. It is read once, without recursion. Its quotes
may be escaped, because it was inside a JSON string, or single, as Python prints objects. Text without JSON is read for
names and values (see `pairs_inside`).
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pismo_lake.decode.exact_json import dumps, loads
from pismo_lake.decode.nesting import is_too_deep

if TYPE_CHECKING:
    from collections.abc import Callable

    from pismo_lake.privacy.pairs_inside import PairsInside

JSON_SUSPECT = r'''[\[{]\s*(?:\\*["'\[{]|\w{1,60}\s*:)|^\s*"'''
"""A pattern (RE2 and `re`) that matches every text with JSON that has texts or objects."""

_START = re.compile(r"""[\[{]\s*(?:["'\[{]|\w{1,60}\s*:)""")
_ESCAPED = re.compile(r"""[\[{]\s*\\+["']""")
# up to a quote that is not escaped
_BODY = re.compile(r"""[^"\\]*(?:\\.[^"\\]*)*""", re.DOTALL)
_QUOTED = "|".join(rf"{quote}[^{quote}\\]*(?:\\.[^{quote}\\]*)*(?:{quote}|\\?\Z)" for quote in ('"', "'"))
_TOKEN = re.compile(rf"""\s*(?:([{{}}\[\],:])|({_QUOTED})|([^\s{{}}\[\],:"]+))""", re.DOTALL)
_ESCAPE = re.compile(r"""\\(["'\\])""")
_ANY_QUOTE = re.compile("[\"']")
_MOST_KEYS = 24
_CLOSING = {"}": "{", "]": "["}


class JsonInside:
    """Changes the values of JSON in text.

    `value` changes a value by its path, `dropped` returns whether a path becomes null as a whole, `pairs` changes
    the text of keys and the text between, and `text` damaged JSON whose values are changed already.
    """

    def __init__(
        self,
        value: Callable[[Any, tuple[str, ...]], Any],
        dropped: Callable[[tuple[str, ...]], bool],
        text: Callable[[str], str],
        pairs: PairsInside,
    ) -> None:
        self._value, self._dropped, self._text, self._pairs = value, dropped, text, pairs

    def change(self, text: str, keys: tuple[str, ...]) -> str:
        """Return the text with the values of its JSON changed, and the text between changed too."""
        whole = self._whole_string(text, keys)
        if whole is not None:
            return whole
        parts, done = [], 0
        while found := _START.search(text, done):
            start = found.start()
            inside, end = self._read(text, start, self._pairs.path_before(text, start, done, keys))
            parts.append(self._between(text[done:start], keys))
            parts.append(self._checked(text[start:end], inside, keys))
            done = end
        return "".join([*parts, self._between(text[done:], keys)])

    def _checked(self, text: str, inside: str, keys: tuple[str, ...]) -> str:
        """Return JSON that was changed inside; prose in brackets is read as the text around it."""
        if _is_json(text):
            return inside
        # its values may span several tokens
        return self._pairs.change(text, keys) if _is_prose(text) else self._text(inside)

    def _between(self, text: str, keys: tuple[str, ...]) -> str:
        """Change JSON with escaped quotes in a text without other JSON, and the text around it."""
        parts, done = [], 0
        while found := _ESCAPED.search(text, done):
            body = _BODY.match(text, found.start())
            assert body is not None
            inner = _string(f'"{body[0]}"')
            changed = self.change(inner, self._pairs.path_before(text, found.start(), done, keys))
            parts.append(self._pairs.change(text[done : found.start()], keys))
            parts.append(body[0] if changed == inner else json.dumps(changed, ensure_ascii=False)[1:-1])
            done = body.end()
        return "".join([*parts, self._pairs.change(text[done:], keys)])

    def _whole_string(self, text: str, keys: tuple[str, ...]) -> str | None:
        """Return a text that is one JSON string, changed inside; None if it is not one."""
        stripped = text.strip()
        if not (stripped.startswith('"') and stripped.endswith('"') and len(stripped) > 1):
            return None
        try:
            inner = loads(stripped)
        except ValueError:
            return None
        changed = self._value(inner, keys)
        return text if changed == inner else text.replace(stripped, dumps(changed), 1)

    def _read(self, text: str, start: int, keys: tuple[str, ...]) -> tuple[str, int]:
        """Change JSON from its first bracket to its end, or to the end of valid JSON; return both."""
        reading = _Reading(self, keys)
        at = start
        while token := _TOKEN.match(text, at):
            if not reading.take(text[at : token.start(token.lastindex or 0)], *token.groups()):
                break
            at = token.end()
            if not reading.stack:
                break
        return "".join(reading.parts), max(at, start + 1)

    def value(self, value: Any, keys: tuple[str, ...]) -> Any:
        """Return the changed value of a path."""
        return self._value(value, keys)

    def text(self, text: str, keys: tuple[str, ...]) -> str:
        """Return the changed text of a key in an object at a path."""
        return self._pairs.change(text, keys)

    def is_dropped(self, keys: tuple[str, ...]) -> bool:
        """Return whether an object or a list at a path becomes null."""
        return self._dropped(keys)


@dataclass(slots=True)
class _Open:
    """An object or a list that is being read: its path, and the key of the next value."""

    bracket: str
    keys: tuple[str, ...]
    key: str | None = None


@dataclass(slots=True)
class _Reading:
    """JSON on its way from its tokens to `parts`, the changed text; `stack` has the open parts."""

    change: JsonInside
    keys: tuple[str, ...]
    parts: list[str] = field(default_factory=list)
    stack: list[_Open] = field(default_factory=list)
    # the number of open parts at the start of an object that becomes null
    dropping: int | None = None

    def take(self, blank: str, sign: str | None, string: str | None, word: str | None) -> bool:
        """Take a token with the blanks before it; return False if it is not allowed there."""
        top = self.stack[-1] if self.stack else None
        awaits_key = top is not None and top.bracket == "{" and top.key is None
        if sign in _CLOSING:
            return self._close(blank, sign or "")
        if sign in {"{", "["}:
            if awaits_key:
                return False
            self._open(blank, sign or "")
            return True
        if sign:
            new = sign
        elif awaits_key and top is not None:
            top.key = _string(string) if string is not None else word
            new = self.change.text(string or word or "", top.keys)
        else:
            new = self._scalar(string, word or "")
            if top is not None:
                top.key = None
        self._put(blank + new)
        return True

    def _put(self, text: str) -> None:
        if self.dropping is None:
            self.parts.append(text)

    def _here(self) -> tuple[str, ...]:
        if not self.stack:
            return self.keys
        top = self.stack[-1]
        return top.keys if top.key is None else (*top.keys, top.key)[-_MOST_KEYS:]

    def _open(self, blank: str, bracket: str) -> None:
        here = self._here()
        if self.dropping is None and self.change.is_dropped(here):
            self.parts.append(f"{blank}null")
            self.dropping = len(self.stack)
        self._put(blank + bracket)
        self.stack.append(_Open(bracket, here))

    def _close(self, blank: str, sign: str) -> bool:
        if self.stack[-1].bracket != _CLOSING[sign]:
            return False
        self.stack.pop()
        if self.stack:
            self.stack[-1].key = None
        self._put(blank + sign)
        if self.dropping == len(self.stack):
            self.dropping = None
        return True

    def _scalar(self, string: str | None, word: str) -> str:
        """Return a value's own text, or the text of its changed value; a bare word is text."""
        value: Any = word
        if string is not None:
            value = _string(string)
        else:
            with suppress(ValueError):
                value = loads(word)
        changed = self.change.value(value, self._here())
        if type(changed) is type(value) and changed == value:
            return word if string is None else string
        return dumps(changed)


def _is_prose(text: str) -> bool:
    """Return whether a text in brackets has names with ``=``, and no strings in quotes."""
    return "=" in text and not _ANY_QUOTE.search(text)


def _is_json(text: str) -> bool:
    if is_too_deep(text):
        return False
    try:
        json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return False
    return True


def _string(token: str) -> str:
    """Return the value of a JSON string, even if it is cut off, badly escaped or in single quotes."""
    if token.startswith("'"):
        return token.strip("'").replace("\\'", "'")
    try:
        return str(json.loads(token, strict=False))
    except ValueError:
        return _ESCAPE.sub(r"\1", token.strip('"'))
