"""Keep pyarrow from importing pandas, which the lake does not use.

At the first conversion of a Python value, pyarrow looks for pandas by importing it. That costs each process 0.25 CPU
seconds and 36 MB of memory. pyarrow remembers the answer. So it looks once while pandas is hidden. If the program
imports pandas later, pyarrow looks again, and then treats pandas' own arrays as it always does.
"""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_PANDAS = "pandas"


class _Hider(MetaPathFinder):
    """Hides pandas from one thread while `hides`; after that it tells pyarrow if pandas is imported."""

    def __init__(self) -> None:
        self.hides = True
        self._thread = threading.get_ident()

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:  # fmt: skip
        """Refuse pandas while it is hidden, else find it as the other finders do."""
        if name != _PANDAS:
            return None
        if self.hides and threading.get_ident() == self._thread:
            msg = "pandas is hidden from pyarrow"
            raise ModuleNotFoundError(msg, name=name)
        others = (finder.find_spec(name, path, target) for finder in sys.meta_path if finder is not self)
        spec = next((spec for spec in others if spec is not None), None)
        if spec is not None and spec.loader is not None:
            _call_after(spec.loader, _tell_pyarrow)
        return spec


def leave_pandas_out() -> None:
    """Let pyarrow find no pandas until the program imports pandas itself."""
    if _PANDAS in sys.modules or any(isinstance(finder, _Hider) for finder in sys.meta_path):
        return
    hider = _Hider()
    sys.meta_path.insert(0, hider)
    try:
        # any conversion of a Python value makes pyarrow look
        pa.scalar(0)
    finally:
        hider.hides = False


def _call_after(loader: Any, then: Callable[[], None]) -> None:
    execute = loader.exec_module

    def execute_and_call(module: ModuleType) -> None:
        execute(module)
        then()

    loader.exec_module = execute_and_call


def _tell_pyarrow() -> None:
    # ImportError: pyarrow refuses this version of pandas; without a `_pandas_api`, there is nothing to tell
    with suppress(AttributeError, ImportError):
        # a question for pandas itself makes pyarrow look again
        pa.lib._pandas_api.pd  # noqa: B018, SLF001
