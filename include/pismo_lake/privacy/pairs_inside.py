"""Change the values of ``name=value`` and ``name: value`` inside text, and write the rest unchanged.

These are form data, query strings, and lines of logs. A value in quotes ends at its quote. A value that a rule hashes,
masks or makes coarser is one word, and the groups of digits after it (``+55 11 99999-9999``), if it has a digit or an
``@``. All other values may have several words. These end at ``&``, ``;``, ``|``, a quote, a closing bracket, the end
of the line, or before the next name: so too much is removed rather than too little.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from pismo_lake.privacy.card_numbers import STARS
from pismo_lake.privacy.pair_names import LONGEST_NAME, SIGN, decode, names_before
from pismo_lake.settings.rules import Action

if TYPE_CHECKING:
    from collections.abc import Callable

    from pismo_lake.settings.rules import Rule

    Keys = tuple[str, ...]

_COARSE = {Action.YEAR, Action.MONTH, Action.DECADE}
_BLANKS = re.compile(r"[ \t]*")
_QUOTE = re.compile(r"\\*[\"'`]")
_WORD = re.compile(
    r"(?:\+?\(\d{1,4}\) ?)?(?:[^\s&;,|\"<>(){}\[\]\\]|\\(?![nrt\"\\])){1,256}+"
    # groups of digits that belong to it, not the first digits of the next word
    r"(?:[ \t]{1,2}[\d()+\-./*]++(?![^\s&;,|\"<>\]}\\]))*+"
)
_END = re.compile(rf"[&;|\n\r\"<>]|[(\[{{]|[)\]}}]|\\+[nrt\"]|{SIGN.pattern}")
_ENCODED_END = re.compile(r"[&;\s\"<>]|%(?:25){0,4}(?:26|3[Bb]|0[ADad])|\Z")
_MARK = re.compile(r"[\d@]")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_LONGEST_WORD = 256


class PairsInside:
    """Changes the values of names in text.

    `rule` returns the rule for a path, `value` changes a value by its path, and `text` changes the text between.
    """

    def __init__(
        self, rule: Callable[[Keys], Rule | None], value: Callable[[Any, Keys], Any], text: Callable[[str], str]
    ) -> None:
        self._rule, self._value, self._text = rule, value, text

    def change(self, text: str, keys: Keys) -> str:
        """Return the text with the values of its names changed, and the text between changed too."""
        parts, done = [], 0
        for sign in SIGN.finditer(text):
            if sign.start() < done:
                continue
            path, rule = self._named(text, sign, done, keys)
            start, end = self._span(text, sign, path, rule, keys) if rule else (0, 0)
            if start < end:
                parts += [self._text(text[done:start]), self._changed(text[start:end], path, sign[0])]
                done = end
        return "".join([*parts, self._text(text[done:])])

    def path_before(self, text: str, at: int, start: int, keys: Keys) -> Keys:
        """Return the path of an object or a list at a place: with the name before it, if there is one."""
        before = text[max(start, at - LONGEST_NAME) : at].rstrip(" \t")
        sign = None
        for sign in SIGN.finditer(before):  # noqa: B007 - the last one
            pass
        if sign is None or sign.end() != len(before):
            return keys
        names = names_before(before, sign, 0)
        personal = (name for name in names if self._rule((*keys, *name)) is not None)
        return (*keys, *next(personal, names[-1] if names else ()))

    def _named(self, text: str, sign: re.Match[str], done: int, keys: Keys) -> tuple[Keys, Rule | None]:
        """Return the path and the rule of the name before a sign; no rule if the name has none."""
        for name in names_before(text, sign, done):
            rule = self._rule((*keys, *name))
            if rule is not None:
                return (*keys, *name), rule
        return keys, None

    def _span(self, text: str, sign: re.Match[str], path: Keys, rule: Rule, keys: Keys) -> tuple[int, int]:
        """Return start and end of the value after a sign, without its quotes."""
        if sign[0].startswith("%"):
            found = _ENCODED_END.search(text, sign.end())
            return sign.end(), found.start() if found else len(text)
        blanks = _BLANKS.match(text, sign.end())
        start = blanks.end() if blanks else sign.end()
        quote = _QUOTE.match(text, start)
        if quote:
            closing = text.find(quote[0], quote.end())
            return quote.end(), len(text) if closing < 0 else closing
        word = _WORD.match(text, start)
        # a longer word is none, so that the time stays linear in texts such as cpf=cpf=cpf=
        if word and word.end() - start < _LONGEST_WORD and self._is_one_word(word[0], path, rule):
            return start, start + len(word[0].rstrip(".:!?'"))
        return start, self._end(text, start, keys)

    def _is_one_word(self, word: str, path: Keys, rule: Rule) -> bool:
        if _ESCAPE.search(word):
            # blanks are encoded, too
            return True
        if rule.action in _COARSE and self._value(word, path) is None:
            return False
        return rule.action is not Action.DROP and _MARK.search(word) is not None

    def _end(self, text: str, start: int, keys: Keys) -> int:
        """Return the end of a value of several words."""
        depth = 0
        for found in _END.finditer(text, start):
            sign, end = found[0], found.start()
            if sign in {"(", "[", "{"}:
                depth += 1
                continue
            if sign in {")", "]", "}"} and depth:
                depth -= 1
                continue
            if SIGN.fullmatch(sign):
                name = None if depth else self._before_next(text, found, start, keys)
                if name is None:
                    continue
                end = name
            elif depth and sign not in {"\n", "\r"}:
                continue
            return start + len(text[start:end].rstrip(" \t,"))
        return len(text)

    def _before_next(self, text: str, sign: re.Match[str], start: int, keys: Keys) -> int | None:
        """Return the start of the name before a sign, or None if the value goes on there.

        Prose has colons too, so a name before a colon counts only after a comma, or if a rule is for it.
        """
        low = max(start, sign.start() - LONGEST_NAME)
        before = text[low : sign.start()].rstrip(" \t")
        cut = max(before.rfind(between) for between in " \t,") + 1
        listed = cut > 0 and (sign[0] != ":" or before[:cut].rstrip().endswith(","))
        if listed and names_before(text, sign, start):
            return low + cut
        return low + cut if self._named(text, sign, start, keys)[1] is not None else None

    def _changed(self, raw: str, path: Keys, sign: str) -> str:
        value = raw
        if _ESCAPE.search(raw):
            # after a sign that is encoded, the value is encoded once more
            value = decode(raw) if sign.startswith("%") else unquote_plus(raw)
        changed = self._value(value, path)
        return STARS if changed is None else raw if changed == value else str(changed)
