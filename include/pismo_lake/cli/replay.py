"""Define the command that sends events again to a consumer that has missed them."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pismo_lake.cli.command import OpenLake, command
from pismo_lake.cli.output import Size, print_json, print_table
from pismo_lake.cli.selecting import (
    SEEN,
    Accounts,
    By,
    EventIds,
    First,
    IdsFile,
    Last,
    Organisations,
    Types,
    Where,
    warn_waiting,
)

if TYPE_CHECKING:
    from pismo_lake.ledger.replays import ReplayRecord
    from pismo_lake.replay.plan import Overview
    from pismo_lake.replay.selection import Selection
    from pismo_lake.replay.target import Target
    from pismo_lake.settings.replay import Replay


@command("replay", json=True)
def replay(
    lake: OpenLake,
    first: First = None,
    last: Last = None,
    by: By = "publish",
    types: Types = None,
    organisations: Organisations = None,
    accounts: Accounts = None,
    where: Where = None,
    event_ids: EventIds = None,
    ids: IdsFile = None,
    seen: Annotated[
        str | None, typer.Option("--seen", metavar="FILE", help=f"Leave out the seen events. {SEEN}")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--target", metavar="KIND", help="Send to sqs, sns, pubsub, kafka, http, or files (ndjson, undelimited)."
        ),
    ] = None,
    address: Annotated[
        str | None, typer.Option("--address", metavar="ADDRESS", help="The queue's URL, topic, endpoint or folder.")
    ] = None,
    region: Annotated[str | None, typer.Option("--region", metavar="REGION", help="The target's AWS region.")] = None,
    endpoint_url: Annotated[
        str | None, typer.Option("--endpoint-url", metavar="URL", help="Another endpoint of the target's service.")
    ] = None,
    per_second: Annotated[
        float | None, typer.Option("--per-second", metavar="NUMBER", help="Send at most so many messages in a second.")
    ] = None,
    raw_bytes: Annotated[
        bool,
        typer.Option("--raw-bytes", help="Send events as Pismo wrote them, although the lake has a privacy policy."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the counts; send nothing.")] = False,
    resume: Annotated[
        str | None, typer.Option("--continue", metavar="ID", help="Send the rest of this replay.")
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the replays, the last one first.")] = False,
    refused: Annotated[
        str | None, typer.Option("--refused", metavar="ID", help="List the events of this replay that were not sent.")
    ] = None,
) -> int:
    """Send events again, exactly as Pismo sent them, to a queue, a topic, an endpoint or files."""
    from pismo_lake.replay.asked import Asked

    if listed:
        return _list(lake)
    if refused is not None:
        return _list_refused(lake, refused)
    to = _target(lake, target, address, region, endpoint_url, per_second)
    if resume is not None:
        return _continue(lake, to, resume)
    selection = Asked(
        first=first, last=last, clock=by, types=tuple(types or ()), organisations=tuple(organisations or ()),
        accounts=tuple(accounts or ()), where=tuple(where or ()), event_ids=tuple(event_ids or ()), ids=ids, seen=seen,
    ).select()  # fmt: skip
    return _dry_run(lake, to, selection, raw=raw_bytes) if dry_run else _begin(lake, to, selection, raw=raw_bytes)


def _target(
    lake: OpenLake, kind: str | None, address: str | None, region: str | None, endpoint_url: str | None,
    per_second: float | None,
) -> Replay:  # fmt: skip
    """Return the target of the call, or that of the delivery."""
    from pismo_lake.cli.lake import configured_delivery
    from pismo_lake.errors import ConfigError
    from pismo_lake.settings.replay import Replay
    from pismo_lake.settings.validate import validate

    if (kind is None) != (address is None):
        msg = "--target and --address belong together: give both"
        raise ConfigError(msg)
    own = {"region": region, "endpoint_url": endpoint_url, "per_second": per_second}
    given: dict[str, Any] = {name: value for name, value in own.items() if value is not None}
    if kind is not None:
        return validate(Replay, {"target": kind, "address": address} | given)
    delivery = configured_delivery(lake.options)
    if delivery is None or delivery.replay is None:
        msg = "name a target: --target and --address, or `replay:` of the delivery in --deliveries"
        raise ConfigError(msg)
    return validate(Replay, asdict(delivery.replay) | given)


def _dry_run(lake: OpenLake, to: Replay, selection: Selection, *, raw: bool) -> int:
    from pismo_lake.replay.plan import make_plan
    from pismo_lake.replay.start import estimate_minutes, payload_words
    from pismo_lake.replay.targets.connect import limits_of, target_name

    _, overview = make_plan(lake.settings, lake.ledger, selection)
    minutes = estimate_minutes(overview.events, limits_of(to), to.per_second)
    if lake.json:
        print_json(_overview(overview) | {"target": target_name(to), "minutes": minutes, "sent": 0})
        return 0
    _print_overview(overview)
    sends = payload_words(lake.settings, raw=raw)
    print(f"would send {overview.events} message(s) with {sends} to {target_name(to)}, in about {minutes} minute(s)")
    return 0


def _begin(lake: OpenLake, to: Replay, selection: Selection, *, raw: bool) -> int:
    from pismo_lake.replay.start import new_replay_id, plan_replay, refuse_wrong_target
    from pismo_lake.replay.targets.connect import target_name

    replay_id = new_replay_id()
    with _open_target(lake, to, replay_id) as target:
        refuse_wrong_target(target)
        record, overview = plan_replay(
            lake.settings, lake.ledger, selection, target_name(to), raw=raw, replay_id=replay_id
        )
        if not lake.json:
            _print_overview(overview)
            print(f"replay {record.replay_id}: if it is interrupted, --continue {record.replay_id} sends the rest")
            sys.stdout.flush()
        return _send(lake, to, replay_id, target)


def _continue(lake: OpenLake, to: Replay, replay_id: str) -> int:
    with _open_target(lake, to, replay_id) as target:
        return _send(lake, to, replay_id, target)


def _open_target(lake: OpenLake, to: Replay, replay_id: str) -> closing[Target]:
    from pismo_lake.cli.clients import MachineClients
    from pismo_lake.replay.targets.connect import open_target

    return closing(open_target(lake.settings, to, replay_id, MachineClients()))


def _send(lake: OpenLake, to: Replay, replay_id: str, target: Target) -> int:
    from pismo_lake.replay.pace import Pace
    from pismo_lake.replay.send import send_replay

    with lake.progress() as progress:
        record = send_replay(lake.settings, lake.ledger, replay_id, target, Pace(to.per_second), progress)
    if lake.json:
        print_json(_record(record))
    else:
        print(
            f"replay {record.replay_id}: {record.sent} sent, {record.refused} refused, {record.erased} erased,"
            f" {record.left} left, to {record.target}"
        )
    if record.refused:
        print(f"{record.refused} event(s) were not sent: --refused {record.replay_id} lists them", file=sys.stderr)
    return 1 if record.refused else 0


def _list(lake: OpenLake) -> int:
    from pismo_lake.ledger.replays import ReplayLedger

    records = ReplayLedger(lake.ledger, lake.settings.lake, lake.settings.delivery).list_newest()
    if lake.json:
        print_json({"replays": [_record(record) for record in records]})
        return 0
    columns = ("replay", "planned", "state", "events", "sent", "refused", "erased", "left", "target", "events of")
    rows = [
        (
            record.replay_id, record.planned_at, record.state, record.events, record.sent, record.refused,
            record.erased, record.left, record.target, record.selection,
        )
        for record in records
    ]  # fmt: skip
    print_table(columns, rows)
    for record in records:
        if record.problem:
            print(f"{record.replay_id} stopped: {record.problem}")
    return 0


def _list_refused(lake: OpenLake, replay_id: str) -> int:
    from pismo_lake.replay.refused import list_refused

    found = list_refused(lake.settings, lake.ledger, replay_id)
    if lake.json:
        print_json({"replay_id": replay_id, "refused": [
            {"event_id": event.event_id, "file": event.name, "offset": event.offset, "reason": event.reason}
            for event in found
        ]})  # fmt: skip
    else:
        rows = [(event.event_id, event.name, event.offset, event.reason) for event in found]
        print_table(("event", "file", "offset", "reason"), rows)
    return 0


def _print_overview(overview: Overview) -> None:
    warn_waiting(overview.waiting)
    rows = [(hour, kind, count) for (hour, kind), count in sorted(overview.counts.items())]
    print_table(("hour", "event type", "events"), rows)
    seen = f"; {overview.seen} more are seen" if overview.seen else ""
    print(f"{overview.events} event(s), {Size(overview.bytes)}{seen}")


def _overview(overview: Overview) -> dict[str, Any]:
    return {
        "events": overview.events, "bytes": overview.bytes, "seen": overview.seen,
        "files_without_index": overview.waiting,
        "groups": [
            {"hour": hour, "event_type": kind, "events": count}
            for (hour, kind), count in sorted(overview.counts.items())
        ],
    }  # fmt: skip


def _record(record: ReplayRecord) -> dict[str, Any]:
    return asdict(record) | {"state": record.state, "left": record.left}
