"""Show how far a step is: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pismo_lake.progress import SILENT, size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import Progress as RichProgress
    from rich.progress import Task

    from pismo_lake.progress import Progress

LINE_SECONDS = 10.0
"""The time between two lines."""


@contextmanager
def show_progress(*, verbose: bool = False) -> Iterator[Progress]:
    """Show progress on stderr until the block ends.

    Args:
        verbose: Each step logs lines of its own, so print none here.
    """
    if sys.stderr.isatty():
        bars = Bars()
        try:
            yield bars
        finally:
            bars.stop()
    else:
        yield SILENT if verbose else Lines()


class Lines:
    """Print a line every ten seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.start("", 0)

    def start(self, step: str, total: int, size: int = 0, noun: str = "files") -> None:
        """Begin a step."""
        self._step, self._total, self._size, self._noun = step, total, size, noun
        self._done = self._bytes = 0
        self._started = self._printed = self._clock()

    def advance(self, count: int = 1, size: int = 0) -> None:
        """Count things and bytes that are done; print a line if the last one is old."""
        self._done += count
        self._bytes += size
        now = self._clock()
        if now - self._printed >= LINE_SECONDS:
            self._printed = now
            print(self._line(now - self._started), file=sys.stderr, flush=True)

    def _line(self, seconds: float) -> str:
        done = self._bytes / self._size if self._size else self._done / max(self._total, 1)
        moved = f", {size_text(self._bytes)}, {size_text(self._bytes / seconds)}/s" if self._size else ""
        left = f"{_duration(seconds * (1 - done) / done)} left" if done else "time left not known"
        return f"{self._step}: {self._done} of {self._total} {self._noun}{moved}, {left}"


def _duration(seconds: float) -> str:
    """Return seconds, or minutes from two on."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


class Bars:
    """Draw a bar for each step, each below the one before."""

    def __init__(self) -> None:
        self._progress: RichProgress | None = None
        self._task: Task | None = None

    def start(self, step: str, total: int, size: int = 0, noun: str = "files") -> None:
        """Begin a step; a step with nothing to do gets no bar."""
        self._task = None
        if not total:
            return
        if self._progress is None:
            self._progress = _new_bars()
            self._progress.start()
        task = self._progress.add_task(step, total=size or total, files=0, all=total, noun=noun, size=size)
        self._task = self._progress.tasks[task]

    def advance(self, count: int = 1, size: int = 0) -> None:
        """Count things and bytes that are done."""
        if self._task is None or self._progress is None:
            return
        fields = self._task.fields
        done = fields["files"] + count
        self._progress.update(self._task.id, advance=size if fields["size"] else count, files=done)

    def stop(self) -> None:
        """Leave the bars as they are."""
        if self._progress is not None:
            self._progress.stop()


def _new_bars() -> RichProgress:
    from rich.console import Console
    from rich.progress import BarColumn, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress
    from rich.text import Text

    class Sizes(ProgressColumn):
        """The bytes that are done, and how many a second."""

        def render(self, task: Task) -> Text:
            if not task.fields["size"]:
                return Text("")
            speed = task.finished_speed or task.speed
            return Text(size_text(task.completed) + (f" {size_text(speed)}/s" if speed else ""), style="green")

    return RichProgress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[files]}/{task.fields[all]} {task.fields[noun]}"),
        Sizes(),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        console=Console(stderr=True),
        # results are printed after the bars; lines of the log go above them
        redirect_stdout=False,
    )
