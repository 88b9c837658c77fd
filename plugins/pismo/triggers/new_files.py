"""Wait in the triggerer until the source lists a file that is not in the ledger."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class NewFilesTrigger(BaseTrigger):
    """Poll the window's hours every `poll_seconds` until `deadline` (seconds since the epoch)."""

    def __init__(
        self, deliveries_file: str, delivery: str, hours: list[str], deadline: float, poll_seconds: float = 30.0
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.deliveries_file, self.delivery, self.hours = deliveries_file, delivery, hours
        self.deadline, self.poll_seconds = deadline, poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments."""
        arguments = {
            "deliveries_file": self.deliveries_file, "delivery": self.delivery, "hours": self.hours,
            "deadline": self.deadline, "poll_seconds": self.poll_seconds,
        }  # fmt: skip
        return "pismo.triggers.new_files.NewFilesTrigger", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event: ``found``, ``nothing`` at the deadline, or ``error`` with its kind."""
        from pismo_lake.errors import PismoError

        while True:
            try:
                # listing and ledger block, so they run in a thread
                found = await asyncio.to_thread(self._look)
            except PismoError as error:
                yield TriggerEvent({"status": "error", "kind": type(error).__name__, "message": str(error)})
                return
            if found:
                yield TriggerEvent({"status": "found", "files": found})
                return
            left = self.deadline - time.time()
            if left <= 0:
                yield TriggerEvent({"status": "nothing"})
                return
            await asyncio.sleep(min(self.poll_seconds, left))

    def _look(self) -> int:
        from pismo.connect.ledger import open_ledger
        from pismo.runs.find import look
        from pismo.runs.window import Window
        from pismo_lake.hours import PublishHour
        from pismo_lake.settings.deliveries import find_delivery

        delivery = find_delivery(self.deliveries_file, self.delivery)
        with open_ledger(delivery) as ledger:
            found = look(delivery, ledger, Window(tuple(map(PublishHour.parse, self.hours))))
        return len(found.files) + found.notices
