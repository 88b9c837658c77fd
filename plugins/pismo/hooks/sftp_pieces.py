"""Choose the ranges of a remote file to request, and put the answers in order."""

from __future__ import annotations

import heapq


class Pieces:
    """The ranges of one file that are still to be read.

    An answer may be shorter than its range; then the rest is requested again. `data` grows in order. `hint` is the
    expected end of the file. If it is `exact`, one byte after it is requested and no more. Otherwise the steps grow
    until the server reports the end of the file.
    """

    def __init__(self, data: bytearray, *, hint: int, exact: bool, block: int) -> None:
        self.data, self._hint, self._exact, self._block = data, hint, exact, block
        self._next = len(data)
        self._rests: list[tuple[int, int]] = []
        self._early: dict[int, bytes] = {}
        self.end: int | None = None

    def take(self) -> tuple[int, int] | None:
        """Return the offset and length of the next range to request; None if there is none now."""
        while self._rests:
            offset, length = heapq.heappop(self._rests)
            if self.end is None or offset < self.end:
                return offset, length
        offset = self._next
        reach = self._hint if self._exact else max(self._hint, 2 * len(self.data))
        if offset > reach or (self.end is not None and offset >= self.end):
            return None
        length = 1 if self._exact else self._block
        if offset < self._hint:
            length = min(self._block, self._hint - offset)
        self._next = offset + length
        return offset, length

    def take_answer(self, offset: int, length: int, content: bytes) -> None:
        """Take the answer to a range: all of it, its beginning, or nothing at the end of the file."""
        if not content:
            self.end_at(offset)
            return
        if len(content) < length:
            heapq.heappush(self._rests, (offset + len(content), length - len(content)))
        self._early[offset] = content
        while (following := self._early.pop(len(self.data), None)) is not None:
            self.data += following

    def end_at(self, offset: int) -> None:
        """Request nothing from `offset` on."""
        self.end = offset if self.end is None else min(self.end, offset)

    def go_on(self, content: bytes) -> None:
        """Drop the assumed end: append `content`, and request everything after it again."""
        self.data += content
        self.end, self._next = None, len(self.data)
        self._rests.clear()
        self._early.clear()

    @property
    def whole(self) -> bool:
        """Whether the end is known, and `data` has exactly the bytes before it."""
        return len(self.data) == self.end and not self._early
