"""Take notices from their queue and land what they announce; one goes only once its file is landed and noted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pismo.queues.message import held
from pismo_lake.errors import FileMissing, NoticeError, PismoError
from pismo_lake.landing.notices import read_notices, wanted
from pismo_lake.landing.remote_file import RemoteFile, new_files
from pismo_lake.ledger import FileLedger

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Mapping, Sequence

    from pismo.connect.source import EventSource
    from pismo.queues.message import Message, NoticeQueue
    from pismo_lake.landing.land import Landing, LandSummary
    from pismo_lake.ledger import Ledger
    from pismo_lake.settings.channels import Notices
    from pismo_lake.settings.deliveries import Delivery

    Land = Callable[[Sequence[RemoteFile]], Landing]

_FIRST_PAUSE, _LONGEST_PAUSE = 10, 600


@dataclass(slots=True)
class Drained:
    """What became of the messages of a run; those neither deleted nor listed here stay in the queue."""

    messages: int = 0
    announced: int = 0
    known: int = 0
    ignored: int = 0
    bad: int = 0
    not_there: int = 0
    summaries: list[LandSummary] = field(default_factory=list)
    failures: dict[str, PismoError] = field(default_factory=dict)

    def counts(self) -> dict[str, int]:
        """For logs and XCom."""
        names = ("messages", "announced", "known", "ignored", "bad", "not_there")
        return {name: getattr(self, name) for name in names}


def drain(
    delivery: Delivery,
    notices: Notices,
    queue: NoticeQueue,
    source: EventSource,
    ledger: Ledger,
    land: Land,
    log: logging.Logger,
) -> Drained:
    """Land what the queue announces, batch by batch, until it is empty or `most` messages were taken.

    A message that is no notice of this delivery is left to the queue's redrive policy; one whose object is not there
    (yet) comes back later and later. Messages of files that fail for other reasons stay as well, and the failures
    are returned for the caller to raise.
    """
    drained, left_before = Drained(), set[str]()
    while drained.messages < notices.most:
        messages = queue.receive(min(notices.batch, notices.most - drained.messages))
        # what comes back within one run came too soon: it is the next run's
        if all(message.id in left_before for message in messages):
            break
        drained.messages += len(messages)
        with held(queue, messages, log):
            stays = _batch(_Batch(delivery, source, ledger, land, log, drained), messages)
            done = [message for message in messages if message.id not in stays]
            if done:
                queue.delete(done)
        waiting = [message for message in messages if stays.get(message.id)]
        for message in waiting:
            queue.extend([message], _pause(message))
        left_before |= stays.keys()
    log.info("notices of %s: %s", queue.name, ", ".join(f"{count} {name}" for name, count in drained.counts().items()))
    return drained


@dataclass(frozen=True, slots=True)
class _Batch:
    delivery: Delivery
    source: EventSource
    ledger: Ledger
    land: Land
    log: logging.Logger
    drained: Drained


def _batch(work: _Batch, messages: Sequence[Message]) -> dict[str, bool]:
    """Land a batch; the ids of the messages that stay, True for those whose object may yet come."""
    drained, stays = work.drained, dict[str, bool]()
    announced: dict[str, list[RemoteFile]] = {}
    for message in messages:
        try:
            files = _announced(work, message)
        except NoticeError as error:
            drained.bad += 1
            stays[message.id] = False
            work.log.warning("message %s stays in the queue (delivery %d): %s", message.id, message.deliveries, error)
            continue
        if files:
            announced[message.id] = files
        else:
            drained.ignored += 1
    named = {file.key: file for files in announced.values() for file in files}
    fresh = new_files(named.values(), FileLedger(work.ledger, work.delivery.lake, work.delivery.name).known(named))
    drained.announced += len(named)
    drained.known += len(named) - len(fresh)
    failed = _land(work, fresh) if fresh else {}
    for message_id, files in announced.items():
        errors = [failed[file.key] for file in files if file.key in failed]
        if errors:
            stays[message_id] = all(isinstance(error, FileMissing) for error in errors)
    return stays


def _announced(work: _Batch, message: Message) -> list[RemoteFile]:
    expected, source = work.delivery.expected, work.source
    found = [notice for notice in read_notices(message.body, message.attributes) if wanted(notice, expected)]
    return [RemoteFile(source.event_key(notice.key), notice.size) for notice in found]


def _land(work: _Batch, files: Sequence[RemoteFile]) -> Mapping[str, PismoError]:
    landing = work.land(files)
    work.drained.summaries.append(landing.summary)
    for key, cause in landing.failures.items():
        if isinstance(cause, FileMissing):
            work.drained.not_there += 1
            work.log.warning("announced, but not there (yet): %s", key)
        else:
            work.drained.failures[key] = cause
    return landing.failures


def _pause(message: Message) -> int:
    return int(min(_FIRST_PAUSE * 2 ** max(min(message.deliveries, 16) - 1, 0), _LONGEST_PAUSE))
