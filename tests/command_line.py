"""The command line as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

INCLUDE = Path(__file__).resolve().parents[1] / "include"


def start(*words: str, **options: Any) -> subprocess.Popen[bytes]:
    """Start the command line as a process."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PISMO_")}
    # an unbuffered stdout writes small parts, which no caller has
    environment.pop("PYTHONUNBUFFERED", None)
    environment |= {"PYTHONPATH": str(INCLUDE)} | options.pop("env", {})
    return subprocess.Popen([sys.executable, "-m", "pismo_lake", *words], env=environment, **options)
