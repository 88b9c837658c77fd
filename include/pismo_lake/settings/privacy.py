"""Privacy policies: which payload paths are kept, dropped, masked, hashed or coarsened, and the key they hash with.

A policy is a list of rules, the first that matches a path or any object above it decides (see `path_patterns`).
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from pismo_lake.errors import ConfigError
from pismo_lake.settings.patterns import covers, covers_event

STRICT = "strict"
"""The policy that comes with the project: every personal field that Pismo's event pages show."""

_RULE_KEYS = {"path", "action", "event", "last"}
_POLICY_KEYS = {"extends", "card_numbers", "rules"}
_LEAST_KEY_BYTES = 16


class Action(StrEnum):
    """What happens to the values of a path; all but keep and drop give text."""

    KEEP = "keep"
    DROP = "drop"
    MASK = "mask"
    HASH = "hash"
    YEAR = "year"
    MONTH = "month"
    DECADE = "decade"

    @property
    def gives_text(self) -> bool:
        """Whether a column of another type becomes text."""
        return self not in {Action.KEEP, Action.DROP}


@dataclass(frozen=True, slots=True)
class Rule:
    """A path pattern and what to do there; `event` limits it to event types, `last` characters stay of a mask."""

    path: str
    action: Action
    event: str = "**"
    last: int = 0


@dataclass(frozen=True, slots=True)
class PrivacyKey:
    """The secret that hashes are made with; `key_id` stands in the metadata of hashed columns."""

    key_id: str
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not self.key_id or len(self.secret) < _LEAST_KEY_BYTES:
            msg = f"privacy key {self.key_id!r}: it needs an id and a secret of at least {_LEAST_KEY_BYTES} bytes"
            raise ConfigError(msg)

    @classmethod
    def parse(cls, text: str) -> PrivacyKey:
        """From ``<key id>:<secret>``."""
        key_id, found, secret = text.partition(":")
        if not found:
            # the text may be the secret alone: it is not shown
            msg = "a privacy key is written <key id>:<secret>, this one has no colon"
            raise ConfigError(msg)
        return cls(key_id, secret.encode())

    def digest(self, text: str) -> str:
        """HMAC-SHA-256 of a value's text, in hex."""
        return hmac.digest(self.secret, text.encode("utf-8", "surrogatepass"), "sha256").hex()


@dataclass(frozen=True, slots=True)
class Privacy:
    """A policy in force: its rules in order, whether card numbers in free text are masked, and its key."""

    name: str
    rules: tuple[Rule, ...]
    card_numbers: bool = False
    key: PrivacyKey | None = None

    def rule(self, event: str, keys: tuple[str, ...]) -> Rule | None:
        """The rule for a path of an event type; None where it is kept as nothing speaks of it."""
        return _rule(self.rules, event, keys)

    @property
    def hashes(self) -> bool:
        """Whether a key is needed."""
        return any(rule.action is Action.HASH for rule in self.rules)

    def checked(self) -> Privacy:
        """Itself; `ConfigError` where it hashes and has no key."""
        if self.hashes and self.key is None:
            msg = f"privacy policy {self.name} hashes: give its key (privacy_key_conn_id, or PISMO_PRIVACY_KEY)"
            raise ConfigError(msg)
        return self

    def fingerprint(self) -> str:
        """Of everything that outputs depend on; the secret itself cannot be had from it."""
        rules = [[rule.path, rule.action, rule.event, rule.last] for rule in self.rules]
        key = [self.key.key_id, self.key.digest("pismo_lake")] if self.key and self.hashes else None
        return hashlib.sha256(json.dumps([rules, self.card_numbers, key]).encode()).hexdigest()


def load_privacy(policy: str, key: PrivacyKey | None = None) -> Privacy:
    """Return a policy by its name (`strict`) or from a YAML file, which a process reads again only if it has changed.

    The file has ``rules``, a list of ``path``, ``action``, and optionally ``event`` and ``last``.
    ``card_numbers: mask`` masks card numbers in text. ``extends: strict`` appends the shipped rules to its own.

    Raises:
        ConfigError: the file cannot be read, or a rule in it is wrong.
    """
    try:
        stat = None if policy == STRICT else Path(policy).stat()
        stamp = None if stat is None else (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        found = _read(policy, stamp)
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        msg = f"privacy policy {policy}: {error}"
        raise ConfigError(msg) from error
    return found if key is None else replace(found, key=key)


@lru_cache(maxsize=64)
def _read(policy: str, stamp: tuple[int, int, int] | None) -> Privacy:  # noqa: ARG001 - a changed file is another entry
    document = yaml.safe_load(_text(policy))
    if not isinstance(document, dict) or not document.keys() <= _POLICY_KEYS:
        msg = f"privacy policy {policy}: a mapping of {', '.join(sorted(_POLICY_KEYS))} is expected"
        raise ConfigError(msg)
    listed = document.get("rules", [])
    if not isinstance(listed, list) or document.get("card_numbers") not in {None, "mask", "keep"}:
        msg = f"privacy policy {policy}: rules are a list, card_numbers is mask or keep"
        raise ConfigError(msg)
    rules = tuple(_parsed(policy, number, rule) for number, rule in enumerate(listed, 1))
    masked = document.get("card_numbers") == "mask"
    if document.get("extends") is not None:
        if document["extends"] != STRICT or policy == STRICT:
            msg = f"privacy policy {policy}: extends can only be {STRICT}"
            raise ConfigError(msg)
        base = load_privacy(STRICT)
        rules += base.rules
        masked = base.card_numbers if document.get("card_numbers") is None else masked
    return Privacy(policy, rules, masked)


def _text(policy: str) -> str:
    if policy == STRICT:
        return files("pismo_lake.settings").joinpath("policies", "strict.yaml").read_text(encoding="utf-8")
    return Path(policy).read_text(encoding="utf-8")


def _parsed(policy: str, number: int, rule: Any) -> Rule:
    where = f"privacy policy {policy}, rule {number}"
    if not isinstance(rule, dict) or not rule.keys() <= _RULE_KEYS or not {"path", "action"} <= rule.keys():
        msg = f"{where}: path and action are expected, event and last may be given"
        raise ConfigError(msg)
    try:
        action = Action(rule["action"])
    except ValueError:
        msg = f"{where}: action is {rule['action']!r}, allowed: {', '.join(Action)}"
        raise ConfigError(msg) from None
    last = rule.get("last", 0)
    if type(last) is not int or last < 0 or (last and action is not Action.MASK):
        msg = f"{where}: last is a count of characters that a mask leaves"
        raise ConfigError(msg)
    return Rule(str(rule["path"]), action, str(rule.get("event", "**")), last)


@lru_cache(maxsize=65536)
def _rule(rules: tuple[Rule, ...], event: str, keys: tuple[str, ...]) -> Rule | None:
    return next((rule for rule in rules if covers_event(rule.event, event) and covers(rule.path, keys)), None)
