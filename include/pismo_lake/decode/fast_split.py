"""A first, quick opinion on where events begin. Every one of its answers is verified.

In valid JSON ``}{`` stands outside strings only between two top-level objects. Where each piece between such places
turns out to be a valid object, the split is the right one: no valid object begins with another.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_OPEN, _CLOSE, _QUOTE = b'{}"'
_BLANK = np.zeros(256, dtype=bool)
_BLANK[list(b" \t\r\n")] = True
# what may stand after the quote that ends a string
_AFTER_STRING = _BLANK.copy()
_AFTER_STRING[list(b",:]}")] = True
_EMPTY = re.compile(rb"\{[ \t\r\n]*\}")
_ESCAPED = re.compile(rb"\\.", re.DOTALL)
_STEP = 1 << 18


@dataclass(frozen=True, slots=True)
class Pieces:
    """The bytes of each piece, their offsets and exclusive ends; `hollow` ones may have an empty object somewhere."""

    raw: list[bytes]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    hollow: NDArray[np.bool_]


def pieces(data: bytes) -> Pieces | None:
    """The pieces of undelimited events; None where the file is not of that form."""
    end = len(data.rstrip(b" \t\r\n\0"))
    if not end or data[0] != _OPEN or data[end - 1] != _CLOSE:
        return None
    buffer = np.frombuffer(data, dtype=np.uint8)
    opens = _opens(buffer)
    # after }{ in a string, a quote ends the string, and what follows is no letter of a key
    begins = (buffer[opens - 1] == _CLOSE) & (_at(buffer, opens + 1) == _QUOTE)
    begins &= ~_AFTER_STRING[_at(buffer, opens + 2)]
    begins[0] = True
    starts = opens[begins]
    return _pieces(data, buffer, opens, starts, np.append(starts[1:], end))


def spanned(data: bytes, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Pieces:
    """Pieces at known places, in order."""
    buffer = np.frombuffer(data, dtype=np.uint8)
    opens = _opens(buffer)
    return _pieces(data, buffer, opens[opens >= starts[0]], starts, ends)


def _opens(buffer: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Where opening braces stand; looked for in steps that stay in the processor's cache."""
    steps = range(0, len(buffer), _STEP)
    return np.concatenate([np.flatnonzero(buffer[at : at + _STEP] == _OPEN) + at for at in steps])


def _at(buffer: NDArray[np.uint8], places: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The bytes at these places; the last one for those beyond it."""
    return buffer.take(places, mode="clip")


def _pieces(
    data: bytes,
    buffer: NDArray[np.uint8],
    opens: NDArray[np.int64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> Pieces:
    following = _at(buffer, opens + 1)
    suspects = opens[(following == _CLOSE) | _BLANK[following]]
    empty = np.array([at for at in suspects.tolist() if _EMPTY.match(data, at)], dtype=np.int64)
    raw = [data[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
    return Pieces(raw, starts, ends, _hollow(data, starts, empty))


def _hollow(data: bytes, starts: NDArray[np.int64], empty: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which pieces have one of these empty objects outside a string."""
    hollow = np.zeros(len(starts), dtype=bool)
    owners = np.searchsorted(starts, empty, side="right") - 1
    last, at, in_string = -1, 0, False
    for owner, start, place in zip(owners.tolist(), starts[owners].tolist(), empty.tolist(), strict=True):
        if owner != last:
            last, at, in_string = owner, start, False
        # on from the one before: the piece may be the whole file, and have one on every line
        in_string ^= _odd_quotes(data[at:place])
        at = place
        hollow[owner] |= not in_string
    return hollow


def _odd_quotes(some: bytes) -> bool:
    """Whether these bytes of an event, which end at no escape, change from within strings to without or back."""
    return (some if b"\\" not in some else _ESCAPED.sub(b"", some)).count(b'"') % 2 == 1
