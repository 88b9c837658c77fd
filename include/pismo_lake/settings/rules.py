"""Define one rule of a privacy policy, and the actions of rules."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """The fate of the values of a path; all actions except keep, scan and drop give text.

    `keep` keeps a value unchanged. `scan` keeps it, except for card numbers and for personal fields of JSON in it, as
    for a path without a rule.
    """

    KEEP = "keep"
    DROP = "drop"
    MASK = "mask"
    HASH = "hash"
    YEAR = "year"
    MONTH = "month"
    DECADE = "decade"
    SCAN = "scan"

    @property
    def gives_text(self) -> bool:
        """Whether a column of another type becomes text."""
        return self not in {Action.KEEP, Action.SCAN, Action.DROP}


@dataclass(frozen=True, slots=True)
class Rule:
    """A path pattern, or names of fields, and the action there.

    `event` limits a rule to event types; a mask leaves the `last` characters. Names are words: a rule with names
    applies to every key that has the words of one of them, at any depth, and to everything below it. With `alone` the
    key has no other words. With `values` the rule applies to values right under the key, not to objects. With `below`
    a key above has one of these names.
    """

    path: str
    action: Action
    event: str = "**"
    last: int = 0
    names: tuple[str, ...] = ()
    alone: bool = False
    values: bool = False
    below: tuple[str, ...] = ()
