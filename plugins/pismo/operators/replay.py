"""Plan a replay, and send its events to the delivery's consumer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pismo.operators.delivery import DeliveryOperator
from pismo.runs.refused import refuse_wrong_params

if TYPE_CHECKING:
    from airflow.sdk import Context

    from pismo_lake.ledger.replays import ReplayRecord

_SHOWN = 20


class PlanReplayOperator(DeliveryOperator):
    """Choose the events by the Params of the run, and record the replay; nothing is sent.

    A dry run only logs the counts. A run that names a `replay_id` continues that replay, and plans nothing.
    """

    ui_color = "#f7ecd0"

    def execute(self, context: Context) -> str:
        """Return the id of the replay.

        Raises:
            AirflowSkipException: it is a dry run.
            SeenFileError: the file of seen ids is missing or damaged.
        """
        with refuse_wrong_params(self.task_log):
            return self._plan(context)

    def _plan(self, context: Context) -> str:
        from contextlib import closing

        from airflow.sdk.exceptions import AirflowSkipException

        from pismo.connect.ledger import settings_of
        from pismo.connect.target import open_replay_target, replay_of
        from pismo.runs.replay import asked_replay, id_of_run, log_overview, rate_of, selection_of
        from pismo_lake.ledger.replays import ReplayLedger
        from pismo_lake.replay.plan import make_plan
        from pismo_lake.replay.start import estimate_minutes, payload_words, plan_replay, refuse_wrong_target
        from pismo_lake.replay.targets.connect import limits_of, target_name

        with self.open_delivery(context) as (delivery, ledger):
            settings, replay, params = settings_of(delivery), replay_of(delivery), context["params"]
            book = ReplayLedger(ledger, settings.lake, settings.delivery)
            asked = asked_replay(context)
            if asked is not None:
                self.log.info("continues replay %s: %d event(s) are left", asked, book.find(asked).left)
                return asked
            replay_id, raw = id_of_run(context), bool(params.get("raw_bytes"))
            if book.has_begun(replay_id):
                # the task was cleared after its events had begun to be sent
                return replay_id
            selection, rate = selection_of(context), rate_of(context, replay.per_second)
            if params.get("dry_run", True):
                self.log.info("DRY RUN: nothing is sent")
                _, overview = make_plan(settings, ledger, selection)
            else:
                with closing(open_replay_target(delivery, replay_id)) as target:
                    refuse_wrong_target(target)
                _, overview = plan_replay(
                    settings, ledger, selection, target_name(replay), raw=raw, replay_id=replay_id
                )
            log_overview(overview, self.task_log)
            minutes = estimate_minutes(overview.events, limits_of(replay), rate)
            self.log.info(
                "%d message(s) with %s to %s, in about %d minute(s)", overview.events, payload_words(settings, raw=raw),
                target_name(replay), minutes,
            )  # fmt: skip
        figures = {"events": overview.events, "bytes": overview.bytes, "seen": overview.seen, "minutes": minutes}
        context["ti"].xcom_push(key="overview", value=figures)
        if params.get("dry_run", True):
            msg = "it is a dry run: trigger the DAG again with dry_run off to send the events"
            raise AirflowSkipException(msg)
        return replay_id


class SendEventsOperator(DeliveryOperator):
    """Send the events of a planned replay that are left.

    Progress is in the ledger: an attempt continues where the last one ended. Events that the target cannot take are
    listed, and fail the task after all others are sent.
    """

    ui_color = "#e0f0e8"
    template_fields = (*DeliveryOperator.template_fields, "replay_id")

    def __init__(self, *, replay_id: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.replay_id = replay_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Return the numbers of events that were sent and refused.

        Raises:
            EventsRefusedError: the target cannot take some events.
            TargetRefused: it takes none; `TargetUnavailable` if a retry may help.
        """
        from pismo_lake.errors import EventsRefusedError

        record, refused = self._send(context)
        figures = {
            "replay_id": record.replay_id, "events": record.events, "sent": record.sent, "refused": record.refused,
            "erased": record.erased, "left": record.left,
        }  # fmt: skip
        self.log.info("replay %(replay_id)s: %(sent)d of %(events)d sent, %(refused)d refused", figures)
        if record.refused:
            # push before the task fails
            context["ti"].xcom_push(key="replay", value=figures)
            msg = f"replay {record.replay_id}: {record.refused} event(s) were not sent, all others were: {refused}"
            raise EventsRefusedError(msg)
        return figures

    def _send(self, context: Context) -> tuple[ReplayRecord, str]:
        """Send the events that are left; return the record, and the refused events in words."""
        from contextlib import closing

        from pismo.connect.ledger import settings_of
        from pismo.connect.target import open_replay_target, replay_of
        from pismo.runs.replay import rate_of
        from pismo_lake.replay.pace import Pace
        from pismo_lake.replay.refused import list_refused
        from pismo_lake.replay.send import send_replay

        with self.open_delivery(context) as (delivery, ledger):
            settings = settings_of(delivery)
            pace = Pace(rate_of(context, replay_of(delivery).per_second))
            with closing(open_replay_target(delivery, self.replay_id)) as target:
                record = send_replay(settings, ledger, self.replay_id, target, pace)
            refused = list_refused(settings, ledger, self.replay_id) if record.refused else []
        words = [f"{event.event_id or event.name} ({event.reason})" for event in refused[:_SHOWN]]
        return record, "; ".join(words) + ("; and more" if len(refused) > _SHOWN else "")
