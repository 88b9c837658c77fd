"""`python -m pismo_lake`."""

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
        # whoever read the output has seen enough, `| head` for one
        code = _PIPE_CLOSED
    logging.shutdown()
    # everything is written and closed; pyarrow's idle threads abort the interpreter's own way out once in a while
    os._exit(code)
