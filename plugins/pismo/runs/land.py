"""Land a run's window: drain the notices, list further files, and fetch them."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pismo.connect.queue import open_queue
from pismo.connect.source import source_of
from pismo.runs.chunks import WHOLE
from pismo.runs.drain import drain
from pismo.runs.find import Found, find_files
from pismo_lake.errors import AccessDenied, FileMissing, PismoError, QuarantinedError, SourceUnavailable
from pismo_lake.landing.land import Landing, land_files
from pismo_lake.landing.record import LandSummary, add_summaries
from pismo_lake.landing.remote_file import RemoteFile
from pismo_lake.ledger import FileLedger, Sightings
from pismo_lake.ledger.sightings import ASKED_FOR

if TYPE_CHECKING:
    import logging
    from collections.abc import Container, Mapping, Sequence

    from pismo.connect.source import EventSource
    from pismo.runs.chunks import Chunk
    from pismo.runs.window import Window
    from pismo_lake.ledger import Ledger
    from pismo_lake.settings.deliveries import Delivery


@dataclass(slots=True)
class Landed:
    """The result of a run's landing.

    `listed` is ``listed``, or the reason that the source was not listed. `failures` has the error of each needed file
    that could not be landed. If `source_works`, another file could be read: then the fault is in the files themselves.
    `keys` are those of the landed files.
    """

    summary: LandSummary
    listed: str
    failures: Mapping[str, PismoError] = field(default_factory=dict)
    counts: dict[str, Any] = field(default_factory=dict)
    source_works: bool = True
    keys: set[str] = field(default_factory=set)

    def join(self, later: Landed) -> Landed:
        """Return the result of this landing and a later one of the same run."""
        notices = [each.counts["notices"] for each in (self, later) if "notices" in each.counts]
        counts = {"notices": {name: sum(each[name] for each in notices) for name in notices[0]}} if notices else {}
        failures = {key: why for key, why in self.failures.items() if key not in later.keys}
        return Landed(
            add_summaries([self.summary, later.summary]), self.listed, {**failures, **later.failures}, counts,
            self.source_works or later.source_works, self.keys | later.keys,
        )  # fmt: skip


def more_waits(delivery: Delivery, ledger: Ledger, window: Window, failed: Container[str], log: logging.Logger) -> bool:
    """Return whether new notices wait, or without notices new files that have not `failed`.

    Return False if a service has no count of its messages, or does not answer.
    """
    try:
        if delivery.notices is not None:
            with closing(open_queue(delivery)) as queue:
                return bool(queue.backlog())
        with source_of(delivery) as source:
            return any(file.key not in failed for file in find_files(source, ledger, delivery, window).files)
    except PismoError as error:
        # the landed files are safe, and the next run meets the same error
        log.warning("cannot look for more files: %s", error)
        return False


def land_window(
    delivery: Delivery, ledger: Ledger, window: Window, log: logging.Logger, chunk: Chunk = WHOLE
) -> Landed:
    """Land the files of a window, or of a chunk of it; one bad file does not stop the others, but is returned."""
    if not window.relist:
        return Landed(add_summaries([]), "relist is off")
    if chunk.units:
        return Landed(add_summaries([]), "nothing to list")
    window = replace(window, hours=chunk.hours) if chunk.hours else window
    keys: set[str] = set()
    summaries: list[LandSummary] = []
    failures: dict[str, PismoError] = {}
    counts: dict[str, Any] = {}
    with source_of(delivery) as source:

        def land(files: Sequence[RemoteFile], seen_by: str = "announced") -> Landing:
            landing = land_files(
                delivery.settings, ledger, files, source.fetch,
                parallel=delivery.parallel_downloads, seen_by=seen_by, log=log,
            )  # fmt: skip
            keys.update({file.key for file in files} - landing.failures.keys())
            return landing

        def land_announced(files: Sequence[RemoteFile]) -> Landing:
            quarantined = Sightings(ledger, delivery.lake, delivery.name).list_quarantined()
            landing = land([file for file in files if file.key not in quarantined])
            refused = {file.key: _refusal(file.key) for file in files if file.key in quarantined}
            return Landing(landing.summary, {**landing.failures, **refused})

        if delivery.notices is not None and not window.object_keys and not chunk.hours:
            notices = replace(delivery.notices, most=chunk.messages or delivery.notices.most)
            with closing(open_queue(delivery)) as queue:
                drained = drain(delivery, notices, queue, source, ledger, land_announced, log)
            summaries, counts = list(drained.summaries), {"notices": drained.counts()}
            failures = _select_needed(delivery, ledger, drained.failures, log)
        found = (
            Found(unlisted="this task only takes notices")
            if chunk.messages
            else find_files(source, ledger, delivery, window)
        )
        found = replace(found, files=tuple(file for file in found.files if chunk.has_key(file.key)))
        if found.unlisted is not None:
            log.info("nothing was listed: %s; new files are known only from notices", found.unlisted)
        seen_by = ASKED_FOR if window.object_keys else "listed"
        landing = land(found.files, seen_by)
        summaries.append(landing.summary)
        again = [file for file in found.files if _may_heal(landing.failures.get(file.key))]
        if again and landing.summary.files:
            # the source works for other files: one more try here costs less than a failed run
            second = land(again, seen_by)
            summaries.append(second.summary)
            retried = {file.key for file in again}
            kept = {key: error for key, error in landing.failures.items() if key not in retried}
            landing = Landing(second.summary, {**kept, **second.failures})
        failures |= _select_needed(delivery, ledger, landing.failures, log)
        summary = add_summaries(summaries)
        works = bool(summary.files or summary.skipped) or _reads(source, delivery, ledger, failures)
    return Landed(summary, found.unlisted or "listed", failures, counts, works, keys)


def _may_heal(error: PismoError | None) -> bool:
    return error is not None and not error.permanent and not isinstance(error, FileMissing)


def _refusal(key: str) -> QuarantinedError:
    return QuarantinedError(f"{key} is quarantined; a run with its key or with retry_failed tries it again", key=key)


def _select_needed(
    delivery: Delivery, ledger: Ledger, failures: Mapping[str, PismoError], log: logging.Logger
) -> dict[str, PismoError]:
    """Return the failures to show.

    Leave out files that are gone at Pismo but landed here, and quarantined files.
    """
    known = FileLedger(ledger, delivery.lake, delivery.name).find_known(failures)
    needed: dict[str, PismoError] = {}
    for key, error in failures.items():
        if isinstance(error, FileMissing) and key in known:
            log.warning("deleted at Pismo, kept in landing: %s", key)
        elif isinstance(error, QuarantinedError):
            log.warning("%s; its notice will move to the dead-letter queue", error)
        else:
            needed[key] = error
    return needed


def _reads(source: EventSource, delivery: Delivery, ledger: Ledger, failures: Mapping[str, PismoError]) -> bool:
    """Return whether the source can be read at all, so that the failures are the files' own."""
    if not any(isinstance(error, SourceUnavailable | AccessDenied) for error in failures.values()):
        return True
    key = FileLedger(ledger, delivery.lake, delivery.name).newest_key()
    if key is None:
        return False
    try:
        with source.fetch(RemoteFile(key, None)) as chunks:
            return next(iter(chunks), None) is not None
    except PismoError:
        return False
