"""Find the first rule of a policy for a path of keys, by pattern or by names of fields."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from pismo_lake.settings.name_words import Vocabulary, name_in
from pismo_lake.settings.patterns import covers, covers_event

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pismo_lake.settings.rules import Rule

_MOST_KEPT = 50_000


class RuleFinder:
    """Finds the rules of paths, and caches them by path and by key."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules
        self._words = Vocabulary.of(name for rule in rules for name in (*rule.names, *rule.below))
        self._names = self._by_first_word((at, name) for at, rule in enumerate(rules) for name in rule.names)
        self._below = self._by_first_word((at, name) for at, rule in enumerate(rules) for name in rule.below)
        self._of_keys: dict[str, tuple[frozenset[int], frozenset[int]]] = {}
        self._of_paths: dict[tuple[str, tuple[str, ...]], Rule | None] = {}

    def find(self, event: str, keys: tuple[str, ...]) -> Rule | None:
        """Return the first rule for a path of an event type, or for an object above it."""
        try:
            return self._of_paths[event, keys]
        except KeyError:
            if len(self._of_paths) >= _MOST_KEPT:
                self._of_paths.clear()
            found = next((rule for at, rule in enumerate(self._rules) if self._is_for(at, rule, event, keys)), None)
            self._of_paths[event, keys] = found
            return found

    def _is_for(self, at: int, rule: Rule, event: str, keys: tuple[str, ...]) -> bool:
        if rule.event != "**" and not covers_event(rule.event, event):
            return False
        if not rule.names:
            return covers(rule.path, keys)
        first = max(len(keys) - 1, 0) if rule.values else 0
        return any(
            at in self._rules_of(keys[place])[0]
            and (not rule.below or any(at in self._rules_of(key)[1] for key in keys[:place]))
            for place in range(first, len(keys))
        )

    def _rules_of(self, key: str) -> tuple[frozenset[int], frozenset[int]]:
        """Return the rules that name a key, and those that name it as a key above."""
        found = self._of_keys.get(key)
        if found is None:
            if len(self._of_keys) >= _MOST_KEPT:
                self._of_keys.clear()
            readings = self._words.readings(key)
            named = {
                at
                for words in readings
                for word in set(words)
                for at, name in self._names.get(word, ())
                if name_in(name, words, alone=self._rules[at].alone)
            }
            above = {
                at
                for words in readings
                for word in set(words)
                for at, name in self._below.get(word, ())
                if name_in(name, words, alone=False)
            }
            found = self._of_keys[key] = (frozenset(named), frozenset(above))
        return found

    def _by_first_word(self, names: Iterable[tuple[int, str]]) -> dict[str, list[tuple[int, tuple[str, ...]]]]:
        found = defaultdict(list)
        for at, name in names:
            # split the name like a key, so that their words match
            words = self._words.readings(name)[0]
            found[words[0]].append((at, words))
        return dict(found)
