"""Make the DAG that sends events again to a consumer that has missed them; only people run it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, Param

from pismo.dags.forms import switch
from pismo.names import FIRST_MOMENT, REPLAY
from pismo.notifications import DeliveryNotifier
from pismo.operators import PlanReplayOperator, SendEventsOperator
from pismo.wiring import TASK_DEFAULTS, facts_of

if TYPE_CHECKING:
    from pismo_lake.settings import Delivery

DOC = """
### Send events of `{name}` again
Sends events that a consumer has missed, each one once, with the bytes that Pismo sent, in the order of their times.
Name a time range, or event ids. With `seen`, a file of the ids that the consumer has, only the others are sent.

**The form begins with `dry_run` on**: the log of `plan_replay` shows the counts by hour and type, the bytes and the
minutes, and nothing is sent. Then trigger it again with `dry_run` off.

A run that fails or is killed continues where it was: clear `send_events`, or trigger the DAG with the `replay_id`. A
consumer may get an event twice then, as from Pismo. Messages carry `replayed: true` and the `replay_id`.

{facts}
"""


def _texts(name: str, about: str, description: str) -> Param:
    # with `examples`, Airflow's form offers these and no others
    return Param(
        [], type=["null", "array"], title=f"{name}: {about}", description_md=description, section="Which events"
    )


def _moment(name: str, about: str) -> Param:
    return Param(
        None,
        type=["null", "string"],
        format="date-time",
        title=f"{name}: {about}",
        description_md="In UTC if it has no other zone.",
        section="Which events",
        examples=["2026-03-01T12:00:00Z"],
    )


PARAMS: dict[str, Any] = {
    "from": _moment("from", "first moment"),
    "to": _moment("to", "the first moment that is not taken any more"),
    "by": Param(
        "publish",
        type="string",
        enum=["publish", "event"],
        title="by: the time that is meant",
        description_md="`publish`: when Pismo published, by whole hours. `event`: the events' own times.",
        section="Which events",
    ),
    "event_types": _texts("event_types", "patterns, one a line", "For example `cards/*` or `pix/pix_in-1`."),
    "organisations": _texts(
        "organisations",
        "ids, one a line",
        "Only events of these organisations. For example `TN-11111111-2222-4333-8444-555555555555`.",
    ),
    "accounts": _texts("accounts", "account ids, one a line", "Only events of these accounts. For example `42`."),
    "where": _texts(
        "where", "values, one a line", "For example `data__card_id=42`, by the names of the lake's columns."
    ),
    "event_ids": _texts(
        "event_ids",
        "ids of events, one a line",
        "Only these events; then no range is needed. For example `7928dfe3-9863-4a43-bb3a-051292397545`.",
    ),
    "seen": Param(
        None,
        type=["null", "string"],
        title="seen: a file of the ids that the consumer has",
        description_md="A path or URI that workers can read: Parquet, CSV, or an id a line. These are left out.",
        section="Which events",
        examples=["s3://our-bucket/consumer/ids.parquet"],
    ),
    "dry_run": switch(
        "dry_run", "only show the plan", "The log of `plan_replay` shows counts, bytes and minutes.", on=True
    ),
    "per_second": Param(
        None,
        type=["null", "number"],
        exclusiveMinimum=0,
        title="per_second: the most messages in a second",
        description_md="Empty: the delivery's own number, or as fast as the target takes them. For example `50`.",
        section="How",
    ),
    "raw_bytes": switch(
        "raw_bytes",
        "send raw bytes in spite of the privacy policy",
        "Off: if the lake has a privacy policy, payloads are sent under it. Without a policy, raw bytes are sent.",
    ),
    "replay_id": Param(
        None,
        type=["null", "string"],
        title="replay_id: continue this replay",
        description_md="Sends the rest of an earlier replay. Nothing else is read of the form, except `per_second`.",
        section="How",
        examples=["incident-7"],
    ),
}


def replay_dag(delivery: Delivery, deliveries_file: str) -> DAG:
    """Return the replay DAG of a delivery; it has no schedule."""
    common = {"delivery_name": delivery.name, "deliveries_file": deliveries_file}
    with DAG(
        dag_id=f"{REPLAY}{delivery.name}",
        description=f"Sends events of {delivery.name} again to a consumer that has missed them",
        schedule=None,
        start_date=FIRST_MOMENT,
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=timedelta(hours=24),
        params=PARAMS,
        tags=["pismo", "replay", delivery.environment.value, delivery.channel.value],
        doc_md=DOC.format(name=delivery.name, facts=facts_of(delivery)),
        on_failure_callback=DeliveryNotifier(**common, what="a replay failed"),
        default_args=TASK_DEFAULTS,
    ) as dag:
        plan = PlanReplayOperator(task_id="plan_replay", **common)
        send = SendEventsOperator(task_id="send_events", replay_id=plan.output, **common)
        plan >> send
    return dag
