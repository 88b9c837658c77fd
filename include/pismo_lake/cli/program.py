"""Run the program `pismo-lake`: a command of the lake, or of another installed package."""

from __future__ import annotations

import gc
import logging
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from pismo_lake.cli.added import find_command
from pismo_lake.cli.codes import INTERRUPTED, PIPE_CLOSED

if TYPE_CHECKING:
    from collections.abc import Sequence


# imports make many objects that live as long as the process, and lists of events few circles
_OBJECTS = 500_000


def run() -> NoReturn:
    """Run the command that the command line names, and end the process with its status."""
    gc.set_threshold(_OBJECTS)
    # pyarrow's allocator would return memory to the system after each file, and ask for it again
    os.environ.setdefault("MIMALLOC_PURGE_DELAY", "-1")
    # NumPy's linear algebra, which no command uses, would start a thread for each core
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # pydantic would look for plugins in all installed packages
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    for stream in (sys.stdout, sys.stderr):
        # a key may hold half a character
        with suppress(AttributeError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        code = _run(sys.argv[1:])
    except SystemExit as ended:
        # help, or a wrong call
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BrokenPipeError:
        # the reader of the output has ended, for example `| head`
        code = PIPE_CLOSED
    except KeyboardInterrupt:
        code = INTERRUPTED
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        code = PIPE_CLOSED
    logging.shutdown()
    # everything is written and closed; in a normal exit, pyarrow's idle threads sometimes abort the interpreter
    os._exit(code)


def _run(words: Sequence[str]) -> int:
    from pismo_lake.cli.app import own_commands
    from pismo_lake.cli.main import main

    # a search through all installed packages takes time
    if words and not words[0].startswith("-") and words[0] not in own_commands():
        added = find_command(words[0])
        if added is not None:
            return added(words[1:])
    from pismo_lake.storage.without_pandas import leave_pandas_out

    leave_pandas_out()
    return main(words)
