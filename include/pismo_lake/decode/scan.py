"""Find the events in JSON without delimiters by one vectorised scan of its structure.

Pismo writes events into a batch file "sequentially and without delimiters between the events" (Data events recovery).
So neither lines nor the text ``}{`` mark a boundary: strings contain both. The scan finds the braces outside strings,
and the places at which their depth returns to zero. It reads block by block, so its memory depends on the number of
values and not on the bytes between them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pismo_lake.errors import FramingError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_QUOTE, _BACKSLASH = 0x22, 0x5C
_DELTA = np.zeros(256, dtype=np.int8)
_DELTA[[0x7B, 0x5B]] = 1
_DELTA[[0x7D, 0x5D]] = -1
_INTERESTING = np.zeros(256, dtype=bool)
_INTERESTING[[_QUOTE, 0x7B, 0x5B, 0x7D, 0x5D]] = True
_BLOCK = 1 << 20
_NONE = np.zeros(0, dtype=np.int64)

SMALLEST_EVENT = 40
"""No usable event has fewer bytes: the three keys that it must have take 45."""

FEW_VALUES = 100_000
"""A file may always have this many values, or ranges that are no events, even if they are small."""


@dataclass(frozen=True, slots=True)
class Scan:
    """The top-level values of a buffer: offsets, exclusive ends, and the greatest depth of each."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    depths: NDArray[np.int64]


def find_escaped(
    buffer: NDArray[np.uint8], quotes: NDArray[np.int64], *, odd_before: bool = False
) -> NDArray[np.bool_]:
    """Return which quotes are escaped: those after an odd number of backslashes.

    `odd_before` says that such backslashes come just before the buffer.
    """
    found: NDArray[np.bool_] = (quotes == 0) & odd_before
    behind = np.flatnonzero((quotes > 0) & (buffer[quotes - 1] == _BACKSLASH))
    if not len(behind):
        return found
    slashes = np.flatnonzero(buffer == _BACKSLASH)
    breaks = np.flatnonzero(np.diff(slashes) != 1) + 1
    run_starts = slashes[np.concatenate(([0], breaks))]
    last = quotes[behind] - 1
    run_of_last = run_starts[np.searchsorted(run_starts, last, side="right") - 1]
    found[behind] = ((last - run_of_last) % 2 == 0) ^ ((run_of_last == 0) & odd_before)
    return found


@dataclass(slots=True)
class _Scanner:
    """The state between two blocks, and the values found so far."""

    inside: bool = False
    odd_slashes: bool = False
    depth: int = 0
    value_start: int = 0
    value_depth: int = 0
    count: int = 0
    found: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]] = field(default_factory=list)

    def take(self, buffer: NDArray[np.uint8], base: int) -> bool:
        """Scan a block that begins at `base`; return False if more values end than begin."""
        places = np.flatnonzero(_INTERESTING[buffer])
        symbols = buffer[places]
        quote = symbols == _QUOTE
        quote_places = np.flatnonzero(quote)
        quote[quote_places[find_escaped(buffer, places[quote_places], odd_before=self.odd_slashes)]] = False
        inside = np.bitwise_and(np.cumsum(quote, dtype=np.int32) + self.inside, 1).astype(bool)
        self.odd_slashes = _odd_tail(buffer, before=self.odd_slashes)
        if len(inside):
            self.inside = bool(inside[-1])
        structural = ~inside & (symbols != _QUOTE)
        places = places[structural]
        return not len(places) or self._close(places + base, _DELTA[symbols[structural]])

    def _close(self, places: NDArray[np.int64], deltas: NDArray[np.int8]) -> bool:
        depth = np.cumsum(deltas, dtype=np.int32) + np.int32(self.depth)
        if depth.min() < 0:
            return False
        closing = np.flatnonzero(depth == 0)
        begun, self.depth = self.depth > 0, int(depth[-1])
        if len(closing):
            opening = np.concatenate(([0], closing[:-1] + 1))
            starts, depths = places[opening], np.maximum.reduceat(depth[: closing[-1] + 1], opening).astype(np.int64)
            if begun:
                starts[0], depths[0] = self.value_start, max(self.value_depth, depths[0])
            self.found.append((starts, places[closing] + 1, depths))
            self.count += len(closing)
            places, depth, begun = places[closing[-1] + 1 :], depth[closing[-1] + 1 :], False
        if len(places):
            deepest = int(depth.max())
            self.value_depth = max(self.value_depth, deepest) if begun else deepest
            self.value_start = self.value_start if begun else int(places[0])
        return True


def scan(data: bytes | memoryview) -> Scan | None:
    """Return the top-level objects and arrays of `data`; None if its structure does not balance.

    None means a truncated end, damaged bytes or unbalanced quotes: the caller must salvage. The bytes between the
    values are not checked here.

    Raises:
        FramingError: there are more values than an event file can have.
    """
    buffer = np.frombuffer(data, dtype=np.uint8)
    scanner = _Scanner()
    for base in range(0, len(buffer), _BLOCK):
        if not scanner.take(buffer[base : base + _BLOCK], base):
            return None
        check_count(scanner.count, len(buffer))
    if scanner.inside or scanner.depth:
        return None
    if not scanner.found:
        return Scan(_NONE, _NONE, _NONE)
    return Scan(*(np.concatenate(arrays) for arrays in zip(*scanner.found, strict=True)))


def find_depth(buffer: NDArray[np.uint8]) -> int:
    """Return the greatest depth in a buffer, up to a block that closes too much.

    The buffer may be cut off.
    """
    scanner = _Scanner()
    for base in range(0, len(buffer), _BLOCK):
        if not scanner.take(buffer[base : base + _BLOCK], base):
            break
    depths = [int(found[2].max()) for found in scanner.found]
    return max([*depths, scanner.value_depth if scanner.depth else 0])


def check_count(values: int, size: int) -> None:
    """Check the number of values, because each costs memory.

    Raises:
        FramingError: `size` bytes hold so many values that most of them cannot be events.
    """
    if values > size // SMALLEST_EVENT + FEW_VALUES:
        msg = f"holds more values than {size} bytes of events can"
        raise FramingError(msg)


def _odd_tail(buffer: NDArray[np.uint8], *, before: bool) -> bool:
    """Return whether the buffer ends with an odd number of backslashes, with those before it."""
    others = np.flatnonzero(buffer != _BACKSLASH) if buffer[-1] == _BACKSLASH else None
    if others is None:
        return False
    run = len(buffer) - 1 - int(others[-1]) if len(others) else len(buffer) + before
    return run % 2 == 1
