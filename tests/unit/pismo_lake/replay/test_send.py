"""Sending a replay: what arrives, what is recorded, and what a kill at each step leaves."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.lakes import LakeUnderTest, at, event, key

from pismo_lake.errors import (
    ConfigError,
    ReplayError,
    ReplayTakenOverError,
    StorageUnavailable,
    TargetRefused,
    TargetUnavailable,
)
from pismo_lake.events.erase import erase
from pismo_lake.events.find_rows import find_copies
from pismo_lake.ledger.replays import ReplayLedger
from pismo_lake.replay import Pace, Selection, TimeRange, plan_replay, send_replay
from pismo_lake.replay.refused import list_refused
from pismo_lake.replay.start import estimate_minutes
from pismo_lake.replay.target import Failure, Limits, split_in_batches
from pismo_lake.replay.targets.connect import limits_of, open_target, target_name
from pismo_lake.settings.privacy import PrivacyKey, load_privacy
from pismo_lake.settings.replay import Replay, TargetKind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pismo_lake.ledger.replays import ReplayRecord
    from pismo_lake.replay.message import Message

KEY = PrivacyKey("k-1", b"a secret of a test, long enough")
DAY = Selection(times=TimeRange.parse("2026-03-01", "2026-03-02"))


@dataclass
class Consumer:
    """A target in this process, for what no service does on demand: it fails at a chosen request."""

    limits: Limits = field(default_factory=lambda: Limits(messages=2, batch_bytes=10_000, ordered=True))
    name: str = "consumer"
    got: list[Message] = field(default_factory=list)
    requests: int = 0
    answer: Callable[[int, Sequence[Message]], Sequence[Failure]] = lambda number, batch: []

    def weigh(self, message: Message) -> int:
        return len(message.body)

    def refuse(self, message: Message) -> str | None:
        return "too large" if len(message.body) > 5_000 else None

    def send(self, batch: Sequence[Message]) -> Sequence[Failure]:
        self.requests += 1
        failures = self.answer(self.requests, batch)
        failed = {failure.number for failure in failures}
        self.got += [message for number, message in enumerate(batch) if number not in failed]
        return failures

    def check(self) -> str:
        return ""

    def close(self) -> None:
        pass

    @property
    def ids(self) -> list[str]:
        return [message.attributes["event_id"] for message in self.got]


class Waits:
    """A clock that its own pauses move."""

    def __init__(self) -> None:
        self.now, self.pauses = 0.0, list[float]()

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def pace(self, per_second: float | None = None, tries: int = 4) -> Pace:
        return Pace(per_second, tries=tries, pause=self.pause, clock=lambda: self.now)


def fill(lake: LakeUnderTest, count: int = 12, data: Callable[[int], Any] | None = None) -> list[bytes]:
    """Land events in two hours, and return their bytes in the order of their times."""
    made = [
        event(
            f"e-{number:03}",
            data(number) if data else {"account_id": number % 3},
            timestamp=f"2026-03-01T12:00:{number:02}Z",
        )
        for number in range(count)
    ]
    # the order in the files is another one
    lake.land({key(12): b"".join(reversed(made[::2])), key(13): b"\n".join(made[1::2])})
    return made


def plan(lake: LakeUnderTest, target: str = "consumer", **options: Any) -> str:
    record, _ = plan_replay(lake.settings, lake.ledger, DAY, target, **options)
    return record.replay_id


def send(lake: LakeUnderTest, replay_id: str, target: Any, pace: Pace | None = None) -> ReplayRecord:
    return send_replay(lake.settings, lake.ledger, replay_id, target, pace or Waits().pace())


def record_of(lake: LakeUnderTest, replay_id: str) -> ReplayRecord:
    return ReplayLedger(lake.ledger, lake.settings.lake, "test").find(replay_id)


def test_each_event_arrives_once_with_its_bytes_in_the_order_of_times(lake: LakeUnderTest) -> None:
    made, consumer = fill(lake), Consumer()
    record = send(lake, plan(lake), consumer)
    assert [message.body for message in consumer.got] == made
    assert (record.state, record.events, record.sent, record.refused, record.erased, record.left) == (
        "done",
        12,
        12,
        0,
        0,
        0,
    )
    assert consumer.got[0].attributes == {
        "event_id": "e-000", "domain": "pix", "event_type": "pix_in", "replayed": "true", "replay_id": record.replay_id,
    }  # fmt: skip
    assert [message.account for message in consumer.got[:4]] == ["0", "1", "2", "0"]
    # a replay that is done sends nothing
    assert send(lake, record.replay_id, consumer) == record
    assert len(consumer.got) == 12
    assert not list((lake.root / "lake").rglob("_replays/*/*"))


@pytest.mark.parametrize("request_number", range(1, 8))
def test_a_replay_that_dies_at_any_request_continues_where_it_was(lake: LakeUnderTest, request_number: int) -> None:
    """Ctrl-C, a worker that is asked to end, or an error of ours: the requests before it are recorded."""
    made = fill(lake)

    def die(number: int, batch: Sequence[Message]) -> Sequence[Failure]:
        if number == request_number:
            raise KeyboardInterrupt
        return []

    consumer, replay_id = Consumer(answer=die), plan(lake)
    if request_number == 7:
        # there are six requests
        assert send(lake, replay_id, consumer).state == "done"
        return
    with pytest.raises(KeyboardInterrupt):
        send(lake, replay_id, consumer)
    before = record_of(lake, replay_id)
    assert before.sent == before.position == len(consumer.got) == 2 * (request_number - 1)
    assert before.left == 12 - before.position
    # files that land meanwhile change nothing in a replay that has begun
    lake.land({key(12, "late"): event("late", timestamp="2026-03-01T12:00:05.5Z")})
    after = send(lake, replay_id, consumer)
    assert [message.body for message in consumer.got] == made
    assert (after.state, after.sent, after.left) == ("done", 12, 0)


@pytest.mark.parametrize("write", ["before", "after"])
def test_a_kill_while_progress_is_recorded_sends_again_what_is_not_recorded(
    lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch, write: str
) -> None:
    """A machine that loses power: nothing runs after it."""
    made = fill(lake)
    consumer, replay_id = Consumer(limits=Limits(2, 10_000, recorded_each=True)), plan(lake)
    advance, calls = ReplayLedger.advance, []

    def lose_power(*arguments: Any) -> None:
        calls.append(1)
        if len(calls) == 3:
            if write == "after":
                advance(*arguments)
            raise SystemError
        if len(calls) < 3:
            advance(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(ReplayLedger, "advance", lose_power)
        with pytest.raises(SystemError):
            send(lake, replay_id, consumer)
    assert record_of(lake, replay_id).sent == (6 if write == "after" else 4)
    assert send(lake, replay_id, consumer).sent == 12
    bodies = [message.body for message in consumer.got]
    # at least once: the request that was not recorded comes twice
    assert bodies == (made if write == "after" else made[:6] + made[4:])


def test_a_target_that_throttles_gets_the_rest_of_a_batch_later(lake: LakeUnderTest) -> None:
    made, waits = fill(lake), Waits()

    def throttle(number: int, batch: Sequence[Message]) -> Sequence[Failure]:
        if number in {2, 3}:
            return [Failure(len(batch) - 1, "slow down", passing=True, seconds=7.0 if number == 3 else 0.0)]
        if number == 5:
            raise TargetUnavailable("no answer")
        return []

    consumer = Consumer(answer=throttle)
    record = send(lake, plan(lake), consumer, waits.pace())
    assert [message.body for message in consumer.got] == made
    assert (record.sent, record.refused) == (12, 0)
    assert waits.pauses == [0.5, 7.0, 0.5]


def test_a_target_that_takes_nothing_stops_the_replay_with_a_reason(lake: LakeUnderTest) -> None:
    made, waits = fill(lake), Waits()
    answers = {"on": False}

    def refuse(number: int, batch: Sequence[Message]) -> Sequence[Failure]:
        return (
            [Failure(at, "throttled", passing=True) for at in range(len(batch))]
            if number > 1 and not answers["on"]
            else []
        )

    consumer, replay_id = Consumer(answer=refuse), plan(lake)
    with pytest.raises(TargetUnavailable, match=r"consumer: 2 message\(s\) not taken after 4 tries: throttled"):
        send(lake, replay_id, consumer, waits.pace())
    assert waits.pauses == [0.5, 1.0, 2.0, 4.0]
    record = record_of(lake, replay_id)
    assert (record.state, record.sent, record.left) == ("stopped", 2, 10)
    assert "throttled" in str(record.problem)
    answers["on"] = True
    record = send(lake, replay_id, consumer)
    assert (record.state, record.problem, record.sent) == ("done", None, 12)
    assert [message.body for message in consumer.got] == made


def test_a_target_that_refuses_everything_fails_at_once(lake: LakeUnderTest) -> None:
    fill(lake)

    def refuse(number: int, batch: Sequence[Message]) -> Sequence[Failure]:
        raise TargetRefused("consumer: no right to send")

    consumer, replay_id, waits = Consumer(answer=refuse), plan(lake), Waits()
    with pytest.raises(TargetRefused):
        send(lake, replay_id, consumer, waits.pace())
    assert (consumer.requests, waits.pauses) == (1, [])
    assert record_of(lake, replay_id).problem == "consumer: no right to send"


def test_oversized_and_refused_messages_are_listed_and_the_others_go_on(lake: LakeUnderTest) -> None:
    made = fill(lake, data=lambda number: {"account_id": 1, "text": "x" * (6_000 if number in {3, 11} else 3)})

    def refuse_one(number: int, batch: Sequence[Message]) -> Sequence[Failure]:
        bad = [at for at, message in enumerate(batch) if message.attributes["event_id"] == "e-005"]
        return [Failure(at, "not liked", passing=False) for at in bad]

    consumer = Consumer(answer=refuse_one)
    record = send(lake, plan(lake), consumer)
    assert [message.body for message in consumer.got] == [body for n, body in enumerate(made) if n not in {3, 5, 11}]
    assert (record.state, record.sent, record.refused, record.left) == ("done", 9, 3, 0)
    refused = list_refused(lake.settings, lake.ledger, record.replay_id)
    assert {event.event_id: event.reason for event in refused} == {
        "e-003": "too large",
        "e-011": "too large",
        "e-005": "not liked",
    }


@pytest.mark.parametrize("request_number", [2, 3, 5])
def test_refused_and_erased_events_are_counted_once_after_a_kill(lake: LakeUnderTest, request_number: int) -> None:
    fill(lake, data=lambda number: {"account_id": number, "text": "x" * (6_000 if number in {0, 5, 6, 11} else 3)})
    lake.build()
    consumer, replay_id = Consumer(), plan(lake)
    erase(lake.settings, lake.ledger, find_copies(lake.settings, lake.ledger, ["e-004", "e-009"]), "ticket")

    def die(number: int, batch: Sequence[Message]) -> Sequence[Failure]:
        if number == request_number:
            raise KeyboardInterrupt
        return []

    consumer.answer = die
    try:
        send(lake, replay_id, consumer)
    except KeyboardInterrupt:
        consumer.answer = lambda number, batch: []
        send(lake, replay_id, consumer)
    record = record_of(lake, replay_id)
    assert (record.sent, record.refused, record.erased, record.left) == (6, 4, 2, 0)
    assert len(consumer.got) == 6
    assert len(list_refused(lake.settings, lake.ledger, replay_id)) == 4


@pytest.mark.parametrize("raw", [False, True])
def test_an_event_that_is_erased_after_the_plan_is_not_sent(lake: LakeUnderTest, raw: bool) -> None:
    made, consumer = fill(lake), Consumer()
    lake.build()
    replay_id = plan(lake)
    erase(lake.settings, lake.ledger, find_copies(lake.settings, lake.ledger, ["e-004"]), "ticket", raw=raw)
    record = send(lake, replay_id, consumer)
    assert [message.body for message in consumer.got] == [body for body in made if b"e-004" not in body]
    assert (record.sent, record.erased, record.left) == (11, 1, 0)


def test_the_plan_and_the_ledger_show_no_trace_of_an_erased_event(lake: LakeUnderTest) -> None:
    from pismo_lake.events.traces import find_traces

    fill(lake, data=lambda number: {"account_id": number, "name": f"person-{number}"})
    lake.build()
    narrow = replace(DAY, values=(("data__name", "person-4"), ("data__name", "person-5")), event_ids=("e-004", "e-005"))
    plan_replay(lake.settings, lake.ledger, narrow, "consumer")
    found = find_copies(lake.settings, lake.ledger, ["e-004"])
    erase(lake.settings, lake.ledger, found, "ticket", raw=True)
    roots = [str(lake.root / "landing" / "test")]
    conditions = [("data__name", "person-4")]
    assert not find_traces(lake.settings, lake.ledger, roots, conditions, found, raw=True)


def test_a_second_process_takes_a_replay_over_and_the_first_one_ends(lake: LakeUnderTest) -> None:
    made = fill(lake)
    other, replay_id = Consumer(), plan(lake)

    def overtake(number: int, batch: Sequence[Message]) -> Sequence[Failure]:
        if number == 3:
            send(lake, replay_id, other)
        return []

    first = Consumer(answer=overtake, limits=Limits(2, 10_000, recorded_each=True))
    with pytest.raises(ReplayTakenOverError, match="another process has taken it over"):
        send(lake, replay_id, first)
    record = record_of(lake, replay_id)
    assert (record.state, record.sent, record.left) == ("done", 12, 0)
    # the request that was under way arrives twice: at least once
    assert [message.body for message in [*first.got[:4], *other.got]] == made
    assert len(first.got) == 6


def test_a_rate_is_kept_and_not_saved_up() -> None:
    waits = Waits()
    pace = waits.pace(per_second=10)
    for _ in range(5):
        pace.wait_for(10)
    assert waits.now == pytest.approx(4.0)
    waits.now += 100
    pace.wait_for(10)
    pace.wait_for(10)
    assert waits.now == pytest.approx(105.0)


def test_a_file_that_changed_or_is_gone_holds_up_no_other_file(lake: LakeUnderTest) -> None:
    made, consumer = fill(lake), Consumer()
    replay_id = plan(lake)
    raw = lake.root / "landing" / "test" / key(13)
    raw.write_bytes(raw.read_bytes().replace(b"e-001", b"e-9x1"))
    record = send(lake, replay_id, consumer)
    assert [message.body for message in consumer.got] == made[::2]
    assert (record.sent, record.refused) == (6, 6)
    refused = list_refused(lake.settings, lake.ledger, replay_id)
    assert all("differs from the file that was landed" in event.reason for event in refused)


def test_with_a_policy_payloads_are_redacted_unless_raw_bytes_are_asked_for(lake: LakeUnderTest) -> None:
    made = fill(lake, 4, data=lambda number: {"account_id": number, "name": "Ana", "amount": 1.50})
    lake.settings = replace(lake.settings, privacy=load_privacy("strict", KEY))
    lake.build()
    consumer = Consumer()
    send(lake, plan(lake), consumer)
    sent = [json.loads(message.body) for message in consumer.got]
    assert not any(b"Ana" in message.body for message in consumer.got)
    assert [body["event_id"] for body in sent] == ["e-000", "e-001", "e-002", "e-003"]
    in_clear = Consumer()
    record = send(lake, plan(lake, raw=True), in_clear)
    assert [message.body for message in in_clear.got] == made
    assert record.raw
    # a caller who leaves the policy out is refused
    lake.settings = replace(lake.settings, privacy=None)
    with pytest.raises(ConfigError, match="is under privacy policy"):
        plan(lake)


def test_the_group_of_a_message_is_the_account_that_its_body_shows(lake: LakeUnderTest, tmp_path: Path) -> None:
    """Under a policy, no raw account id goes out as the name of a group."""
    fill(lake, 6)
    for action, groups in (("hash", 3), ("drop", 6)):
        policy = tmp_path / f"{action}.yaml"
        policy.write_text(f"rules: [{{path: '**/account_id', action: {action}}}]")
        lake.settings = replace(lake.settings, privacy=load_privacy(str(policy), KEY))
        consumer = Consumer()
        send(lake, plan(lake), consumer)
        assert len({message.group for message in consumer.got}) == groups
        assert not {message.account for message in consumer.got} & {"0", "1", "2"}


def test_a_replay_belongs_to_its_target_and_its_id(lake: LakeUnderTest) -> None:
    fill(lake)
    replay_id = plan(lake, replay_id="incident-7")
    with pytest.raises(ReplayError, match="incident-7 is for consumer, not for other"):
        send(lake, replay_id, Consumer(name="other"))
    # it has not begun, so it may be planned again
    assert plan(lake, replay_id="incident-7") == replay_id
    send(lake, replay_id, Consumer())
    with pytest.raises(ReplayError, match="incident-7 has begun"):
        plan(lake, replay_id="incident-7")
    with pytest.raises(ReplayError, match="test has no replay 'incident-8': there are incident-7"):
        send(lake, "incident-8", Consumer())
    for odd in ("", "a/b", "../x", "a b", "x" * 65, "-x"):
        with pytest.raises(ConfigError, match="replay id"):
            plan(lake, replay_id=odd)


def test_a_replay_of_nothing_is_done_at_once(lake: LakeUnderTest) -> None:
    record = send(lake, plan(lake), Consumer())
    assert (record.state, record.events, record.sent) == ("done", 0, 0)


def test_many_events_are_read_in_blocks(lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    made, consumer = fill(lake, 60), Consumer()
    monkeypatch.setattr("pismo_lake.replay.read.BLOCK_BYTES", 700)
    monkeypatch.setattr("pismo_lake.replay.read.BLOCK_EVENTS", 7)
    monkeypatch.setattr("pismo_lake.replay.send.STEP", 5)
    assert send(lake, plan(lake), consumer).sent == 60
    assert [message.body for message in consumer.got] == made


def test_a_batch_of_an_ordered_target_has_one_message_of_an_account(lake: LakeUnderTest) -> None:
    fill(lake, 6, data=lambda number: {"account_id": [1, 2, 2, 1, 3, 1][number]})
    consumer = Consumer()
    send(lake, plan(lake), consumer)
    wide = replace_limits(consumer, Limits(10, 10_000, ordered=True))
    assert [[message.account for message in batch] for batch in split_in_batches(consumer.got, wide)] == [
        ["1", "2"], ["2", "1", "3"], ["1"],
    ]  # fmt: skip
    weight = len(consumer.got[0].body)
    narrow = replace_limits(consumer, Limits(10, 3 * weight))
    assert [len(batch) for batch in split_in_batches(consumer.got, narrow)] == [3, 3]


def replace_limits(consumer: Consumer, limits: Limits) -> Consumer:
    return Consumer(limits=limits, name=consumer.name)


def test_minutes_are_estimated_from_the_slower_of_both() -> None:
    limits = Limits(10, 1, usual_rate=100.0)
    assert estimate_minutes(0, limits, None) == 1
    assert estimate_minutes(60_001, limits, None) == 11
    assert estimate_minutes(60_000, limits, 10.0) == 100
    assert estimate_minutes(60_000, limits, 1000.0) == 10


# folders

ODD_EVENTS = [
    b'{\n "event_id":"p-1","domain":"pix","event_type":"x",\r\n "timestamp":"2026-03-01T12:00:00Z",\n "data":{} }',
    '{"event_id":"ä\\n}{","domain":"p","event_type":"x","timestamp":"2026-03-01T12:00:01Z","data":"}{ 💶"}'.encode(),
    b'{"event_id":"p-3","domain":"pix","event_type":"x","timestamp":"2026-03-01T12:00:02Z","data":{"s":"a\nb"}}',
]


@pytest.mark.parametrize("kind", ["ndjson", "undelimited"])
def test_files_of_a_folder_hold_the_events(lake: LakeUnderTest, tmp_path: Path, kind: str) -> None:
    lake.land({key(12): b"".join(ODD_EVENTS)})
    to = Replay(TargetKind(kind), str(tmp_path / "out"))
    replay_id = plan(lake, target_name(to))
    target = open_target(lake.settings, to, replay_id, None)  # type: ignore[arg-type]
    assert "can be written to" in target.check()
    record = send(lake, replay_id, target)
    (file,) = sorted((tmp_path / "out").iterdir())
    if kind == "undelimited":
        assert file.read_bytes() == b"".join(ODD_EVENTS)
        assert record.refused == 0
    else:
        assert [json.loads(line) for line in file.read_text().splitlines()] == [
            json.loads(raw) for raw in ODD_EVENTS[:2]
        ]
        assert file.read_bytes().splitlines()[1] == ODD_EVENTS[1]
        (refused,) = list_refused(lake.settings, lake.ledger, replay_id)
        assert (refused.event_id, refused.reason) == (
            "p-3", "it has a line break inside a text, so it cannot be one line: send it as undelimited",
        )  # fmt: skip


@pytest.mark.parametrize("kill", range(1, 5))
def test_files_hold_each_event_once_after_a_kill(
    lake: LakeUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill: int
) -> None:
    """The file is written and its record is not: the next attempt writes the same file."""
    from pismo_lake.replay.targets import files

    monkeypatch.setattr(files, "LIMITS", replace(files.LIMITS, messages=3))
    made = fill(lake)
    to = Replay(TargetKind.UNDELIMITED, str(tmp_path / "out"))
    replay_id = plan(lake, target_name(to))
    advance, calls = ReplayLedger.advance, []

    def die(*arguments: Any) -> None:
        calls.append(1)
        if len(calls) >= kill:
            raise SystemError
        advance(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(ReplayLedger, "advance", die)
        with pytest.raises(SystemError):
            send(lake, replay_id, open_target(lake.settings, to, replay_id, None))  # type: ignore[arg-type]
    record = send(lake, replay_id, open_target(lake.settings, to, replay_id, None))  # type: ignore[arg-type]
    assert (record.sent, record.left) == (12, 0)
    assert b"".join(file.read_bytes() for file in sorted((tmp_path / "out").iterdir())) == b"".join(made)


def test_a_folder_of_the_lake_is_no_target(lake: LakeUnderTest) -> None:
    for folder in (lake.settings.lake, f"{lake.settings.landing}/out"):
        with pytest.raises(ConfigError, match="give another folder"):
            open_target(lake.settings, Replay(TargetKind.NDJSON, folder), "r", None)  # type: ignore[arg-type]


def test_a_full_disk_is_waited_for_and_a_missing_right_is_not(
    lake: LakeUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pismo_lake import storage

    made, waits = fill(lake), Waits()
    to = Replay(TargetKind.UNDELIMITED, str(tmp_path / "out"))
    replay_id = plan(lake, target_name(to))
    write, calls = storage.write_atomic, []

    def full_once(uri: str, data: bytes) -> None:
        calls.append(uri)
        if len(calls) == 1:
            raise StorageUnavailable("no space left")
        write(uri, data)

    monkeypatch.setattr("pismo_lake.replay.targets.files.storage.write_atomic", full_once)
    target = open_target(lake.settings, to, replay_id, None)  # type: ignore[arg-type]
    assert send(lake, replay_id, target, waits.pace()).sent == len(made)
    assert waits.pauses == [0.5]


@pytest.mark.parametrize(
    ("kind", "address", "reason"),
    [
        ("sqs", "events", "sqs needs a URL"),
        ("sns", "https://sns", "sns needs an ARN"),
        ("pubsub", "projects/x/subscriptions/y", "pubsub needs projects/"),
        ("kafka", "a topic", "kafka needs the name of a topic"),
        ("http", "ftp://x", "http needs a URL"),
        ("http", "https://me:secret@x/", "has a user"),
        ("ndjson", " ", "ndjson needs a folder"),
    ],
)  # fmt: skip
def test_an_address_that_is_not_of_its_kind_is_refused(kind: str, address: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Replay(TargetKind(kind), address)


def test_each_kind_has_limits_without_being_opened() -> None:
    kinds = {
        "sqs": "https://sqs.eu-west-1.amazonaws.com/1/x.fifo", "sns": "arn:aws:sns:eu-west-1:1:x", "http": "https://x",
        "pubsub": "projects/a/topics/b", "kafka": "events.v1", "ndjson": "/x", "undelimited": "s3://b/x",
    }  # fmt: skip
    for kind, address in kinds.items():
        limits = limits_of(Replay(TargetKind(kind), address))
        assert limits.usual_rate > 0
        assert limits.ordered is (kind in {"sqs", "http"})
        assert target_name(Replay(TargetKind(kind), address)) == f"{kind} {address}"


def test_times_of_accounts_are_kept_over_files_and_hours(lake: LakeUnderTest) -> None:
    """An account's later event may be published in an earlier file."""
    lake.land({
        key(12, "b"): event("late", {"account_id": 5}, timestamp=at(12)),
        key(13, "a"): event("early", {"account_id": 5}, timestamp=at(11)),
    })  # fmt: skip
    consumer = Consumer()
    send(lake, plan(lake), consumer)
    assert consumer.ids == ["early", "late"]
