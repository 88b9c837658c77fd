"""Run the program `pismo-lake`: a command of the lake, or one that another installed package adds."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Command = Callable[[Sequence[str]], int]

COMMANDS = "pismo_lake.commands"
"""The group of entry points that add commands: functions that take the words after their name, and return a status."""

INTERRUPTED, PIPE_CLOSED = 130, 141


def run() -> NoReturn:
    """Run the command that the command line names, and end the process with its status."""
    for stream in (sys.stdout, sys.stderr):
        # a key may hold half a character
        with suppress(AttributeError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        code = _run(sys.argv[1:])
        sys.stdout.flush()
        sys.stderr.flush()
    except SystemExit as ended:
        # help, or a wrong call
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BrokenPipeError:
        # the reader of the output has ended, for example `| head`
        code = PIPE_CLOSED
    except KeyboardInterrupt:
        code = INTERRUPTED
    logging.shutdown()
    # everything is written and closed; in a normal exit, pyarrow's idle threads sometimes abort the interpreter
    os._exit(code)


def find_command(name: str) -> Command | None:
    """Return the command of this name that an installed package adds; None if there is none."""
    for found in entry_points(group=COMMANDS, name=name):
        command: Command = found.load()
        return command
    return None


def added_commands() -> list[str]:
    """Return the names of the commands that installed packages add."""
    return sorted(set(entry_points(group=COMMANDS).names))


def _run(words: Sequence[str]) -> int:
    from pismo_lake.cli.app import own_commands
    from pismo_lake.cli.main import main

    # the search through all installed packages takes time: only for a name that is none of ours
    if words and not words[0].startswith("-") and words[0] not in own_commands():
        added = find_command(words[0])
        if added is not None:
            return added(words[1:])
    return main(words)
