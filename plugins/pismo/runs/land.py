"""Land a run's window: drain the notices, list what they did not tell, fetch, and say what could not be had."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pismo.connect.queue import open_queue
from pismo.connect.source import source_of
from pismo.runs.drain import drain
from pismo.runs.find import find_files
from pismo_lake.errors import FileMissing
from pismo_lake.landing.land import Landing, LandSummary, add_summaries, land_files
from pismo_lake.ledger import FileLedger
from pismo_lake.ledger.sightings import ASKED_FOR

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping, Sequence

    from pismo.runs.window import Window
    from pismo_lake.errors import PismoError
    from pismo_lake.landing.remote_file import RemoteFile
    from pismo_lake.ledger import Ledger
    from pismo_lake.settings.deliveries import Delivery


@dataclass(slots=True)
class Landed:
    """The result of a run's landing; `listed` is ``listed``, or says why the source was not listed.

    `failures` has the error of each key that could not be landed and is needed.
    """

    summary: LandSummary
    listed: str
    failures: Mapping[str, PismoError] = field(default_factory=dict)
    counts: dict[str, Any] = field(default_factory=dict)


def land_window(delivery: Delivery, ledger: Ledger, window: Window, log: logging.Logger) -> Landed:
    """Land the files of a window; a file that cannot be landed is among the failures and stops no other file."""
    if not window.relist:
        return Landed(add_summaries([]), "not asked to look at Pismo")
    summaries: list[LandSummary] = []
    failures: dict[str, PismoError] = {}
    counts: dict[str, Any] = {}
    with source_of(delivery) as source:

        def land(files: Sequence[RemoteFile], seen_by: str = "announced") -> Landing:
            return land_files(
                delivery.settings, ledger, files, source.fetch,
                parallel=delivery.parallel_downloads, seen_by=seen_by, log=log,
            )  # fmt: skip

        if delivery.notices is not None and not window.object_keys:
            with closing(open_queue(delivery)) as queue:
                drained = drain(delivery, delivery.notices, queue, source, ledger, land, log)
            summaries, failures, counts = drained.summaries, drained.failures, {"notices": drained.counts()}
        found = find_files(source, ledger, delivery, window)
        if found.unlisted is not None:
            log.info("nothing was listed: %s; notices alone tell of new files", found.unlisted)
        landing = land(found.files, ASKED_FOR if window.object_keys else "listed")
        failures |= _grave(delivery, ledger, landing.failures, log)
    return Landed(add_summaries([*summaries, landing.summary]), found.unlisted or "listed", failures, counts)


def _grave(
    delivery: Delivery, ledger: Ledger, failures: Mapping[str, PismoError], log: logging.Logger
) -> dict[str, PismoError]:
    """The failures that matter: a file that is gone at Pismo and landed here is fetched no more, and not needed."""
    known = FileLedger(ledger, delivery.lake, delivery.name).known(failures)
    for key, error in failures.items():
        if isinstance(error, FileMissing) and key in known:
            log.warning("gone at Pismo, what is landed of it stands: %s", key)
    return {key: error for key, error in failures.items() if not (isinstance(error, FileMissing) and key in known)}
