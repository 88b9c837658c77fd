"""Event boundaries of undelimited JSON by one vectorised structural scan.

Pismo writes events into a batch file "sequentially and without delimiters between the events" (Data events
recovery), so neither lines nor the text ``}{`` mark a boundary: strings contain both. The scan finds the braces
that stand outside strings and the places where their running depth returns to zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_QUOTE, _BACKSLASH = 0x22, 0x5C
_DELTA = np.zeros(256, dtype=np.int8)
_DELTA[[0x7B, 0x5B]] = 1
_DELTA[[0x7D, 0x5D]] = -1
_INTERESTING = np.zeros(256, dtype=bool)
_INTERESTING[[_QUOTE, 0x7B, 0x5B, 0x7D, 0x5D]] = True


@dataclass(frozen=True, slots=True)
class Scan:
    """Top-level values of a buffer: byte offsets, exclusive ends and each value's greatest nesting depth."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    depths: NDArray[np.int64]


def escaped(buffer: NDArray[np.uint8], quotes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which quotes are escaped: those after a run of an odd number of backslashes."""
    found = np.zeros(len(quotes), dtype=bool)
    behind = np.flatnonzero((quotes > 0) & (buffer[quotes - 1] == _BACKSLASH))
    if not len(behind):
        return found
    slashes = np.flatnonzero(buffer == _BACKSLASH)
    breaks = np.flatnonzero(np.diff(slashes) != 1) + 1
    run_starts = slashes[np.concatenate(([0], breaks))]
    last = quotes[behind] - 1
    run_of_last = run_starts[np.searchsorted(run_starts, last, side="right") - 1]
    found[behind] = (last - run_of_last) % 2 == 0
    return found


def scan(data: bytes | memoryview) -> Scan | None:
    """Return the top-level objects and arrays of `data`, or None where the structure does not come out even.

    None means a truncated tail, damaged bytes or unbalanced quotes: the caller salvages. What stands between
    the values is not looked at here.
    """
    buffer = np.frombuffer(data, dtype=np.uint8)
    places = np.flatnonzero(_INTERESTING[buffer])
    symbols = buffer[places]
    quote = symbols == _QUOTE
    quote_places = np.flatnonzero(quote)
    quote[quote_places[escaped(buffer, places[quote_places])]] = False
    inside = np.bitwise_and(np.cumsum(quote, dtype=np.int32), 1).astype(bool)
    if len(inside) and inside[-1]:
        return None
    structural = ~inside & (symbols != _QUOTE)
    places = places[structural]
    empty = np.zeros(0, dtype=np.int64)
    if not len(places):
        return Scan(empty, empty, empty)
    deltas = _DELTA[buffer[places]]
    depth = np.cumsum(deltas, dtype=np.int32)
    if depth[-1] != 0 or depth.min() < 0:
        return None
    closing = np.flatnonzero(depth == 0)
    opening = np.concatenate(([0], closing[:-1] + 1))
    return Scan(places[opening], places[closing] + 1, np.maximum.reduceat(depth, opening).astype(np.int64))
