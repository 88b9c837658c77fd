"""Send the events of a planned replay, and record how far it is.

Progress is recorded after the target has taken messages. So a replay that is killed sends the messages since its last
record again: at least once, as Pismo itself does.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pismo_lake.errors import PismoError, ReplayError, ReplayTakenOverError, TargetUnavailable
from pismo_lake.ledger.erasures import erased_keys, erasure_count
from pismo_lake.ledger.replays import Progress as Done
from pismo_lake.ledger.replays import RefusedEvent, ReplayLedger
from pismo_lake.privacy.mark import refuse_unprotected
from pismo_lake.progress import SILENT
from pismo_lake.replay.message import MessageMaker
from pismo_lake.replay.pace import Pace
from pismo_lake.replay.plan import read_plan, remove_plan
from pismo_lake.replay.read import PlanReader
from pismo_lake.replay.target import split_in_batches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pismo_lake.ledger import Ledger
    from pismo_lake.ledger.replays import ReplayRecord
    from pismo_lake.progress import Progress
    from pismo_lake.replay.message import Message
    from pismo_lake.replay.read import PlannedEvent
    from pismo_lake.replay.target import Failure, Target
    from pismo_lake.settings.lake import LakeSettings

_LOG = logging.getLogger(__name__)
STEP = 500
"""After about so many messages, progress is recorded."""
_STEP_BYTES = 8 << 20
_RECORD_SECONDS = 5.0
"""After this time, progress is recorded too: a slow target takes minutes for a step."""


def send_replay(
    settings: LakeSettings, ledger: Ledger, replay_id: str, target: Target, pace: Pace | None = None,
    progress: Progress = SILENT,
) -> ReplayRecord:  # fmt: skip
    """Send the events of a replay that are left, and return its record.

    Args:
        settings: the settings of the lake.
        ledger: its ledger.
        replay_id: the id of a planned replay, which may have begun.
        target: the target that it was planned for.
        pace: the speed.
        progress: shows how far it is.

    Raises:
        ReplayError: there is no such replay, or it is for another target.
        ReplayTakenOverError: another process has taken it over.
        TargetRefused: the target refuses everything; the record has the reason.
        TargetUnavailable: the target took nothing for minutes; a later attempt continues.
    """
    refuse_unprotected(settings)
    book = ReplayLedger(ledger, settings.lake, settings.delivery)
    record = book.find(replay_id)
    if record.target != target.name:
        msg = f"replay {replay_id} is for {record.target}, not for {target.name}"
        raise ReplayError(msg)
    if record.finished_at is not None:
        # a kill may have left it
        remove_plan(settings, replay_id)
        return record
    token = book.claim(replay_id)
    # read it again: until now another process may have made progress
    record = book.find(replay_id)
    sender = _Sender(settings, ledger, book, record, token, target, pace or Pace())
    try:
        sender.send(progress)
    except ReplayTakenOverError:
        raise
    except PismoError as error:
        book.stop(replay_id, token, str(error))
        raise
    book.finish(replay_id, token)
    remove_plan(settings, replay_id)
    return book.find(replay_id)


@dataclass(slots=True)
class _Undone:
    """The work that is done and not recorded yet."""

    position: int
    recorded: int
    since: float
    sent: int = 0
    erased: list[int] = field(default_factory=list)
    refused: list[RefusedEvent] = field(default_factory=list)

    def is_due(self, now: float) -> bool:
        """Return whether it is time to record it."""
        return self.position - self.recorded >= STEP or now - self.since >= _RECORD_SECONDS


class _Sender:
    """One attempt to send a replay."""

    def __init__(
        self, settings: LakeSettings, ledger: Ledger, book: ReplayLedger, record: ReplayRecord, token: str,
        target: Target, pace: Pace,
    ) -> None:  # fmt: skip
        self._settings, self._ledger, self._book = settings, ledger, book
        self._record, self._token, self._target, self._pace = record, token, target, pace
        self._maker = MessageMaker(record.replay_id, None if record.raw else settings.privacy)
        self._erased: set[bytes] = set()
        self._erasures = -1
        self._state = _Undone(record.position, record.position, pace.clock())

    def send(self, progress: Progress) -> None:
        plan = read_plan(self._settings, self._record.replay_id)
        reader = PlanReader(self._settings, self._ledger, plan)
        progress.start(f"sending to {self._target.name}", len(plan) - self._record.position, noun="events")
        try:
            for step in _steps(reader.events(self._record.position)):
                self._send_step(step)
                progress.advance(len(step))
        finally:
            # also if the process is asked to end: messages that were sent are not sent again
            self._flush()

    def _send_step(self, step: Sequence[PlannedEvent]) -> None:
        self._refresh_erased()
        places = {event.position: event for event in step}
        messages = self._prepare(step)
        for batch in split_in_batches(messages, self._target):
            refused = self._deliver(batch)
            self._state.sent += len(batch) - len(refused)
            for failure in refused:
                self._refuse(places[batch[failure.number].position], failure.reason)
            # events before it that make no message are dealt with too
            self._state.position = batch[-1].position + 1
            if self._target.limits.recorded_each or self._state.is_due(self._pace.clock()):
                self._flush()
        self._state.position = step[-1].position + 1
        if self._state.is_due(self._pace.clock()):
            self._flush()

    def _prepare(self, step: Iterable[PlannedEvent]) -> list[Message]:
        messages = []
        for event in step:
            if event.key in self._erased or event.is_blank:
                self._state.erased.append(event.position)
                continue
            reason, message = event.problem, None
            if not reason:
                try:
                    message = self._maker.make(event.position, event.key, event.raw)
                    reason = self._target.refuse(message) or ""
                except ReplayError as error:
                    reason = str(error)
            if reason or message is None:
                self._refuse(event, reason)
            else:
                messages.append(message)
        return messages

    def _deliver(self, batch: Sequence[Message]) -> list[Failure]:
        """Send a batch until each message is taken or refused; return those that are refused."""
        refused: list[Failure] = []
        waiting = list(range(len(batch)))
        for attempt in range(self._pace.tries):
            self._pace.wait_for(len(waiting))
            asked, reason = 0.0, ""
            try:
                failures = self._target.send([batch[number] for number in waiting])
            except TargetUnavailable as error:
                reason, left = str(error), waiting
            else:
                refused += [_place(waiting, failure) for failure in failures if not failure.passing]
                passing = [failure for failure in failures if failure.passing]
                left = [waiting[failure.number] for failure in passing]
                asked = max((failure.seconds for failure in passing), default=0.0)
                reason = passing[0].reason if passing else ""
            if not left:
                return sorted(refused, key=lambda failure: failure.number)
            waiting = left
            _LOG.info("%s: %d message(s) not taken, tried again soon: %s", self._target.name, len(left), reason)
            self._pace.back_off(attempt, asked)
        msg = f"{self._target.name}: {len(waiting)} message(s) not taken after {self._pace.tries} tries: {reason}"
        raise TargetUnavailable(msg)

    def _refuse(self, event: PlannedEvent, reason: str) -> None:
        self._state.refused.append(RefusedEvent(event.position, event.name, event.offset, reason))

    def _refresh_erased(self) -> None:
        """Read the keys of erased events, if there are others than before."""
        count = erasure_count(self._ledger, self._settings.lake)
        if count != self._erasures:
            self._erased, self._erasures = erased_keys(self._ledger, self._settings.lake), count

    def _flush(self) -> None:
        state = self._state
        if state.position == state.recorded:
            return
        # refusals of later events are recorded with these events
        refused = [event for event in state.refused if event.position < state.position]
        erased = sum(position < state.position for position in state.erased)
        self._book.advance(self._record.replay_id, self._token, Done(state.position, state.sent, erased, refused))
        self._state = _Undone(
            state.position, state.position, self._pace.clock(),
            erased=[position for position in state.erased if position >= state.position],
            refused=[event for event in state.refused if event.position >= state.position],
        )  # fmt: skip


def _place(waiting: Sequence[int], failure: Failure) -> Failure:
    """Return a failure with the number of its message in the whole batch."""
    return replace(failure, number=waiting[failure.number])


def _steps(events: Iterator[PlannedEvent]) -> Iterator[list[PlannedEvent]]:
    """Yield events in lists of a bounded number and size."""
    step: list[PlannedEvent] = []
    size = 0
    for event in events:
        step.append(event)
        size += len(event.raw)
        if len(step) >= STEP or size >= _STEP_BYTES:
            yield step
            step, size = [], 0
    if step:
        yield step
