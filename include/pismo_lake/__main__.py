"""`python -m pismo_lake`."""

from __future__ import annotations

import logging
import os
import sys

from pismo_lake.cli import main

_PIPE_CLOSED = 141

try:
    code = main()
    sys.stdout.flush()
except BrokenPipeError:
    # whoever read the output has seen enough, `| head` for one
    code = _PIPE_CLOSED
logging.shutdown()
# everything is written and closed; pyarrow's idle threads abort the interpreter's own way out once in a thousand times
os._exit(code)
