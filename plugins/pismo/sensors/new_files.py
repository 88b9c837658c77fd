"""Find event files that are not landed yet; defer while there are none, then skip."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import PokeReturnValue
from airflow.sdk.exceptions import AirflowSkipException

from pismo.operators.delivery import DeliverySensor
from pismo.runs.refused import refuse_wrong_params
from pismo.runs.window import window_of
from pismo.triggers.new_files import NewFilesTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from pismo.runs.window import Window


class NewFilesSensor(DeliverySensor):
    """Look once in the worker, then wait in the triggerer for up to `wait_minutes`.

    If the window is over, as in a backfill, or if notices begin runs, the sensor does not wait. A waiting run ends as
    soon as another run of the DAG is queued, so that a manual run starts at once. The chunks of the run, and counts,
    are pushed to XCom. A denied listing is no error if there are notices, or if the run names object keys. A dry run
    logs its plan here and ends as skipped.
    """

    ui_color = "#e8f1fb"

    def execute(self, context: Context) -> list[dict[str, object]]:
        """Look once; defer if there is no work yet."""
        delivery = self.read_delivery()
        with refuse_wrong_params(self.task_log):
            window = window_of(context, delivery)
        if context["params"].get("dry_run"):
            self._log_plan(window, context)
            raise AirflowSkipException("dry run")
        found = self._look(context)
        if found is not None:
            return found
        past = not window.hours or window.hours[-1].plus(1).start <= datetime.now(UTC)
        if past or delivery.wait_minutes <= 0 or delivery.notices is not None:
            # do not wait: other runs find the late files of hours that are over, and a notice begins a run of its own
            raise AirflowSkipException("nothing new")
        hours = [str(hour) for hour in window.hours]
        deadline = time.time() + delivery.wait_minutes * 60
        self.log.info("nothing new in %s to %s yet, waiting %s min", hours[0], hours[-1], delivery.wait_minutes)
        trigger = NewFilesTrigger(
            self.deliveries_file, self.delivery_name, hours, deadline, delivery.poll_seconds, self.dag_id
        )
        self.defer(trigger=trigger, method_name="resume")
        raise AssertionError("defer() does not return")

    def resume(self, context: Context, event: dict[str, Any]) -> list[dict[str, object]]:
        """Look once more if the triggerer found files; skip if it did not."""
        if event["status"] == "error":
            # the worker looks again and raises the same error
            self.log.warning("the triggerer stopped looking: %s", event["message"])
        found = None if event["status"] == "nothing" else self._look(context)
        if found is None:
            raise AirflowSkipException("nothing new")
        return found

    def poke(self, context: Context) -> PokeReturnValue:
        """Look at the source, the queue and the ledger once."""
        found = self._look(context)
        return PokeReturnValue(found is not None, found)

    def _look(self, context: Context) -> list[dict[str, object]] | None:
        """Return the chunks of the work to do; None if there is none."""
        from pismo.runs.chunks import cut
        from pismo.runs.find import find_forced_units, look, resolve_events
        from pismo.signals.metrics import publish_backlog
        from pismo_lake.ledger import FileLedger

        with self.open_delivery(context) as (delivery, ledger):
            publish_backlog(delivery, ledger)
            window = resolve_events(window_of(context, delivery), delivery, ledger)
            files = FileLedger(ledger, delivery.lake, delivery.name)
            unbuilt = files.unbuilt_units()
            found = look(delivery, ledger, window)
            if not (found or unbuilt or window.force):
                return None
            sizes = files.sum_bytes({*unbuilt, *find_forced_units(files, window)})
        self.log.info(
            "%d new file(s), about %d notice(s), %d hour(s) or day(s) waiting to be built",
            len(found.files), found.notices, len(unbuilt),
        )  # fmt: skip
        messages = min(found.notices, delivery.notices.most) if delivery.notices else 0
        is_ranged = not window.object_keys
        chunks = cut(found.files, sizes, messages, chunk_bytes=delivery.chunk_bytes, is_ranged=is_ranged)
        if len(chunks) > 1:
            self.log.info("%d chunks: %s", len(chunks), "; ".join(map(str, chunks)))
        context["ti"].xcom_push(key="counts", value=found.summary(unbuilt) | {"chunks": len(chunks)})
        return [chunk.to_json() for chunk in chunks]

    def _log_plan(self, window: Window, context: Context) -> None:
        from pismo.runs.dry_run import log_plan
        from pismo.runs.find import find_forced_units, look, resolve_events
        from pismo_lake.ledger import FileLedger

        with self.open_delivery(context) as (delivery, ledger):
            window = resolve_events(window, delivery, ledger)
            files = FileLedger(ledger, delivery.lake, delivery.name)
            units = {*files.unbuilt_units(), *find_forced_units(files, window)}
            found = look(delivery, ledger, window)
            log_plan(delivery, ledger, found, units, force=window.force, log=self.task_log)
