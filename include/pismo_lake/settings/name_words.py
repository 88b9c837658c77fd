"""Split keys into words, and find the names of personal fields in them.

A key may be written in any way: ``cardHolderName``, ``card-holder_name``, ``CARDHOLDERNAME``. It is split into words
at signs and at changes of case. An unknown word is split into known words, if these fill it: ``fullname`` is ``full
name``, but ``shipping`` has no word ``pin``. A name of several words is always known in one piece: ``billtocity`` is
``bill to city``.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_WORDS: dict[str, frozenset[str]] = {
    group: frozenset(words.split())
    for group, words in yaml.safe_load(
        files("pismo_lake.settings").joinpath("policies", "words.yaml").read_text(encoding="utf-8")
    ).items()
}
_SHORT = frozenset({"ip", "id", "rg", "no"})
_SHORTEST_PART = 3
_LONGEST_RUN = 60

_CASES = re.compile(r"[^\W\d_a-z]+(?![a-z])|[^\W\d_a-z]?[^\W\d_A-Z]+|[^\W\d_]+|\d+")


def simplify(key: str) -> str:
    """Return a key in plain letters: no accents, no wide or invisible signs, the same case."""
    if key.isascii():
        return key
    spread = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", key))
    return "".join(sign for sign in spread if unicodedata.category(sign) not in {"Cf", "Mn", "Cc"})


@dataclass(frozen=True)
class Vocabulary:
    """The words that policies know, and the words of each key."""

    words: frozenset[str]
    compounds: dict[str, tuple[str, ...]] = field(default_factory=dict, compare=False, repr=False)
    _read: dict[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, names: Iterable[str]) -> Vocabulary:
        """Return the vocabulary of a policy's names, with the words that all policies know."""
        split = [tuple(name.split()) for name in names]
        words = {word for name in split for word in name}
        compounds = {"".join(name): name for name in split if len(name) > 1}
        return cls(frozenset(words.union(*_WORDS.values())), compounds)

    def readings(self, key: str) -> tuple[tuple[str, ...], ...]:
        """Return the words of a key in two ways: split at signs and case, and ignoring both."""
        found = self._read.get(key)
        if found is None:
            if len(self._read) > 20_000:
                self._read.clear()
            text = simplify(key)
            split = self._split_known(match.casefold() for match in _CASES.findall(text))
            joined = self._split_known(re.findall(r"[^\W\d_]+|\d+", re.sub(r"[\W_]+", "", text.casefold())))
            found = self._read[key] = (split,) if joined == split else (split, joined)
        return found

    def _split_known(self, words: Iterable[str]) -> tuple[str, ...]:
        return tuple(part for word in words for part in self._parts(word) if part not in _WORDS["fillers"])

    def _parts(self, word: str) -> Sequence[str]:
        """Split a word into as few known words as possible; return the word if they do not fill it."""
        whole = self._singular(word)
        if whole or len(word) > _LONGEST_RUN or word.isdigit():
            return (whole or word,)
        # the fewest pieces that fill the word up to each sign
        best: list[tuple[str, ...] | None] = [()] + [None] * len(word)
        for end in range(1, len(word) + 1):
            for start in range(end):
                before, part = best[start], self._part(word[start:end], inside=start > 0 and end < len(word))
                if before is not None and part and (best[end] is None or len(before) + 1 < len(best[end] or ())):
                    best[end] = (*before, part)
        pieces = best[-1] or (word,)
        words = [known for piece in pieces for known in self.compounds.get(piece, (piece,))]
        return [self._singular(known) or known for known in words]

    def _part(self, text: str, *, inside: bool) -> str:
        if text in self.compounds:
            return text
        if text in _WORDS["fillers"]:
            return text if inside else ""
        if len(text) < _SHORTEST_PART:
            return text if text in _SHORT else ""
        word = self._singular(text)
        return "" if word in _WORDS["whole"] else word

    def _singular(self, word: str) -> str:
        """Return a known word, in the singular if that is known; otherwise nothing."""
        for ending in ("es", "s", ""):
            if word.endswith(ending) and word.removesuffix(ending) in self.words:
                return word.removesuffix(ending)
        return ""


def name_in(name: tuple[str, ...], words: tuple[str, ...], *, alone: bool) -> bool:
    """Return whether a key's words contain a name's words.

    If `alone`, they may have no other words except ``new`` or a number. A name that is followed by a property is not
    in the key.
    """
    size = len(name)
    for at in range(len(words) - size + 1):
        if words[at : at + size] != name:
            continue
        before, after = words[:at], words[at + size :]
        if alone:
            if all(word in _WORDS["beside"] or word.isdigit() for word in (*before, *after)):
                return True
        elif not (_WORDS["properties"].intersection(after) or (before and before[0] in _WORDS["heads"])):
            return True
    return False
