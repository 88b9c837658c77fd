"""One rule of a privacy policy, and the actions that rules have."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """What happens to the values of a path; all but keep, scan and drop give text.

    `keep` keeps a value as it is. `scan` keeps it but for card numbers, and but for personal fields of JSON in it, as
    if no rule spoke of it.
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

    `event` limits a rule to event types; `last` characters stay of a mask. Names are words; a rule with names is for
    every key that has the words of one of them, at any depth, and for everything below it. With `alone` the key has no
    other words. With `values` the rule is for values right under the key, not for objects. With `below` a key above has
    one of these names.
    """

    path: str
    action: Action
    event: str = "**"
    last: int = 0
    names: tuple[str, ...] = ()
    alone: bool = False
    values: bool = False
    below: tuple[str, ...] = ()
