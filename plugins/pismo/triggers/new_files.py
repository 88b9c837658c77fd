"""Wait in the triggerer until the source lists a file that is not in the ledger."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pismo.runs.find import Looker


_QUEUE_SECONDS = 1.0
"""Seconds between two looks for queued runs."""


class NewFilesTrigger(BaseTrigger):
    """Poll the window's hours every `poll_seconds` until `deadline` (seconds since the epoch).

    It also ends if another run of `dag_id` is queued: only one run of the DAG is active at a time, and the next one
    looks for the same files.
    """

    def __init__(
        self, deliveries_file: str, delivery: str, hours: list[str], deadline: float, poll_seconds: float = 30.0,
        dag_id: str = "",
    ) -> None:  # fmt: skip
        super().__init__()  # type: ignore[no-untyped-call]
        self.dag_id = dag_id
        self.deliveries_file, self.delivery, self.hours = deliveries_file, delivery, hours
        self.deadline, self.poll_seconds = deadline, poll_seconds
        self._looker: Looker | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments."""
        arguments = {
            "deliveries_file": self.deliveries_file, "delivery": self.delivery, "hours": self.hours,
            "deadline": self.deadline, "poll_seconds": self.poll_seconds, "dag_id": self.dag_id,
        }  # fmt: skip
        return "pismo.triggers.new_files.NewFilesTrigger", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event: ``found``, ``nothing`` at the end of the wait, or ``error`` with its kind."""
        from pismo_lake.errors import PismoError

        try:
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
                if not await self._wait():
                    yield TriggerEvent({"status": "nothing"})
                    return
        finally:
            self._close()

    def _close(self) -> None:
        if self._looker is not None:
            self._looker.close()
            self._looker = None

    async def _wait(self) -> bool:
        """Wait for the time of the next look; return False at the deadline, or if another run is queued."""
        following = time.time() + self.poll_seconds
        while (left := self.deadline - time.time()) > 0:
            if await self._is_awaited():
                self.log.info("another run of %s is queued, so this one stops waiting", self.dag_id)
                return False
            pause = min(following - time.time(), left, _QUEUE_SECONDS)
            if pause <= 0:
                return True
            await asyncio.sleep(pause)
        return False

    async def _is_awaited(self) -> bool:
        """Return whether another run of the DAG is queued; False if Airflow cannot say."""
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
        from asgiref.sync import sync_to_async

        if not self.dag_id:
            return False
        try:
            queued = await sync_to_async(RuntimeTaskInstance.get_dr_count)(self.dag_id, states=["queued"])
        except Exception as error:  # noqa: BLE001 - it is only a courtesy to the other run
            self.log.debug("cannot count the queued runs: %s", type(error).__name__)
            return False
        return queued > 0

    def _look(self) -> int:
        from pismo.connect.ledger import open_ledger
        from pismo.runs.find import Looker
        from pismo.runs.window import Window
        from pismo_lake.hours import PublishHour
        from pismo_lake.settings.channels import Channel
        from pismo_lake.settings.deliveries import find_delivery

        delivery = find_delivery(self.deliveries_file, self.delivery)
        if self._looker is None or self._looker.delivery != delivery:
            self._close()
            self._looker = Looker(delivery)
        with open_ledger(delivery) as ledger:
            found = self._looker.look(ledger, Window(tuple(map(PublishHour.parse, self.hours))))
        if delivery.channel is Channel.SFTP:
            # an idle session would take the place of one that a task needs
            self._close()
        return len(found.files) + found.notices
