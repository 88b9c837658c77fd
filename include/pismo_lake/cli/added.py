"""Find the commands that other installed packages add to the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    AddedCommand = Callable[[Sequence[str]], int]

COMMANDS = "pismo_lake.commands"
"""The group of entry points that add commands: functions that take the words after their name, and return a status."""


def find_command(name: str) -> AddedCommand | None:
    """Return the command of this name that an installed package adds; None if there is none."""
    from importlib.metadata import entry_points

    for found in entry_points(group=COMMANDS, name=name):
        command: AddedCommand = found.load()
        return command
    return None


def load_added_commands() -> list[str]:
    """Return the names of the commands that installed packages add."""
    from importlib.metadata import entry_points

    return sorted(set(entry_points(group=COMMANDS).names))
