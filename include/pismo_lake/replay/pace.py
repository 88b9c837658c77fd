"""Send no faster than asked for, and wait longer after each failure."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0


@dataclass(slots=True)
class Pace:
    """The speed of a replay: at most `per_second` messages; `tries` is how often a message is sent.

    `pause` and `clock` are those of the machine; a test has its own.
    """

    per_second: float | None = None
    tries: int = 10
    pause: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _free_at: float = field(default=0.0, init=False)

    def wait_for(self, messages: int) -> None:
        """Wait until so many messages may be sent; a rate that was not used up is not saved."""
        if self.per_second is None:
            return
        now = self.clock()
        if self._free_at > now:
            self.pause(self._free_at - now)
        self._free_at = max(self._free_at, now) + messages / self.per_second

    def back_off(self, attempt: int, asked: float = 0.0) -> None:
        """Wait after a failed attempt: twice as long each time, at least as long as the target asks."""
        own = min(_FIRST_WAIT * 2.0**attempt, _LONGEST_WAIT)
        self.pause(max(own, min(asked, 10 * _LONGEST_WAIT)))
