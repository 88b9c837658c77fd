"""A command that only asks the ledger imports none of the slow libraries that read and write Parquet."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
SLOW = ("pyarrow", "numpy", "pandas", "jinja2", "referencing", "boto3", "sqlalchemy.dialects.postgresql")
PROGRAM = """
import sys
sys.path.insert(0, sys.argv.pop(1))
slow = sys.argv.pop(1).split()
from pismo_lake.cli.main import main
code = main(sys.argv[1:])
print("imported:", *(name for name in slow if name in sys.modules))
sys.exit(code)
"""


@pytest.mark.parametrize("command", ["status", "files"])
def test_questions_to_the_ledger_start_without_slow_libraries(lake: str, command: str) -> None:
    call = [sys.executable, "-c", PROGRAM, str(ROOT / "include"), " ".join(SLOW), command, "--lake", lake]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["imported:"]), done.stderr


def test_a_plain_lake_is_closed_without_the_library_of_tables(lake: str) -> None:
    call = [sys.executable, "-c", PROGRAM, str(ROOT / "include"), "pyiceberg", "close", "--lake", lake]
    done = subprocess.run([*call, "--date", "2026-03-01"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["imported:"]), done.stderr
    assert not (Path(lake) / "_iceberg").exists()
