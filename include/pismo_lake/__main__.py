"""`python -m pismo_lake`."""

from __future__ import annotations

import logging
import os
import sys

from pismo_lake.cli import main

code = main()
logging.shutdown()
sys.stdout.flush()
sys.stderr.flush()
# everything is written and closed; pyarrow's idle threads abort the interpreter's own way out once in a thousand times
os._exit(code)
