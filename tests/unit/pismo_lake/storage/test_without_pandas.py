"""The lake leaves pandas out of a process, and pyarrow knows pandas again if the program imports it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]


def run(program: str) -> list[str]:
    """Run a program in an interpreter of its own, and return the words that it prints."""
    path = f"import sys; sys.path.insert(0, {str(ROOT / 'include')!r})\n"
    done = subprocess.run([sys.executable, "-c", path + program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_conversions_of_python_values_do_not_import_pandas() -> None:
    assert run(
        "import pismo_lake.contracts.columns, pismo_lake.index, numpy as np, pyarrow as pa\n"
        "pa.array([1]), pa.array(np.arange(3)), pa.array([1, None]).fill_null(1), pa.scalar(1.5)\n"
        "print('pandas' in sys.modules)"
    ) == ["False"]


@pytest.mark.parametrize(
    "first",
    [
        "import pismo_lake.index, pandas",
        "import pandas, pismo_lake.index",
        "import pismo_lake.index, importlib.util; importlib.util.find_spec('pandas'); import pandas",
        "import pismo_lake.index, pyarrow; pyarrow.table({'a': [1]}).to_pandas(); import pandas",
    ],
)
def test_pyarrow_knows_pandas_that_the_program_imports(first: str) -> None:
    assert run(
        f"{first}\n"
        "import pyarrow as pa\n"
        # without pandas, the missing value would be NaN, and the categories would be texts
        "print(pa.array(pandas.Series([1.5, None])).null_count)\n"
        "print(pa.types.is_dictionary(pa.array(pandas.Categorical(['a', 'a'])).type))\n"
        "print(pa.Table.from_pandas(pandas.DataFrame({'a': [1, 2]})).to_pandas().shape == (2, 1))"
    ) == ["1", "True", "True"]
