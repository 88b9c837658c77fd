"""Ask queues how many notices wait and how many are dead letters, without making a page wait for a queue.

A thread of its own asks. A page waits for it for a moment, and shows an earlier number, or none, if it takes longer.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pismo_lake.settings.deliveries import Delivery

_LOG = logging.getLogger(__name__)
_KEPT_SECONDS = 60.0
_WAIT_SECONDS = 0.3
_SILENT = "the service does not tell"


@dataclass(frozen=True, slots=True)
class Notices:
    """The messages that wait and the dead letters of a queue, as far as they are known, and why not otherwise."""

    waiting: int | None = None
    dead: int | None = None
    problem: str = ""
    dead_problem: str = ""


class NoticeCounts:
    """The latest numbers of each delivery's queue."""

    def __init__(self, count: Callable[[Delivery], Notices], wait_seconds: float = _WAIT_SECONDS) -> None:
        self._count, self._wait = count, wait_seconds
        self._known: dict[str, tuple[float, Notices]] = {}
        self._asked: dict[str, Future[Notices]] = {}
        self._pool = ThreadPoolExecutor(1, "pismo-notices")
        self._lock = threading.Lock()

    def of(self, delivery: Delivery) -> Notices | None:
        """Return the number of waiting notices; None if the delivery has no queue."""
        if delivery.notices is None:
            return None
        with self._lock:
            at, known = self._known.get(delivery.name, (float("-inf"), _unknown("not known yet")))
            if time.monotonic() - at < _KEPT_SECONDS:
                return known
            asked = self._asked.get(delivery.name)
            if asked is None or asked.done():
                asked = self._asked[delivery.name] = self._pool.submit(self._ask, delivery)
        try:
            return asked.result(self._wait)
        except TooLate:
            return known

    def _ask(self, delivery: Delivery) -> Notices:
        from pismo_lake.errors import PismoError

        try:
            found = self._count(delivery)
        except PismoError as error:
            found = _unknown(str(error))
        except Exception as error:  # noqa: BLE001 - a hook may raise anything, and a page must be made
            _LOG.exception("the queue of %s could not be asked", delivery.name)
            found = _unknown(type(error).__name__)
        with self._lock:
            self._known[delivery.name] = (time.monotonic(), found)
        return found


def count_notices(delivery: Delivery) -> Notices:
    """Ask the queue of a delivery, and its dead-letter queue, for their numbers of messages."""
    from contextlib import closing

    from pismo.connect.queue import open_queue
    from pismo_lake.errors import PismoError

    dead, problem = None, _SILENT
    with closing(open_queue(delivery)) as queue:
        waiting = queue.backlog()
        try:
            dead = queue.dead_letters()
        except PismoError as error:
            # the identity may have rights on the queue only
            problem = str(error)
    return Notices(waiting, dead, "" if waiting is not None else _SILENT, "" if dead is not None else problem)


def _unknown(problem: str) -> Notices:
    return Notices(problem=problem, dead_problem=problem)
