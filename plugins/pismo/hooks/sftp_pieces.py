"""Which ranges of a remote file to ask for, and its bytes in order however the answers come."""

from __future__ import annotations

import heapq


class Pieces:
    """The ranges of one file that are still wanted. The length of an answer decides nothing but how much is left.

    `data` grows in order. `hint` is where the file is thought to end. If it is `exact`, one byte behind it is asked
    for and no more; otherwise ever longer steps are taken until the server says that the file ends.
    """

    def __init__(self, data: bytearray, *, hint: int, exact: bool, block: int) -> None:
        self.data, self._hint, self._exact, self._block = data, hint, exact, block
        self._next = len(data)
        self._rests: list[tuple[int, int]] = []
        self._early: dict[int, bytes] = {}
        self.end: int | None = None

    def take(self) -> tuple[int, int] | None:
        """Return the offset and length of the next range to ask for, None if there is none at present."""
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

    def answered(self, offset: int, length: int, content: bytes) -> None:
        """Take the answer to a range: all of it, its beginning, or nothing if the file ends before it."""
        if not content:
            self.end_at(offset)
            return
        if len(content) < length:
            heapq.heappush(self._rests, (offset + len(content), length - len(content)))
        self._early[offset] = content
        while (following := self._early.pop(len(self.data), None)) is not None:
            self.data += following

    def end_at(self, offset: int) -> None:
        """Ask for nothing from `offset` on."""
        self.end = offset if self.end is None else min(self.end, offset)

    def go_on(self, content: bytes) -> None:
        """Take back the end: `content` comes next, and all behind it is asked for again."""
        self.data += content
        self.end, self._next = None, len(self.data)
        self._rests.clear()
        self._early.clear()

    @property
    def whole(self) -> bool:
        """Whether the end is known and all bytes before it are there, and none behind it."""
        return len(self.data) == self.end and not self._early
