"""Land the new event files of a run: raw bytes, and a row in the ledger; then take them to the lake."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import DownstreamTasksSkipped

from pismo.operators.announce import CHANGES
from pismo.operators.build import must_force
from pismo.operators.delivery import DeliveryOperator
from pismo.runs.window import day_of, day_window, window_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence, Set

    from airflow.sdk import Context

    from pismo.operators.steps import Carried
    from pismo.runs.chunks import Chunk
    from pismo.runs.failures import FailedFile
    from pismo.runs.land import Landed
    from pismo.runs.window import Window
    from pismo_lake.hours import PublishHour
    from pismo_lake.ledger import Ledger
    from pismo_lake.settings.deliveries import Delivery

FAILURES = "failures"
"""The XCom key of the files that could not be landed."""
_LATER_SECONDS = 60.0
"""A task takes no new files after this time: the files that are in the lake have to be announced."""


@dataclass(frozen=True, slots=True)
class Settled:
    """The landings of a task so far, the failures that the run shows, and the units that need an index or a build."""

    landed: Landed
    failed: tuple[FailedFile, ...]
    units: Set[str]


class _LandOperator(DeliveryOperator):
    """Fetch files in parallel, check their sizes, and record them."""

    ui_color = "#fdf3dc"

    def land(self, delivery: Delivery, ledger: Ledger, window: Window, chunk: Chunk) -> Landed:
        """Land a chunk of a window, or all of it."""
        from pismo.runs.land import land_window
        from pismo.signals.metrics import time_step

        with time_step(delivery.name, "land"):
            return land_window(delivery, ledger, window, self.task_log, chunk)

    def settle(
        self, context: Context, delivery: Delivery, ledger: Ledger, window: Window, landed: Landed, units: Set[str],
        earlier: Settled | None = None,
    ) -> Settled:  # fmt: skip
        """Count and push the failures and the landed files, and send alerts.

        A file that fails does not stop the others: the task succeeds, and `CheckLandingOperator` names the failed
        files. Airflow retries this task only if it has nothing else to do and a retry may help.
        """
        from pismo.notifications import send_alert
        from pismo.runs.failures import count_failures, failures_for_xcom
        from pismo.signals.alerts import alerts_of_landing
        from pismo.signals.lineage import is_wanted, lineage_of_landing
        from pismo_lake.errors import landing_error

        every = landed if earlier is None else earlier.landed.join(landed)
        if is_wanted():
            self.lineage = lineage_of_landing(delivery, every.summary.files, every.summary.bytes)
        if every.failures and not units and earlier is None and _may_try_again(context):
            error = landing_error(landed.failures)
            if not error.permanent:
                raise error
        if earlier is not None:
            # a run counts one try for a file
            known = earlier.landed.failures
            landed = replace(landed, failures={key: why for key, why in landed.failures.items() if key not in known})
        failed = count_failures(delivery, ledger, window, landed)
        for alert in alerts_of_landing(delivery, landed, failed):
            send_alert(delivery, alert, dict(context))
        # a file may fail first and be landed later
        before = [file for file in earlier.failed if file.key not in landed.keys] if earlier else []
        settled = Settled(every, (*before, *failed), (earlier.units if earlier else units) | units)
        counts = every.counts | asdict(every.summary) | {"failed": len(every.failures)}
        context["ti"].xcom_push(
            key="counts", value=counts | {"publish_hours": len(settled.units), "listed": every.listed}
        )
        context["ti"].xcom_push(key=FAILURES, value=failures_for_xcom(settled.failed))
        return settled


class LandEventFilesOperator(_LandOperator):
    """Land one chunk of a run and take it to the lake; push the units that are left for the tasks that follow.

    All files of the chunk are landed before the first one is indexed. So their notices are deleted early, and a retry
    fetches nothing again. A unit is a publish hour or a closed day.

    If the chunk is the whole run, and new notices or files wait at its end, they are taken to the lake too: the next
    run could only begin after the end of this one. For the same reason the run ends early: if nothing is left,
    `build_task_ids` are skipped together, and not one after the other by the scheduler.
    """

    template_fields = (*DeliveryOperator.template_fields, "chunk")

    def __init__(
        self, *, chunk: Mapping[str, Any] | None = None, build_task_ids: Sequence[str] = (), **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.chunk = chunk or {}
        self.build_task_ids = list(build_task_ids)

    @property
    def label(self) -> str:
        """Return the name of the chunk, for the pages of Airflow."""
        from pismo.runs.chunks import Chunk

        return str(Chunk.from_json(self.chunk))

    def execute(self, context: Context) -> list[str] | None:
        """Land the chunk, index and build it; return the units that are left, or nothing.

        Raises:
            DownstreamTasksSkipped: nothing is left in the whole run. For Airflow this is a success.
        """
        from pismo.runs.chunks import Chunk

        left = self._take(context, chunk := Chunk.from_json(self.chunk))
        if left is None and chunk.is_whole and self.build_task_ids:
            raise DownstreamTasksSkipped(tasks=self.build_task_ids)
        return left

    def _take(self, context: Context, chunk: Chunk) -> list[str] | None:
        from pismo.operators.steps import carry, indexed_before
        from pismo.runs.find import resolve_events
        from pismo.signals.lineage import is_wanted, join_lineage, lineage_of_build
        from pismo_lake.contracts.recorded import count_changes

        with self.open_delivery(context) as (delivery, ledger):
            window = resolve_events(window_of(context, delivery), delivery, ledger)
            landed = self.land(delivery, ledger, window, chunk)
            units = _units(delivery, ledger, window, landed, chunk)
            settled = self.settle(context, delivery, ledger, window, landed, units)
            before = indexed_before(delivery, ledger, chunk, window.hours) if context["ti"].try_number > 1 else ()
            if changes := count_changes(ledger, delivery.lake, before):
                context["ti"].xcom_push(key=CHANGES, value=changes)
            if not units:
                return None
            force, log = must_force(context), self.task_log
            done = carry(delivery, ledger, chunk, units, landed.keys, force=force, log=log)
            if chunk.is_whole and not window.object_keys and not force:
                done = self._take_later(context, delivery, ledger, window, settled, done)
            context["ti"].xcom_push(key="indexed", value=done.indexed.counts())
            context["ti"].xcom_push(key="built", value=done.built.counts())
            if changes := count_changes(ledger, delivery.lake, [*before, *done.indexed.names]):
                context["ti"].xcom_push(key=CHANGES, value=changes)
            if is_wanted() and done.units:
                self.lineage = join_lineage(self.lineage, lineage_of_build(delivery, ledger, done.units))
        return list(done.left) or None

    def _take_later(
        self, context: Context, delivery: Delivery, ledger: Ledger, window: Window, settled: Settled, done: Carried
    ) -> Carried:
        """Take notices and files that came meanwhile to the lake; return the result of the whole task."""
        from pismo.operators.steps import carry
        from pismo.runs.chunks import WHOLE
        from pismo.runs.land import more_waits
        from pismo_lake.errors import PismoError

        newest = replace(window, hours=_newest(window.hours), retry_failed=False)
        end = time.monotonic() + _LATER_SECONDS
        while (
            (newest.hours or delivery.notices is not None)
            and time.monotonic() < end
            and (rest := _rest(delivery, settled.landed)) is not None
            and more_waits(delivery, ledger, newest, settled.landed.failures, self.task_log)
        ):
            try:
                landed = self.land(rest, ledger, newest, WHOLE)
                units = _units(delivery, ledger, newest, landed, WHOLE)
                settled = self.settle(context, rest, ledger, newest, landed, units, settled)
                if not (landed.summary.files or landed.counts.get("notices", {}).get("messages")):
                    # a service may count messages that it gives to nobody
                    break
                if units:
                    done = done.join(carry(delivery, ledger, WHOLE, units, landed.keys, force=False, log=self.task_log))
            except PismoError as error:
                # a failed task would not announce the rows that are in the lake; the next run meets the same error
                self.task_log.warning("later files are left to the next run: %s", error)
                break
        return done


def _rest(delivery: Delivery, landed: Landed) -> Delivery | None:
    """Return the delivery with the number of messages that its run may still take; None if there are none."""
    if delivery.notices is None:
        return delivery
    left = delivery.notices.most - landed.counts.get("notices", {}).get("messages", 0)
    return replace(delivery, notices=replace(delivery.notices, most=left)) if left > 0 else None


def _newest(hours: Iterable[PublishHour]) -> tuple[PublishHour, ...]:
    """Return the publish hours that may get new files now: the present one and those beside it."""
    now = datetime.now(UTC)
    return tuple(hour for hour in hours if hour.plus(2).start > now)


def _units(delivery: Delivery, ledger: Ledger, window: Window, landed: Landed, chunk: Chunk) -> set[str]:
    """Return the units of a chunk that need an index or a build, also after a crash, and forced ones."""
    from pismo.runs.find import find_forced_units
    from pismo_lake.ledger import FileLedger

    if chunk.is_slice:
        return {str(hour) for hour in chunk.hours} if chunk.hours else set(landed.summary.publish_hours)
    files = FileLedger(ledger, delivery.lake, delivery.name)
    units = {*files.unbuilt_units(), *find_forced_units(files, window)}
    return {unit for unit in units if chunk.has_unit(unit)}


class LandPublishDayOperator(_LandOperator):
    """Land missing files of a publish day and of the hours beside it; push the hours to index.

    If listing is denied, or switched off for the run, the day has only the files that notices and the ledger name.
    """

    def execute(self, context: Context) -> list[str]:
        """Drain the notices, list the day, and land all of it; return the hours with files to index."""
        from pismo.runs.chunks import WHOLE
        from pismo_lake.ledger import RawLedger

        with self.open_delivery(context) as (delivery, ledger):
            window = day_window(context)
            landed = self.land(delivery, ledger, window, WHOLE)
            # outside the day only the hours of this landing: else each of thirty days would do the work of the others
            left = RawLedger(ledger, delivery.lake, delivery.name).hours_of_day(str(day_of(context)))
            hours = {*left, *landed.summary.publish_hours}
            self.settle(context, delivery, ledger, window, landed, hours)
        return sorted(hours)


class CheckLandingOperator(DeliveryOperator):
    """Fail if files could not be landed, and name each with its reason.

    The other files are indexed and built meanwhile. A retry of this task cannot help: the next run tries the files
    again, until they are quarantined.
    """

    ui_color = "#fdf3dc"
    template_fields = (*DeliveryOperator.template_fields, "landing_task_id")

    def __init__(self, *, landing_task_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.landing_task_id = landing_task_id

    def execute(self, context: Context) -> None:
        """Raise `LandingRefusedError` with the files that the landing task could not land."""
        from pismo.runs.failures import refusal_of

        found = context["ti"].xcom_pull(task_ids=self.landing_task_id, key=FAILURES) or []
        # a mapped task has a list for each of its tasks
        error = refusal_of(file for item in found for file in ([item] if isinstance(item, dict) else item or ()))
        if error is None:
            return
        for key, problem in error.failures.items():
            self.log.error("not landed: %s: %s", key, problem)
        raise error


def _may_try_again(context: Context) -> bool:
    task_instance = context["ti"]
    return task_instance.try_number <= task_instance.max_tries
