"""Keep pandas, which the lake does not use, out of the processes of its own commands.

At the first conversion of a Python value, pyarrow looks for pandas by importing it. That costs a process 0.25 CPU
seconds and 36 MB of memory. pyarrow remembers for good that there is no pandas: it would not know the missing values
of a pandas that is imported later. So only a process that runs nothing but the lake's own code may do this.
"""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType


class _NoPandas(MetaPathFinder):
    """Refuses to find pandas, as if it were not installed."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:  # noqa: ARG002
        if name == "pandas":
            msg = "no command of the lake uses pandas"
            raise ModuleNotFoundError(msg, name=name)


def leave_pandas_out() -> None:
    """Refuse to import pandas until the process ends."""
    sys.meta_path.insert(0, _NoPandas())
