"""Work through a list in parallel threads, with little synchronisation."""

from __future__ import annotations

from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Self

Item = TypeVar("Item")
Result = TypeVar("Result")


class Crew(Generic[Item, Result]):
    """Exactly `threads` threads that take one item after the other.

    After an error that is `fatal`, no further item is begun.
    """

    def __init__(
        self,
        work: Callable[[Item], Result],
        items: Sequence[Item],
        threads: int,
        *,
        fatal: Callable[[BaseException], bool],
    ) -> None:
        self._work, self._fatal, self._count, self._over = work, fatal, len(items), False
        self._waiting = SimpleQueue[Item]()
        self._came = SimpleQueue[tuple[Item, Result | BaseException]]()
        for item in items:
            self._waiting.put(item)
        self._threads = [Thread(target=self._run, name=f"crew-{n}", daemon=True) for n in range(threads)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        for thread in self._threads:
            thread.join()

    def results(self) -> Iterator[tuple[Item, Result | BaseException]]:
        """Yield the result or the error of each item, in any order; stop reading after a fatal one."""
        for _ in range(self._count):
            yield self._came.get()

    def _run(self) -> None:
        with suppress(Empty):
            while not self._over:
                item = self._waiting.get_nowait()
                try:
                    self._came.put((item, self._work(item)))
                except BaseException as error:  # noqa: BLE001 - the reader of the results raises it
                    if self._fatal(error):
                        self._over = True
                    self._came.put((item, error))
