"""Apply a policy to single values: leaves, JSON text, `_rescued` and whole events."""

from __future__ import annotations

import re
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from typing import TYPE_CHECKING, Any

from pismo_lake.decode.envelope import parse_exact
from pismo_lake.decode.exact_json import Unbounded, dumps, loads
from pismo_lake.decode.fields import ENVELOPE_KEYS, PAYLOAD_KEY
from pismo_lake.privacy.card_numbers import STARS, SUSPECT, mask_number, mask_text
from pismo_lake.privacy.json_inside import JSON_SUSPECT, JsonInside
from pismo_lake.privacy.pair_names import PAIR_SUSPECT
from pismo_lake.privacy.pairs_inside import PairsInside
from pismo_lake.settings.rules import Action

if TYPE_CHECKING:
    from collections.abc import Collection

    from pismo_lake.settings.privacy import Privacy
    from pismo_lake.settings.rules import Rule

_ENVELOPE_TEXTS = ENVELOPE_KEYS - {PAYLOAD_KEY}
_LONGEST = 1000
_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
_DATE = re.compile(r"(\d{4})-(\d\d)(?!\d)")


class Redactor:
    """A policy applied to the values of one event type, named ``<domain>/<name with version>``."""

    def __init__(self, privacy: Privacy, event: str) -> None:
        self.privacy, self.event_type = privacy, event
        self._key = privacy.check_keys().key
        pairs = PairsInside(self.rule, self.value, self._numbers)
        self._inside = JsonInside(self.value, self._is_dropped, self._numbers, pairs)

    def rule(self, keys: tuple[str, ...]) -> Rule | None:
        """Return the rule for a path in the payload, or for a path of extra envelope keys."""
        return self.privacy.rule(self.event_type, keys)

    def value(self, value: Any, keys: tuple[str, ...]) -> Any:
        """Return a JSON value at a path after the policy, with all values of an object or a list."""
        rule = self.rule(keys)
        if rule is not None and rule.action is Action.DROP and not (rule.values and isinstance(value, dict | list)):
            return None
        if isinstance(value, dict):
            return {key: self.value(item, (*keys, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self.value(item, keys) for item in value]
        if rule is None:
            return self.free_text(value, keys) if isinstance(value, str) else self.number(value)
        return value if rule.action is Action.KEEP else self.leaf(value, rule)

    def leaf(self, value: Any, rule: Rule) -> str | None:
        """Apply a rule that changes or drops a leaf; return a text or None."""
        if value is None or rule.action is Action.DROP:
            return None
        text = leaf_text(value)
        if rule.action is Action.HASH:
            # Privacy.check_keys refuses a policy that hashes without a key
            return self._key.digest(text) if self._key else None
        if rule.action is Action.MASK:
            # show at most half of the text
            return STARS + (text[-rule.last :] if 0 < 2 * rule.last <= len(text) else "")
        found = _DATE.match(text)
        if not found:
            return None
        year, month = found.groups()
        return {Action.YEAR: year, Action.MONTH: f"{year}-{month}", Action.DECADE: f"{year[:3]}0s"}[rule.action]

    def free_text(self, text: str, keys: tuple[str, ...] = ()) -> str:
        """Return a text after the policy: card numbers are masked, JSON and names with values are changed."""
        return self._inside.change(text, keys)

    @property
    def suspect(self) -> str:
        """Return a pattern (RE2) of all texts that `free_text` may change."""
        suspect = f"{JSON_SUSPECT}|{PAIR_SUSPECT}"
        return f"{suspect}|{SUSPECT}" if self.privacy.card_numbers else suspect

    def number(self, value: Any) -> Any:
        """Return a value, or the masked text of a number that is a card number."""
        return (mask_number(value) or value) if self.privacy.card_numbers else value

    def _numbers(self, text: str) -> str:
        return mask_text(text) if self.privacy.card_numbers else text

    def _is_dropped(self, keys: tuple[str, ...]) -> bool:
        rule = self.rule(keys)
        return rule is not None and rule.action is Action.DROP and not rule.values

    def json_text(self, text: str, keys: tuple[str, ...]) -> str:
        """Return the value of a column of JSON text after the policy."""
        return dumps(self.value(loads(text), keys))

    def redact_rescued(self, text: str) -> str:
        """Return `_rescued` after the policy: paths and reasons stay, each value by its own path."""
        entries = loads(text)
        for entry in entries:
            entry["value"] = self.value(entry["value"], _keys(entry["path"], entry.get("positions", ())))
        return dumps(entries)

    def event(self, raw: bytes) -> str:
        """Return a whole event as JSON text after the policy.

        Raises:
            ValueError: the bytes are no JSON event.
        """
        parsed = parse_exact(raw)
        kept = {
            key: item if key in _ENVELOPE_TEXTS and isinstance(item, str) else self.value(item, _below(key))
            for key, item in parsed.items()
        }
        return dumps(kept)


def _below(key: str) -> tuple[str, ...]:
    """Return the path of an envelope key for policies; the payload's own paths have no `data`."""
    return () if key == PAYLOAD_KEY else (key,)


def _keys(pointer: str, positions: Collection[int]) -> tuple[str, ...]:
    """Return the keys of a rescued value's path as policies name it, without list positions."""
    steps = [step for at, step in enumerate(pointer.removeprefix("/").split("/")) if at not in positions]
    first, *rest = (step.replace("~1", "/").replace("~0", "~") for step in steps)
    return (*_below(first), *rest)


def leaf_text(value: Any) -> str:
    """Return a leaf as text, with one spelling for equal values: 1.50 and 1.5 have one hash."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        if not value:
            return "0"
        if isinstance(value, Unbounded):
            return str(value)
        if abs(value.adjusted()) > _LONGEST:
            # all its digits could fill the memory
            return str(value.normalize(_EXACT))
        plain = f"{value:f}"
        return plain.rstrip("0").rstrip(".") if "." in plain else plain
    return str(value)
