"""Ring a doorbell while notices wait in their queue, and leave them there for the run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pismo.queues.message import NoticeQueue
    from pismo_lake.settings.channels import Notices
    from pismo_lake.settings.deliveries import Delivery

_LONGEST_SILENCE = 300.0
_ANSWER_SECONDS = 8.0
"""The shortest pause after an event. Another event before its run takes the messages would make a run without work.
A run takes about as long, and looks for new messages at its end."""


class NoticesWaitingTrigger(BaseEventTrigger):
    """Yield an event while messages wait, for an `AssetWatcher`.

    If nothing is landed between two looks, the pause doubles.

    The trigger takes no message. The event carries their number, not their names: the queue is the work list, since
    Airflow may pass only the first of many events to a run. If a service has no count of its messages (Pub/Sub would
    have to take them), the trigger lists the folders of the last hours instead.
    """

    def __init__(self, deliveries_file: str, delivery: str, poll_seconds: float = 15.0) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.deliveries_file, self.delivery, self.poll_seconds = deliveries_file, delivery, poll_seconds
        self._queue: tuple[Notices, NoticeQueue] | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments."""
        arguments = {
            "deliveries_file": self.deliveries_file, "delivery": self.delivery, "poll_seconds": self.poll_seconds,
        }  # fmt: skip
        return "pismo.triggers.notices_waiting.NoticesWaitingTrigger", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield ``{"waiting": n}`` until the triggerer stops the trigger."""
        from pismo_lake.errors import PismoError

        pause = self.poll_seconds
        landed: dict[str, int] | None = None
        try:
            while True:
                try:
                    waiting, now_landed = await asyncio.to_thread(self._look)
                except PismoError as error:
                    # the scheduled run fails with the same error, and people see it there; the trigger must go on
                    self.log.warning("cannot look for notices: %s", error)
                    # a new queue reads the connection again
                    self._close()
                    waiting, now_landed = 0, None
                if waiting:
                    yield TriggerEvent({"waiting": waiting})
                pause = pause_after(pause, self.poll_seconds, waits=waiting > 0, taken=now_landed != landed)
                landed = now_landed
                await asyncio.sleep(pause)
        finally:
            self._close()

    def _open(self, delivery: Delivery) -> NoticeQueue:
        """Return the queue of a delivery; keep it open, because opening one costs twenty times as much as a look."""
        from pismo.connect.queue import open_queue

        assert delivery.notices is not None
        if self._queue is None or self._queue[0] != delivery.notices:
            self._close()
            self._queue = (delivery.notices, open_queue(delivery))
        return self._queue[1]

    def _close(self) -> None:
        if self._queue is not None:
            self._queue[1].close()
            self._queue = None

    def _look(self) -> tuple[int, dict[str, int] | None]:
        """Return how many messages wait; if any, also the landed files of the last publish hours.

        The second value changes if a run lands files between two looks.
        """
        from datetime import UTC, datetime, timedelta

        from pismo.connect.ledger import open_ledger
        from pismo.runs.find import look
        from pismo.runs.window import Window
        from pismo_lake.hours import hours_between
        from pismo_lake.ledger import FileLedger
        from pismo_lake.settings.deliveries import find_delivery

        delivery = find_delivery(self.deliveries_file, self.delivery)
        backlog = self._open(delivery).backlog()
        if backlog == 0 or (backlog is None and not delivery.listing):
            return 0, None
        now = datetime.now(UTC)
        hours = hours_between(now - timedelta(hours=2), now + timedelta(hours=1))
        with open_ledger(delivery) as ledger:
            landed = FileLedger(ledger, delivery.lake, delivery.name).count_by_hour(str(hours[0]), str(hours[-1]))
            if backlog is None:
                backlog = len(look(delivery, ledger, Window(hours[1:])).files)
        return backlog, landed


def pause_after(pause: float, poll_seconds: float, *, waits: bool, taken: bool) -> float:
    """Return the seconds until the next look; `pause` is the time before the last one.

    If messages wait and no run has landed one since (the DAG is paused, or its runs fail), a quick second event cannot
    help. In a busy feed messages wait at every look, although runs land them.
    """
    if not waits:
        return poll_seconds
    answer = max(poll_seconds, _ANSWER_SECONDS)
    return answer if taken else min(max(pause * 2, answer), _LONGEST_SILENCE)
