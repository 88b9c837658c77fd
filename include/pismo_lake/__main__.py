"""Run the command line: `pismo-lake`, or `python -m pismo_lake`. Installed packages may add commands."""

from __future__ import annotations

import logging
import os
import sys
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Command = Callable[[Sequence[str]], int]

COMMANDS = "pismo_lake.commands"
"""The group of entry points that add commands: functions that take the words after their name, and return a status."""

_PIPE_CLOSED = 141


def run() -> NoReturn:
    """Run the command that the command line names, and end the process with its status."""
    words = sys.argv[1:]
    try:
        added = find_command(words[0]) if words else None
        code = added(words[1:]) if added else _main()
        sys.stdout.flush()
    except BrokenPipeError:
        # the reader of the output has ended, for example `| head`
        code = _PIPE_CLOSED
    logging.shutdown()
    # everything is written and closed; in a normal exit, pyarrow's idle threads sometimes abort the interpreter
    os._exit(code)


def find_command(name: str) -> Command | None:
    """Return the command of this name that an installed package adds; None if there is none."""
    for found in entry_points(group=COMMANDS, name=name):
        command: Command = found.load()
        return command
    return None


def _main() -> int:
    from pismo_lake.cli.main import main

    return main()


if __name__ == "__main__":  # worker processes import this module too, and need no command line
    run()
