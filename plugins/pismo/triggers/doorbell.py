"""The doorbell: rings while notices wait in their queue, and leaves them there for the run that it calls."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_LONGEST_SILENCE = 300.0


class NoticesWaitingTrigger(BaseEventTrigger):
    """For an `AssetWatcher`: an event while messages wait, the next one later and later as long as nobody takes them.

    It only observes. The event says how many there are, not which: the queue is the work list, since Airflow may hand
    one run the first of many events only. A service that cannot tell its backlog (Pub/Sub: looking would be taking)
    is not asked; there the folders of the last hours are listed instead.
    """

    def __init__(self, deliveries_file: str, delivery: str, poll_seconds: float = 15.0) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.deliveries_file, self.delivery, self.poll_seconds = deliveries_file, delivery, poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments."""
        arguments = {
            "deliveries_file": self.deliveries_file, "delivery": self.delivery, "poll_seconds": self.poll_seconds,
        }  # fmt: skip
        return "pismo.triggers.doorbell.NoticesWaitingTrigger", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield ``{"waiting": n}`` for as long as the triggerer keeps it."""
        from pismo_lake.errors import PismoError

        pause = self.poll_seconds
        while True:
            try:
                waiting = await asyncio.to_thread(self._look)
            except PismoError as error:
                # the run on schedule fails with the same error where people see it; the bell must not die of it
                self.log.warning("cannot look for notices: %s", error)
                waiting = 0
            if waiting:
                yield TriggerEvent({"waiting": waiting})
            pause = min(pause * 2, _LONGEST_SILENCE) if waiting else self.poll_seconds
            await asyncio.sleep(pause)

    def _look(self) -> int:
        from contextlib import closing
        from datetime import UTC, datetime, timedelta

        from pismo.finding import look
        from pismo.queues.queue import open_queue
        from pismo.stores import open_ledger
        from pismo.windows import Window
        from pismo_lake.deliveries import find_delivery
        from pismo_lake.layout import hours_between

        delivery = find_delivery(self.deliveries_file, self.delivery)
        with closing(open_queue(delivery)) as queue:
            backlog = queue.backlog()
        if backlog is not None or not delivery.listing:
            return backlog or 0
        now = datetime.now(UTC)
        ledger = open_ledger(delivery)
        try:
            found = look(delivery, ledger, Window(hours_between(now - timedelta(hours=1), now + timedelta(hours=1))))
        finally:
            ledger.close()
        return len(found.files)
