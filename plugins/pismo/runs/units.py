"""Share units out to mapped tasks so that no two tasks build the same unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def share_out(lists: Iterable[Iterable[str]]) -> list[list[str]]:
    """Return lists that do not overlap: lists that share a unit become one, in order of publish time.

    The order within a list matters. A unit that wins a copy of an event is built before a later unit that loses it, so
    that a reader finds the event at each moment.
    """
    groups: list[set[str]] = []
    for units in lists:
        joined = set(units)
        if not joined:
            continue
        apart = []
        for group in groups:
            if group & joined:
                joined |= group
            else:
                apart.append(group)
        groups = [*apart, joined]
    return sorted(sorted(group) for group in groups)
