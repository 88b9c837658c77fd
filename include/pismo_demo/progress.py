"""Say the progress of the demo, at least every five seconds."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_SILENCE_SECONDS = 4.0
_LOOK_SECONDS = 0.5


def say(text: str = "") -> None:
    """Print at once, even into a pipe."""
    print(text, flush=True)


class Progress:
    """Says lines, and names the work under way if no line was said for four seconds."""

    def __init__(self, write: Callable[[str], None] = say, *, silence: float = _SILENCE_SECONDS) -> None:
        self._write, self._silence = write, silence
        self._began = self._said = time.monotonic()
        self._work = ""
        self._over, self._lock = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._remind, name="progress", daemon=True)

    def __enter__(self) -> Progress:
        """Begin to watch for silence."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop to watch."""
        self._over.set()
        self._thread.join()

    def say(self, text: str = "") -> None:
        """Say a line."""
        with self._lock:
            self._write(text)
            self._said = time.monotonic()

    def step(self, text: str) -> None:
        """Say a line with the seconds since the beginning."""
        self.say(self._timed(text))

    def work(self, text: str) -> None:
        """Name the work that begins now; without a name, silence stays silent."""
        with self._lock:
            self._work = text

    def _timed(self, text: str) -> str:
        return f"  {time.monotonic() - self._began:4.0f} s  {text}"

    def _remind(self) -> None:
        while not self._over.wait(min(_LOOK_SECONDS, self._silence)):
            with self._lock:
                if self._work and time.monotonic() - self._said >= self._silence:
                    self._write(self._timed(f"… {self._work}"))
                    self._said = time.monotonic()
