"""Land event files: write the unchanged bytes, and record them in the ledger.

Downloads run in parallel. Each writes its file, and the ledger records several at a time. Bytes in landing are never
overwritten by other bytes. A crash at any point leaves files that the next run finds. The index is made later.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pismo_lake.errors import (
    HostKeyDenied,
    KeysDenied,
    PismoError,
    RoleDenied,
    SourceError,
    SourceRefused,
    StorageError,
)
from pismo_lake.landing.lander import Landed, Lander
from pismo_lake.landing.pool import Crew
from pismo_lake.landing.record import LandingRecord, LandSummary
from pismo_lake.ledger.binding import LakeBinding
from pismo_lake.ledger.raw_files import RawLedger
from pismo_lake.ledger.sightings import Sightings
from pismo_lake.paths import can_be_kept, is_event_file, safe_key
from pismo_lake.progress import SILENT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pismo_lake.landing.lander import Fetch
    from pismo_lake.landing.remote_file import RemoteFile
    from pismo_lake.ledger import Ledger
    from pismo_lake.progress import Progress
    from pismo_lake.settings.lake import LakeSettings

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Landing:
    """The summary of a landing, and the error of each key that could not be landed."""

    summary: LandSummary
    failures: Mapping[str, PismoError]


def land_files(
    settings: LakeSettings,
    ledger: Ledger,
    files: Sequence[RemoteFile],
    fetch: Fetch,
    *,
    parallel: int = 8,
    anywhere: bool = False,
    seen_by: str = "listed",
    log: logging.Logger = _LOG,
    progress: Progress = SILENT,
) -> Landing:
    """Fetch and land `files`; a file that cannot be landed stops no other file.

    `fetch` opens a file as an iterator of chunks; `parallel` threads call it. Folder markers are left out. Keys
    outside an hour folder are refused, unless they may be `anywhere`. `seen_by` says how the files were found:
    ``listed`` | ``announced`` | ``asked for``.
    """
    # written as a file, a marker's name would block the folder of its files
    files = [file for file in files if is_event_file(file.key)]
    binding = LakeBinding(ledger, settings.lake, settings.delivery, settings.landing)
    binding.check_once()
    able = [file for file in files if can_be_kept(file.key)]
    failures = dict(_refuse_key(file) for file in files if not can_be_kept(file.key))
    sightings = Sightings(ledger, settings.lake, settings.delivery)
    sightings.note([*(file.key for file in able), *failures], seen_by)
    raws = RawLedger(ledger, settings.lake, settings.delivery)
    versions = raws.versions(file.key for file in able)
    lander = Lander(settings, fetch, versions, raws.is_of_other_key, anywhere=anywhere)
    done = LandingRecord(raws, binding, len(able), log)
    progress.start("landing", len(able), sum(file.size or 0 for file in able))
    with Crew(lander.land, able, parallel, fatal=_holds_for_all) as crew, done:
        for file, came in crew.results():
            progress.advance(1, file.size or 0)
            if isinstance(came, Landed):
                done.take(came, len(failures))
            elif isinstance(came, PismoError) and not _holds_for_all(came):
                log.warning("not landed: %s: %s", file.key, came)
                failures[file.key] = came
            else:
                raise came
    done.log_progress(len(failures))
    if failures:
        sightings.record_failures(failures)
    return Landing(done.summary(), failures)


def _refuse_key(file: RemoteFile) -> tuple[str, PismoError]:
    shown = safe_key(file.key)
    return shown, SourceError(f"{shown} has a NUL or half a character, which no ledger can store", key=shown)


def _holds_for_all(error: BaseException) -> bool:
    """Return whether an error affects every file: a refused credential, or a full disk."""
    every = RoleDenied | KeysDenied | HostKeyDenied | SourceRefused | StorageError
    return not isinstance(error, PismoError) or isinstance(error, every)
