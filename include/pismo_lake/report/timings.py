"""Measure the time of files between publishing and landing."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable


def waits_of(times: Iterable[tuple[str | None, str]]) -> tuple[float | None, float | None, float | None]:
    """Return the median, the 95th percentile and the longest wait in seconds; None without any.

    `times` are (published at, landed at); files without a time of publishing do not count.
    """
    waits = sorted(
        (datetime.fromisoformat(landed) - datetime.fromisoformat(published)).total_seconds()
        for published, landed in times
        if published
    )
    if not waits:
        return None, None, None
    p50, p95 = (float(value) for value in np.percentile(waits, [50, 95], method="nearest"))
    return p50, p95, waits[-1]
