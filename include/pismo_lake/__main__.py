"""`python -m pismo_lake`."""

from __future__ import annotations

import sys

from pismo_lake.cli import main

sys.exit(main())
