"""Take notices from their queue, land their files, and delete each landed file's notice."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pismo.queues.message import renew_leases
from pismo.runs.spelling import find_spelling
from pismo_lake.errors import FileMissing, PismoError, SourceUnavailable
from pismo_lake.landing.notices import read_announced
from pismo_lake.landing.remote_file import RemoteFile, new_files
from pismo_lake.ledger import FileLedger

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Mapping, Sequence

    from pismo.connect.source import EventSource
    from pismo.queues.message import Message, NoticeQueue
    from pismo_lake.landing.land import Landing
    from pismo_lake.landing.record import LandSummary
    from pismo_lake.ledger import Ledger
    from pismo_lake.settings.channels import Notices
    from pismo_lake.settings.deliveries import Delivery

    Land = Callable[[Sequence[RemoteFile]], Landing]

_FIRST_PAUSE, _LONGEST_PAUSE = 10, 600


@dataclass(slots=True)
class Drained:
    """The messages of a run, counted by outcome.

    `failures` holds errors by object key, or by queue name if the error concerns the queue.
    """

    messages: int = 0
    announced: int = 0
    known: int = 0
    ignored: int = 0
    bad: int = 0
    not_there: int = 0
    summaries: list[LandSummary] = field(default_factory=list)
    failures: dict[str, PismoError] = field(default_factory=dict)

    def counts(self) -> dict[str, int]:
        """Return the counts for logs and XCom."""
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
    """Land announced files in batches, until the queue is empty or `most` messages are taken.

    A notice is deleted only after its file is landed and recorded. A message stays in the queue for its redrive policy
    if it cannot be read, or if it is no notice of this delivery. If its object is missing, it returns after a pause
    that grows with each delivery. Messages of files that fail for other reasons stay as well; the caller raises the
    returned failures. An error of one message does not affect the others.
    """
    drained, left_before = Drained(), set[str]()
    while drained.messages < notices.most:
        messages = queue.receive(min(notices.batch, notices.most - drained.messages))
        # a message that returns within one run returned too soon: leave it to the next run
        if all(message.id in left_before for message in messages):
            break
        drained.messages += len(messages)
        with renew_leases(queue, messages, log):
            stays = _batch(_Batch(delivery, source, ledger, land, log, drained), messages)
            done = [message for message in messages if message.id not in stays]
            if done:
                _delete(queue, done, drained, log)
        waiting = [message for message in messages if stays.get(message.id)]
        for message in waiting:
            queue.extend([message], _pause(message))
        left_before |= stays.keys()
        # an empty queue would keep the landed files waiting for a second; a message that comes now is for a later look
        if queue.backlog() == 0:
            break
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


def _delete(queue: NoticeQueue, messages: Sequence[Message], drained: Drained, log: logging.Logger) -> None:
    """Delete messages; a message that the service keeps returns later and is known then."""
    try:
        queue.delete(messages)
    except SourceUnavailable as error:
        log.warning("%s", error)
        drained.failures[queue.name] = error


def _batch(work: _Batch, messages: Sequence[Message]) -> dict[str, bool]:
    """Land a batch; return the messages to keep by id, True if their object may still arrive."""
    drained, stays = work.drained, dict[str, bool]()
    files_of: dict[str, list[RemoteFile]] = {}
    for message in messages:
        files, problems = _files_of(work, message)
        if problems:
            drained.bad += 1
            stays[message.id] = False
            reasons = "; ".join(problems[:5])
            work.log.warning("message %s stays in the queue (delivery %d): %s", message.id, message.deliveries, reasons)
        elif not files:
            drained.ignored += 1
        if files:
            files_of[message.id] = files
    named = [file for files in files_of.values() for file in files]
    sizes: dict[str, set[int | None]] = {}
    for file in named:
        sizes.setdefault(file.key, set()).add(file.size)
    fresh = new_files(named, FileLedger(work.ledger, work.delivery.lake, work.delivery.name).find_known(sizes))
    # if two messages give different sizes for one object, trust the size of the fetched object
    fresh = [file if len(sizes[file.key]) == 1 else replace(file, size=None) for file in fresh]
    drained.announced += len(sizes)
    drained.known += len(sizes) - len(fresh)
    failed = _land(work, fresh) if fresh else {}
    for message_id, files in files_of.items():
        errors = [failed[file.key] for file in files if file.key in failed]
        if errors and message_id not in stays:
            stays[message_id] = all(isinstance(error, FileMissing) for error in errors)
    return stays


def _files_of(work: _Batch, message: Message) -> tuple[list[RemoteFile], list[str]]:
    """Return the event files that a message announces, and the reasons to keep it in the queue."""
    files: list[RemoteFile] = []
    try:
        found = read_announced(message.body, message.attributes, work.delivery.expected)
        problems = found.problems
        for notice in found.notices:
            other = notice.other_key and work.source.event_key(notice.other_key)
            key = find_spelling(work.source, work.source.event_key(notice.key), other)
            files.append(RemoteFile(key, notice.size))
    except PismoError as error:
        work.drained.failures[message.id] = error
        problems = [str(error)]
    except Exception as error:  # noqa: BLE001 - one message must not stop the others
        # leave out the error's own text: it may quote the message
        problems = [f"{type(error).__name__} while reading the message, a defect of this program"]
    return files, problems


def _land(work: _Batch, files: Sequence[RemoteFile]) -> Mapping[str, PismoError]:
    landing = work.land(files)
    work.drained.summaries.append(landing.summary)
    for key, cause in landing.failures.items():
        if isinstance(cause, FileMissing):
            work.drained.not_there += 1
            work.log.warning("announced, but missing at Pismo so far: %s", key)
        else:
            work.drained.failures[key] = cause
    return landing.failures


def _pause(message: Message) -> int:
    return int(min(_FIRST_PAUSE * 2 ** max(min(message.deliveries, 16) - 1, 0), _LONGEST_PAUSE))
