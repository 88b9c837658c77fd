"""Tasks that find and land files start without the libraries that read and write Parquet."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[4]


def test_finding_and_landing_import_no_pyarrow() -> None:
    program = "import sys, pismo.runs.find, pismo.runs.land; print({'numpy', 'pandas', 'pyarrow'} & sys.modules.keys())"
    paths = os.pathsep.join([str(ROOT / "include"), str(ROOT / "plugins")])
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, "set()"), done.stderr
