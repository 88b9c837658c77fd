"""Define privacy policies: which payload paths to keep, drop, mask, hash or coarsen.

A policy is a list of rules. The first rule that matches a path, or any object above it, decides (see `patterns`).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from pismo_lake.errors import ConfigError
from pismo_lake.settings.rule_finder import RuleFinder
from pismo_lake.settings.rules import Action, Rule
from pismo_lake.settings.stamps import Stamp, stamp_of
from pismo_lake.settings.yaml_lines import load_plain

STRICT = "strict"
"""The policy that comes with the project: every personal field that Pismo's event pages show."""

_PARTS = (
    ("path", str, "a text"),
    ("event", str, "a text"),
    ("alone", bool, "true or false"),
    ("values", bool, "true or false"),
)
_RULE_KEYS = {"path", "names", "action", "event", "last", "alone", "values", "below", "about"}
# not a set: a wrong value may be a list
_CARD_NUMBERS = (None, "mask", "keep")
_POLICY_KEYS = {"extends", "card_numbers", "words", "rules", "earlier_keys"}
_VERSION = 3
"""Raised if the same policy gives other values: then each new build writes its files again."""
_LEAST_KEY_BYTES = 16


@dataclass(frozen=True, slots=True)
class PrivacyKey:
    """The secret of the hashes; the metadata of hashed columns has its `key_id`."""

    key_id: str
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not self.key_id or len(self.secret) < _LEAST_KEY_BYTES:
            msg = f"privacy key {self.key_id!r}: it needs an id and a secret of at least {_LEAST_KEY_BYTES} bytes"
            raise ConfigError(msg)

    @classmethod
    def parse(cls, text: str) -> PrivacyKey:
        """Parse ``<key id>:<secret>``."""
        key_id, found, secret = text.partition(":")
        if not found:
            # do not show the text: it may be only the secret
            msg = "a privacy key is written <key id>:<secret>, but this one has no colon"
            raise ConfigError(msg)
        return cls(key_id, secret.encode())

    def digest(self, text: str) -> str:
        """Return the HMAC-SHA-256 of a value's text, in hex."""
        return hmac.digest(self.secret, text.encode("utf-8", "surrogatepass"), "sha256").hex()

    @property
    def check(self) -> str:
        """Return a text that another secret does not give, and that says nothing of the secret."""
        return self.digest("pismo_lake check of a privacy key")[:16]


def parse_keys(text: str) -> tuple[PrivacyKey, ...]:
    """Return the keys of a text with a key, ``<key id>:<secret>``, on each line."""
    return tuple(PrivacyKey.parse(line) for line in text.splitlines() if line.strip())


@dataclass(frozen=True, slots=True)
class Privacy:
    """A policy in use: its rules in order, whether it masks card numbers in text, its keys.

    Values are hashed with `key`. Older rows of the lake may be hashed with the `earlier` keys, by which an erasure
    finds them. `earlier_ids` are the ids of the earlier keys that the policy file names.
    """

    name: str
    rules: tuple[Rule, ...]
    card_numbers: bool = False
    key: PrivacyKey | None = None
    earlier: tuple[PrivacyKey, ...] = ()
    earlier_ids: tuple[str, ...] = ()
    _finder: RuleFinder = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_finder", RuleFinder(self.rules))

    def keys(self) -> dict[str, tuple[PrivacyKey, ...]]:
        """Return the present key and the earlier ones by their ids; keys of one id may have several secrets.

        Raises:
            ConfigError: The policy file names an earlier key that is not given.
        """
        found: dict[str, tuple[PrivacyKey, ...]] = {}
        for key in dict.fromkeys((*((self.key,) if self.key else ()), *self.earlier)):
            found[key.key_id] = (*found.get(key.key_id, ()), key)
        if missing := [key_id for key_id in self.earlier_ids if key_id not in found]:
            msg = (
                f"privacy policy {self.name} names the earlier key(s) {', '.join(missing)}: give them"
                " (privacy_earlier_key_conn_ids, or PISMO_PRIVACY_EARLIER_KEYS)"
            )
            raise ConfigError(msg)
        return found

    def rule(self, event: str, keys: tuple[str, ...]) -> Rule | None:
        """Return the rule for a path of an event type; None without one, or if it only scans."""
        found = self._finder.find(event, keys)
        return None if found is None or found.action is Action.SCAN else found

    @property
    def hashes(self) -> bool:
        """Whether the policy needs a key."""
        return any(rule.action is Action.HASH for rule in self.rules)

    def check_keys(self) -> Privacy:
        """Check that a policy that hashes has a key; return the policy itself.

        Raises:
            ConfigError: it hashes and has no key.
        """
        if self.hashes and self.key is None:
            msg = f"privacy policy {self.name} hashes: give its key (privacy_key_conn_id, or PISMO_PRIVACY_KEY)"
            raise ConfigError(msg)
        return self

    def fingerprint(self) -> str:
        """Return a digest of everything that outputs depend on; the secret cannot be read from it."""
        rules = [
            [rule.path, rule.action, rule.event, rule.last, rule.names, rule.alone, rule.values, rule.below]
            for rule in self.rules
        ]
        key = [self.key.key_id, self.key.digest("pismo_lake")] if self.key and self.hashes else None
        return hashlib.sha256(json.dumps([_VERSION, rules, self.card_numbers, key]).encode()).hexdigest()


def load_privacy(policy: str, key: PrivacyKey | None = None, earlier: tuple[PrivacyKey, ...] = ()) -> Privacy:
    """Return a policy by its name (`strict`) or from a YAML file.

    A process reads the file again only after it has changed. The file has ``rules``, a list of ``path`` or ``names``,
    and ``action``, and the other fields of `Rule`. ``card_numbers: mask`` is for all values that no rule is for.
    ``words`` are lists of words: ``<person> name`` in names is ``name`` with each word of ``person``.
    ``extends: strict`` appends the shipped rules to its own. ``earlier_keys`` are the ids of keys with which older rows
    of the lake are hashed.

    Raises:
        ConfigError: the file cannot be read, or a rule in it is wrong.
    """
    try:
        found = _read(policy, None if policy == STRICT else stamp_of(Path(policy)))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        msg = f"privacy policy {policy}: {error}"
        raise ConfigError(msg) from error
    return found if key is None and not earlier else replace(found, key=key, earlier=earlier)


@lru_cache(maxsize=64)
def _read(policy: str, stamp: Stamp | None) -> Privacy:  # noqa: ARG001 - a changed file is another entry
    document = load_plain(_text(policy))
    if not isinstance(document, dict) or not document.keys() <= _POLICY_KEYS:
        msg = f"privacy policy {policy}: a mapping of {', '.join(sorted(_POLICY_KEYS))} is expected"
        raise ConfigError(msg)
    listed = document.get("rules", [])
    if not isinstance(listed, list) or document.get("card_numbers") not in _CARD_NUMBERS:
        msg = f"privacy policy {policy}: rules are a list, card_numbers is mask or keep"
        raise ConfigError(msg)
    earlier = document.get("earlier_keys", [])
    if not isinstance(earlier, list) or not all(isinstance(key_id, str) and key_id for key_id in earlier):
        msg = f"privacy policy {policy}: earlier_keys is a list of the ids of keys; secrets are never in a file"
        raise ConfigError(msg)
    words = _words(policy, document.get("words", {}))
    rules = tuple(_parse_rule(policy, number, rule, words) for number, rule in enumerate(listed, 1))
    masked = document.get("card_numbers") == "mask"
    if document.get("extends") is not None:
        if document["extends"] != STRICT or policy == STRICT:
            msg = f"privacy policy {policy}: extends can only be {STRICT}"
            raise ConfigError(msg)
        base = load_privacy(STRICT)
        rules += base.rules
        masked = base.card_numbers if document.get("card_numbers") is None else masked
    return Privacy(policy, rules, masked, earlier_ids=tuple(earlier))


def _text(policy: str) -> str:
    if policy == STRICT:
        return files("pismo_lake.settings").joinpath("policies", "strict.yaml").read_text(encoding="utf-8")
    return Path(policy).read_text(encoding="utf-8")


def _words(policy: str, listed: Any) -> dict[str, list[str]]:
    if not isinstance(listed, dict) or not all(map(_are_names, listed.values())):
        msg = f"privacy policy {policy}: words are lists of words by name"
        raise ConfigError(msg)
    return {str(name): _split_names(words) for name, words in listed.items()}


def _are_names(names: Any) -> bool:
    """Return whether names are a text or a list of texts, each blank or with a letter or a digit.

    YAML reads ``no`` and ``on`` as truth values: without quotes they are no names.
    """
    texts = names.split(",") if isinstance(names, str) else names
    return isinstance(texts, list) and all(map(_may_be_name, texts))


def _may_be_name(text: Any) -> bool:
    return isinstance(text, str) and (not text.strip() or re.search(r"\w", text) is not None)


def _split_names(names: str | list[str]) -> list[str]:
    """Return the names of a list, or of a text with commas."""
    texts = names.split(",") if isinstance(names, str) else names
    return [" ".join(text.replace("_", " ").casefold().split()) for text in texts if text.strip()]


def _spell_out(names: str | list[str], words: dict[str, list[str]]) -> tuple[str, ...]:
    """Return names; a name with a list of words is repeated for each word of the list."""
    found: list[str] = []
    for name in _split_names(names):
        used = re.search(r"<([^<>]+)>", name)
        found += [name] if used is None else [name.replace(used[0], word) for word in words[used[1]]]
    return tuple(dict.fromkeys(found))


def _parse_rule(policy: str, number: int, rule: Any, words: dict[str, list[str]]) -> Rule:
    where = f"privacy policy {policy}, rule {number}"
    if not isinstance(rule, dict) or not rule.keys() <= _RULE_KEYS or "action" not in rule or _lacks_place(rule):
        msg = f"{where}: path and action are expected (or names and action), event and last may be given"
        raise ConfigError(msg)
    try:
        action = Action(rule["action"])
    except ValueError:
        msg = f"{where}: action is {rule['action']!r}, allowed: {', '.join(Action)}"
        raise ConfigError(msg) from None
    for part, kind, wanted in _PARTS:
        if not isinstance(rule.get(part, kind()), kind):
            msg = f"{where}: {part} is {rule[part]!r}, {wanted} is expected"
            raise ConfigError(msg)
    last = rule.get("last", 0)
    if type(last) is not int or last < 0 or (last and action is not Action.MASK):
        msg = f"{where}: last is the number of characters that a mask leaves"
        raise ConfigError(msg)
    try:
        names, below = (_spell_out(rule.get(part, []), words) for part in ("names", "below"))
    except KeyError as error:
        msg = f"{where}: unknown list of words {error.args[0]!r}"
        raise ConfigError(msg) from None
    return Rule(
        rule.get("path", ""), action, rule.get("event", "**"), last, names, rule.get("alone", False),
        rule.get("values", False), below,
    )  # fmt: skip


def _lacks_place(rule: dict[str, Any]) -> bool:
    """Return whether a rule lacks a path and names, has both, or has an empty path or wrong names."""
    named = [rule[part] for part in ("names", "below") if part in rule]
    return (
        ("path" in rule) == ("names" in rule)
        or rule.get("path") == ""
        or not all(_are_names(names) and _split_names(names) for names in named)
    )
