"""JSON inside text: its values changed, everything else written back as it was.

Text in which JSON is found at any place, cut off at the end too, is read once, without recursion. Text that is no JSON
is handed on as it is.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pismo_lake.decode.exact_json import dumps, loads

if TYPE_CHECKING:
    from collections.abc import Callable

JSON_SUSPECT = r'[\[{]\s*["\[{]|^\s*"'
"""A pattern (RE2 and `re`) that every text holds in which JSON with text or objects is found."""

_START = re.compile(r'[\[{]\s*["\[{]')
_TOKEN = re.compile(r'\s*(?:([{}\[\],:])|("[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z))|([^\s{}\[\],:"]+))', re.DOTALL)
_MOST_KEYS = 24


class JsonInside:
    """Changes the values of JSON in text: `value` by path, `dropped` tells of paths that become null as a whole."""

    def __init__(
        self,
        value: Callable[[Any, tuple[str, ...]], Any],
        dropped: Callable[[tuple[str, ...]], bool],
        text: Callable[[str], str],
    ) -> None:
        self._value, self._dropped, self._text = value, dropped, text

    def change(self, text: str, keys: tuple[str, ...]) -> str:
        """Return the text with the values of its JSON changed; `text` of the constructor changes all between."""
        whole = self._whole_string(text, keys)
        if whole is not None:
            return whole
        parts, done = [], 0
        while found := _START.search(text, done):
            inside, end = self._read(text, found.start(), keys)
            parts += [self._text(text[done : found.start()]), inside]
            done = end
        return "".join([*parts, self._text(text[done:])])

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
        """Change JSON from its first bracket to its end, or as far as it is JSON; return it and its end."""
        parts: list[str] = []
        # of each open bracket: itself, its path, the key that is read, how many parts there were (if it is dropped)
        stack: list[tuple[str, tuple[str, ...]]] = []
        key: list[str | None] = []
        at, dropping, kept = start, 0, 0
        while at < len(text):
            token = _TOKEN.match(text, at)
            if token is None:
                break
            sign, string, word = token.groups()
            here = stack[-1][1] if stack else keys
            in_object = bool(stack) and stack[-1][0] == "{"
            if in_object and key[-1] is not None:
                here = (*here, key[-1])[-_MOST_KEYS:]
            blank = text[at : token.start(token.lastindex or 0)]
            if sign in {"{", "["}:
                if in_object and key[-1] is None:
                    break
                stack.append((sign, here))
                key.append(None)
                if not dropping and self._dropped(here):
                    dropping, kept = len(stack), len(parts)
                    parts.append(f"{blank}null")
                new = f"{blank}{sign}"
            elif sign in {"}", "]"}:
                if stack[-1][0] != ("{" if sign == "}" else "["):
                    break
                if dropping == len(stack):
                    dropping = 0
                    del parts[kept + 1 :]
                    sign = blank = ""
                stack.pop()
                key.pop()
                if key and stack[-1][0] == "{":
                    key[-1] = None
                new = f"{blank}{sign}"
            elif sign:
                new = f"{blank}{sign}"
            elif in_object and key[-1] is None:
                key[-1] = _string(string) if string else word
                new = blank + self._text(string or word)
            else:
                new = blank + self._scalar(string, word, here)
                if in_object:
                    key[-1] = None
            if not dropping:
                parts.append(new)
            at = token.end()
            if not stack:
                break
        return "".join(parts), max(at, start + 1) if parts else start + 1

    def _scalar(self, string: str | None, word: str, keys: tuple[str, ...]) -> str:
        """Return a value's own text, or the text of the value that it becomes; a bare word is text."""
        value: Any = word
        if string is not None:
            value = _string(string)
        else:
            with suppress(ValueError):
                value = loads(word)
        changed = self._value(value, keys)
        if type(changed) is type(value) and changed == value:
            return word if string is None else string
        return dumps(changed)


def _string(token: str) -> str:
    """Return the value of a JSON string, one that is cut off or badly escaped too."""
    try:
        return str(json.loads(token, strict=False))
    except ValueError:
        return token.strip('"')
