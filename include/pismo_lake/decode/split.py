"""Split the bytes of an event file into the byte ranges of its events.

Every framing that Pismo's documents leave open is accepted: no delimiter (the documented one), white space, new lines,
pretty-printed, JSON Lines, one JSON array, commas, a byte order mark, NUL padding, an empty file, and gzip with any
name (also with several members).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pismo_lake.decode.salvage import Span, salvage
from pismo_lake.decode.scan import scan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pismo_lake.decode.scan import Scan

MAX_DEPTH = 200
"""Deeper nesting is refused: the decoders recurse, and documented payloads are much flatter."""

_BLANKS = b" \t\r\n,\0"
_BOM = b"\xef\xbb\xbf"
# with more arrays than this, decoding value by value is faster
_MOST_ARRAYS = 1000
_AT_ONCE = 1 << 16


class _MisalignedError(Exception):
    """The scan cannot be trusted from `at` on: the bytes there are neither an event nor blank."""

    def __init__(self, at: int) -> None:
        self.at = at


def split(data: bytes) -> Iterator[Span]:
    """Yield the events of a file as spans in file order, and every other byte range as damage.

    A top-level array is unwrapped once. Spans without damage are balanced, but perhaps not valid, JSON objects. If one
    is not valid, the caller continues with `recover` from its start: damage with an odd quote swaps the inside and
    outside of all later strings, and a second odd quote hides it.
    """
    try:
        yield from _split_aligned(data, 0, len(data), in_array=False)
    except _MisalignedError as error:
        yield from recover(data, error.at)


def _split_aligned(data: bytes, start: int, end: int, *, in_array: bool) -> Iterator[Span]:
    found = scan(memoryview(data)[start:end])
    if found is None:
        raise _MisalignedError(start)
    at, arrays = start, 0
    for first, stop, depth in _values(found):
        first, stop = first + start, stop + start
        if first > at and data[at:first].strip(_BLANKS) not in (b"", _BOM):
            raise _MisalignedError(at)
        if depth > MAX_DEPTH or (in_array and data[first] != 0x7B):
            raise _MisalignedError(first)
        if data[first] == 0x7B:
            yield Span(first, stop)
        else:
            arrays += 1
            if arrays > _MOST_ARRAYS:
                raise _MisalignedError(first)
            yield from _split_aligned(data, first + 1, stop - 1, in_array=True)
        at = stop
    if end > at and data[at:end].strip(_BLANKS) not in (b"", _BOM):
        raise _MisalignedError(at)


def _values(found: Scan) -> Iterator[tuple[int, int, int]]:
    """Yield start, end and depth of each value as numbers, few at a time to save memory."""
    for first in range(0, len(found.starts), _AT_ONCE):
        some = slice(first, first + _AT_ONCE)
        yield from zip(found.starts[some].tolist(), found.ends[some].tolist(), found.depths[some].tolist(), strict=True)


def recover(data: bytes, start: int) -> Iterator[Span]:
    """Yield the good events from `start` to the end of damaged bytes, and the damage.

    Events that are too deep are damage.
    """
    for span in salvage(data, start, len(data)):
        if span.damage is None:
            yield Span(span.start, span.end, "too_deep" if _is_too_deep(data, span) else None)
        else:
            yield span


def _is_too_deep(data: bytes, span: Span) -> bool:
    opening = data.count(b"{", span.start, span.end) + data.count(b"[", span.start, span.end)
    if opening <= MAX_DEPTH:
        return False
    found = scan(memoryview(data)[span.start : span.end])
    return found is not None and bool((found.depths > MAX_DEPTH).any())
