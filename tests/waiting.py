"""Wait for a condition, not for a time: on a slow machine a test takes longer, but succeeds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 1800.0
"""Seconds after which something that does not come hangs, on the slowest machine too."""


def until(
    holds: Callable[[], Any],
    describe: Callable[[], object] = str,
    *,
    pause: float = 0.05,
    progress: Callable[[], object] | None = None,
) -> None:
    """Wait until a condition holds.

    Args:
        holds: the condition.
        describe: describes the present state, for the error.
        pause: seconds between two looks.
        progress: a value that changes while work goes on. Each change restarts the patience.
    """
    seen = progress() if progress else None
    end = time.monotonic() + PATIENCE
    while not holds():
        if progress is not None and (now := progress()) != seen:
            seen, end = now, time.monotonic() + PATIENCE
        assert time.monotonic() < end, describe()
        time.sleep(pause)
