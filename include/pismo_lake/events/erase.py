"""Erase events of a person: record them, build units without them, blank their raw bytes.

The record of an erasure is for good (see `ledger.erasures`). With `raw` the bytes of the events in landing become
blanks. Copies at Pismo, old versions in versioned buckets, and backups are out of reach.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pismo_lake import storage
from pismo_lake.build.day import build_unit
from pismo_lake.build.kept_files import remove_kept
from pismo_lake.build.spool import remove_spools, remove_staged
from pismo_lake.build.units import UNIT_ERRORS
from pismo_lake.catalog.lake import forget_snapshots
from pismo_lake.errors import ConfigError, LandedFileError
from pismo_lake.events.find import copies_of
from pismo_lake.events.find_rows import Found, find_copies, search_rows
from pismo_lake.index.blank import Blanker, select_holders
from pismo_lake.index.parsed import let_all_go
from pismo_lake.ledger import FileLedger, LakeFiles
from pismo_lake.ledger.binding import LakeBinding
from pismo_lake.ledger.engine import now_text
from pismo_lake.ledger.erasures import Erasure, record_erasure
from pismo_lake.ledger.known_files import kept_outputs
from pismo_lake.paths import ERASURES, landing_root, safe_segment
from pismo_lake.progress import SILENT
from pismo_lake.storage.leftovers import remove_leftovers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pismo_lake.errors import PismoError
    from pismo_lake.ledger import FileRecord, Ledger
    from pismo_lake.progress import Progress
    from pismo_lake.settings.lake import LakeSettings

__all__ = ["Erased", "Found", "clear_up", "erase", "erase_events", "find_copies", "landing_roots", "remove_older"]

_LOG = logging.getLogger(__name__)
_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Erased:
    """The work of an erasure.

    It has the events by type, the units that were built again, the units that other deliveries have to build, and the
    number of blanked raw files. `failures` are the errors of units, and of raw files, that could not be changed.
    `unknown` are events in rows of which no landed file is known. `leftovers` were removed: temporary files of killed
    processes.
    """

    events: dict[str, int]
    units: tuple[str, ...]
    left: tuple[str, ...]
    raw_files: int
    failures: dict[str, PismoError] = field(default_factory=dict)
    unknown: tuple[Found, ...] = ()
    leftovers: tuple[str, ...] = ()


def erase(
    settings: LakeSettings, ledger: Ledger, found: Sequence[Found], reference: str, *, raw: bool = False,
    log: logging.Logger = _LOG, progress: Progress = SILENT,
) -> Erased:  # fmt: skip
    """Erase events as `erase_events` does; raise the error of a failed part at the end.

    Raises:
        ConfigError: The ledger knows the files of none of the events.
        LakeError: A unit could not be built, or a raw file could not be blanked.
    """
    done = erase_events(settings, ledger, found, reference, raw=raw, log=log, progress=progress)
    for error in done.failures.values():
        raise error
    return done


def erase_events(
    settings: LakeSettings, ledger: Ledger, found: Sequence[Found], reference: str, *, raw: bool = False,
    log: logging.Logger = _LOG, progress: Progress = SILENT,
) -> Erased:  # fmt: skip
    """Record the events as erased, and build every unit that holds a copy of one without them.

    Units of other deliveries of the lake are left to these: they are marked, and their next run builds them. A unit
    that cannot be built does not keep the others from it.

    Raises:
        ConfigError: The ledger knows the files of none of the events, so it is not the lake's. Nothing is done.
    """
    keys, files = {event.key for event in found}, LakeFiles(ledger, settings.lake)
    before = {(record.delivery, record.name) for record in files.every()}
    by_id = {event_id: copies_of(settings, ledger, event_id) for event_id in {event.event_id for event in found}}
    unknown = tuple(event for event in found if not by_id[event.event_id])
    if unknown and kept_outputs(ledger, settings.lake):
        # older snapshots keep rows of files that were forgotten
        remove_older(settings, ledger)
        unknown = _select_present(settings, unknown)
    if unknown and len(unknown) == len(found):
        msg = (
            f"{len(found)} event(s) are in the lake, but the ledger has no file with any of them, so nothing would be"
            " erased: is it the lake's own ledger?"
        )
        raise ConfigError(msg)
    LakeBinding(ledger, settings.lake, settings.delivery, settings.landing).bind()
    roots = landing_roots(settings, ledger)
    erasure = Erasure.new(reference, now_text(), ledger.run or "", raw=raw)
    record_erasure(ledger, settings.lake, erasure, sorted(keys), [storage.join(root, ERASURES) for root in roots])
    records = {(record.delivery, record.name): record for each in by_id.values() for record, _ in each}
    # files that were recorded since the search; later ones are blanked, and built without the events, by their own run
    late = (record for record in files.every() if (record.delivery, record.name) not in before)
    records |= {(record.delivery, record.name): record for record in select_holders(late, keys)}
    for delivery, hour in sorted({(record.delivery, record.publish_hour) for record in records.values()}):
        FileLedger(ledger, settings.lake, delivery).mark_unbuilt(hour)
    units, failures = _build(settings, ledger, records.values(), log, progress)
    others = [record for record in records.values() if record.delivery != settings.delivery]
    for root in roots:
        let_all_go(root)
    blanked = 0
    if raw:
        done, refused = _blank(records.values(), Blanker(ledger, settings.lake))
        blanked, failures = done, failures | refused
    # an older snapshot still names the files with the events
    remove_older(settings, ledger)
    left = tuple(sorted({f"{record.delivery} {record.unit}" for record in others}))
    return Erased(
        dict(Counter(event.event_type for event in found)), tuple(units), left, blanked, failures, unknown,
        clear_up(settings, roots),
    )  # fmt: skip


def remove_older(settings: LakeSettings, ledger: Ledger) -> None:
    """Forget all snapshots of tables but the present ones, and remove the files that were kept for them."""
    if settings.tables is not None:
        forget_snapshots(settings, ledger)
        remove_kept(settings, ledger)


def _select_present(settings: LakeSettings, events: Sequence[Found]) -> tuple[Found, ...]:
    """Return the events that are in a row of the lake; others were in files that were kept for older snapshots."""
    rows = search_rows(settings, (), {event.event_id for event in events})
    present = {event.key for event in rows.events.values()}
    return tuple(event for event in events if event.key in present)


def landing_roots(settings: LakeSettings, ledger: Ledger) -> list[str]:
    """Return the folders in landing of all deliveries of a lake, that of the settings first."""
    own = storage.join(settings.landing, safe_segment(settings.delivery))
    every = LakeFiles(ledger, settings.lake).every()
    found = {landing_root(record.raw_uri, record.delivery, record.name) for record in every}
    return [own, *sorted(found - {own})]


def _build(
    settings: LakeSettings, ledger: Ledger, records: Iterable[FileRecord], log: logging.Logger, progress: Progress
) -> tuple[list[str], dict[str, PismoError]]:
    """Build the delivery's units that hold these files; return them, and errors of others.

    A run that closes a day at the same time may take files out of their hours: the ledger is asked again afterwards.
    """
    names = {record.name for record in records if record.delivery == settings.delivery}
    built: list[str] = []
    failures: dict[str, PismoError] = {}
    for _ in range(_ROUNDS):
        present = FileLedger(ledger, settings.lake, settings.delivery).find_named(names)
        units = sorted({record.unit for record in present if not record.built} - failures.keys())
        if units:
            progress.start("building", len(units), noun="units")
        for number, unit in enumerate(units, 1):
            try:
                build_unit(settings, ledger, unit, log=log)
                log.info("erasing: %d of %d unit(s) built again", number, len(units))
            except UNIT_ERRORS as error:
                failures[unit] = error
            progress.advance()
        built += [unit for unit in units if unit not in failures and unit not in built]
    return sorted(built), failures


def _blank(records: Iterable[FileRecord], blanker: Blanker) -> tuple[int, dict[str, PismoError]]:
    """Blank erased events in raw files; return the number of files, and the errors of the others."""
    blanked = 0
    failures: dict[str, PismoError] = {}
    for record in records:
        try:
            blanker.blank(record)
            blanked += 1
        except LandedFileError as error:
            if storage.exists(record.raw_uri):
                failures[record.raw_uri] = error
    return blanked, failures


def clear_up(settings: LakeSettings, roots: Sequence[str]) -> tuple[str, ...]:
    """Remove the temporary files and folders that killed processes left; return them."""
    remove_staged(settings)
    removed = remove_spools(settings)[0]
    for root in (settings.lake, *roots):
        if storage.is_local(root):
            removed += remove_leftovers(storage.local_path(root))[0]
    return tuple(map(str, removed))
