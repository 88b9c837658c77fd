"""Share units out to mapped tasks so that no two tasks build the same unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def share_out(lists: Iterable[Iterable[str]]) -> list[list[str]]:
    """Merge lists that share a unit; return the rest unchanged, in order of publish time.

    The order within a list matters. If a unit wins a copy of an event, it is built before the later unit that loses
    it. So a reader finds the event at each moment.
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
