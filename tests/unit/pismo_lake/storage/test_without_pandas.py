"""The processes of commands run without pandas; a program that uses the lake as a library keeps its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.lakes import event

ROOT = Path(__file__).parents[4]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the checkout."""
    return subprocess.run(
        [sys.executable, *arguments], env={**os.environ, "PYTHONPATH": str(ROOT / "include")}, capture_output=True,
        text=True, check=True,
    )  # fmt: skip


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_command_imports_no_pandas(tmp_path: Path, jobs: str) -> None:
    for hour in (3, 4):
        path = tmp_path / f"raw/main_stream/2026/3/1/{hour}/a"
        path.parent.mkdir(parents=True)
        path.write_bytes(event(f"e-{hour}"))
    call = ("flatten", str(tmp_path / "raw"), "--lake", str(tmp_path / "lake"), "--jobs", jobs)
    # lists the imports of worker processes too, and also an import that fails: so look for a part of pandas
    listed = run("-X", "importtime", "-m", "pismo_lake", *call).stderr.splitlines()
    imported = {line.rpartition("|")[2].strip() for line in listed}
    assert "pyarrow" in imported
    assert "pandas.core" not in imported


def test_a_program_that_uses_the_lake_keeps_pandas_and_its_missing_values() -> None:
    program = (
        "import pismo_lake.index, pismo_lake.build, pyarrow as pa\n"
        "pa.array([1]), pa.scalar(1.5)\n"
        "import pandas\n"
        "print(pa.array([pandas.NA, 1], from_pandas=True).null_count, pa.array(pandas.Series([1.5, None])).null_count)"
    )
    assert run("-c", program).stdout.split() == ["1", "1"]
