"""Keep answers for a short time; many requests for the same answer do the work once."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable


class Cache:
    """Answers by key, each for `seconds`; beyond `most` answers, the oldest is forgotten."""

    def __init__(self, seconds: float, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._most, self._clock = seconds, most, clock
        self._answers: OrderedDict[Hashable, tuple[float, Future[Any]]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """Return the answer; make it if there is none. Others that ask meanwhile wait for the same answer.

        An error is not kept: the next request tries again.
        """
        with self._lock:
            known = self._answers.get(key)
            if known is not None and self._clock() < known[0]:
                answer, mine = known[1], False
            else:
                answer, mine = Future[Any](), True
                self._answers[key] = (self._clock() + self._seconds, answer)
                self._answers.move_to_end(key)
                while len(self._answers) > self._most:
                    self._answers.popitem(last=False)
        if mine:
            try:
                answer.set_result(make())
            except BaseException as error:
                with self._lock:
                    self._answers.pop(key, None)
                answer.set_exception(error)
                raise
        return answer.result()
