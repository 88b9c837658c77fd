"""Run the command line: `python -m pismo_lake`."""

from __future__ import annotations

import logging
import os
import sys

_PIPE_CLOSED = 141

if __name__ == "__main__":  # worker processes import this module too, and need no command line
    from pismo_lake.cli.main import main

    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:
        # the reader of the output has ended, for example `| head`
        code = _PIPE_CLOSED
    logging.shutdown()
    # everything is written and closed; in a normal exit, pyarrow's idle threads sometimes abort the interpreter
    os._exit(code)
