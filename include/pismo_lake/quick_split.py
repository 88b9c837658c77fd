"""A first, quick opinion on where events begin and of what type they are. Every one of its answers is verified.

In valid JSON ``}{`` stands outside strings only between two top-level objects. Where each piece between such places
turns out to be a valid object, the split is the right one: no valid object begins with another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.lib.stride_tricks import sliding_window_view

from pismo_lake.scan import escaped

if TYPE_CHECKING:
    from numpy.typing import NDArray

_OPEN, _CLOSE, _QUOTE, _COMMA, _COLON, _SPACE = b'{}",: '
_BLANK = np.zeros(256, dtype=bool)
_BLANK[list(b" \t\r\n")] = True
_WINDOW = 48


@dataclass(frozen=True, slots=True)
class Pieces:
    """Byte offsets and exclusive ends; `hollow` marks pieces that may have an empty object somewhere.

    `quotes` are the offsets at which strings begin and end, by turns; `padded` are the file's bytes and some zeroes.
    """

    padded: NDArray[np.uint8]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    hollow: NDArray[np.bool_]
    quotes: NDArray[np.int64]


def pieces(data: bytes) -> Pieces | None:
    """The pieces of undelimited events; None where the file is not of that form."""
    end = len(data.rstrip(b" \t\r\n\0"))
    if not end or data[0] != _OPEN or data[end - 1] != _CLOSE:
        return None
    padded, buffer = _buffers(data)
    opens = np.flatnonzero(buffer == _OPEN)
    following = opens[1:][buffer[opens[1:] - 1] == _CLOSE]
    quotes = _quotes(buffer)
    starts = np.concatenate((opens[:1], _outside(quotes, following)))
    return Pieces(padded, starts, np.append(starts[1:], end), _hollow(buffer, opens, quotes, starts), quotes)


def spanned(data: bytes, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Pieces:
    """Pieces at known places, in order."""
    padded, buffer = _buffers(data)
    opens, quotes = np.flatnonzero(buffer == _OPEN), _quotes(buffer)
    return Pieces(padded, starts, ends, _hollow(buffer, opens[opens >= starts[0]], quotes, starts), quotes)


def _buffers(data: bytes) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    padded = np.frombuffer(data + bytes(_WINDOW + 2), dtype=np.uint8)
    return padded, padded[: len(data)]


def _quotes(buffer: NDArray[np.uint8]) -> NDArray[np.int64]:
    quotes = np.flatnonzero(buffer == _QUOTE)
    bare: NDArray[np.int64] = quotes[~escaped(buffer, quotes)]
    return bare


def _outside(quotes: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.int64]:
    """The places that stand in no string."""
    outside: NDArray[np.int64] = places[np.searchsorted(quotes, places) % 2 == 0]
    return outside


def _hollow(
    buffer: NDArray[np.uint8], opens: NDArray[np.int64], quotes: NDArray[np.int64], starts: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which pieces have an opening brace that the closing one, or a blank, follows."""
    following = buffer[np.minimum(opens + 1, len(buffer) - 1)]
    suspect = _outside(quotes, opens[(following == _CLOSE) | _BLANK[following]])
    marks = np.zeros(len(starts), dtype=bool)
    marks[np.searchsorted(starts, suspect, side="right") - 1] = True
    return marks


@dataclass(frozen=True, slots=True)
class Tokens:
    """`values` by piece as fixed-size bytes, and whether the piece has `several`."""

    values: pa.FixedSizeBinaryArray
    several: NDArray[np.bool_]


def tokens(found: Pieces, key: str) -> Tokens:
    """What follows the first ``"key":`` of each piece: a string with its quotes, or a bare value.

    All zeroes where there is none, or none that is short. It may stand deeper in the event than the envelope.
    """
    padded = found.padded
    opening, closing = found.quotes[:-1:2], found.quotes[1::2]
    at = np.flatnonzero(closing - opening == len(key) + 1)
    letters = sliding_window_view(padded, len(key))[opening[at] + 1]
    at = at[(letters == np.frombuffer(key.encode(), dtype=np.uint8)).all(axis=1) & (padded[closing[at] + 1] == _COLON)]
    owners = np.searchsorted(found.starts, opening[at], side="right") - 1
    owner, first, times = np.unique(owners, return_index=True, return_counts=True)
    several = np.zeros(len(found.starts), dtype=bool)
    several[owner] = times > 1
    at = at[first]
    after = closing[at] + 2
    # one blank after the colon is as usual as none
    after += padded[after] == _SPACE
    window = sliding_window_view(padded, _WINDOW)[after]
    bare = ((window == _COMMA) | (window == _CLOSE)).argmax(axis=1)
    # the string that begins there, if one does, is the next one
    string_end = closing[np.minimum(at + 1, len(closing) - 1)] + 1 - after
    length = np.where(window[:, 0] == _QUOTE, np.where(string_end <= _WINDOW, string_end, 0), bare)
    out = np.zeros((len(found.starts), _WINDOW), dtype=np.uint8)
    out[owner] = window * (np.arange(_WINDOW) < length[:, None])
    values = pa.FixedSizeBinaryArray.from_buffers(pa.binary(_WINDOW), len(out), [None, pa.py_buffer(out)])
    return Tokens(values, several)
