"""Find the work of a run: waiting notices, and event files that are not landed yet."""

from __future__ import annotations

import logging
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import unquote

from pismo.connect.queue import open_queue
from pismo.connect.source import open_source
from pismo.runs.spelling import find_landed_spellings, find_named_spelling
from pismo_lake.errors import AccessDenied, ConfigError, ListingDenied
from pismo_lake.hours import PublishHour
from pismo_lake.landing.remote_file import RemoteFile, new_files
from pismo_lake.ledger import FileLedger, Sightings
from pismo_lake.paths import can_be_kept, is_event_file, safe_key

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from pismo.connect.source import EventSource
    from pismo.queues.message import NoticeQueue
    from pismo.runs.window import Window
    from pismo_lake.ledger import Ledger
    from pismo_lake.ledger.sightings import Sighting
    from pismo_lake.settings.deliveries import Delivery

_LOG = logging.getLogger(__name__)
_NOTHING_ELSE = (
    "{}; without notices, this delivery cannot learn which files exist. Ask Pismo for s3:ListBucket on the bucket,"
    " set up notices, or trigger a run with object_keys"
)


@dataclass(frozen=True, slots=True)
class Found:
    """The new files of a window, and the approximate number of waiting notices.

    If the source was not listed, `unlisted` holds the reason.
    """

    files: tuple[RemoteFile, ...] = ()
    notices: int = 0
    unlisted: str | None = None

    def __bool__(self) -> bool:
        """Return whether the run has work."""
        return bool(self.files or self.notices)

    def summary(self, unbuilt: Collection[str]) -> dict[str, int]:
        """Return counts for XCom."""
        hours = {PublishHour.of_key(file.key) for file in self.files}
        size = sum(file.size or 0 for file in self.files)
        return {"files": len(self.files), "bytes": size, "notices": self.notices, "publish_hours": len(hours),
                "unbuilt_units": len(unbuilt)}  # fmt: skip


def look(delivery: Delivery, ledger: Ledger, window: Window) -> Found:
    """Find the window's new files, and count the waiting notices without taking them."""
    with closing(Looker(delivery)) as looker:
        return looker.look(ledger, window)


class Looker:
    """Looks for new files and notices of a delivery, any number of times.

    Source and queue stay open, because opening them costs more than a look.
    """

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self._source: EventSource | None = None
        self._queue: NoticeQueue | None = None

    def look(self, ledger: Ledger, window: Window) -> Found:
        """Find the window's new files, and count the waiting notices without taking them."""
        delivery = self.delivery
        self._source = self._source or open_source(delivery)
        found = find_files(self._source, ledger, delivery, window)
        if delivery.notices is None or window.object_keys or not window.relist:
            return found
        self._queue = self._queue or open_queue(delivery)
        backlog = self._queue.backlog()
        # if the service has no count, assume one: only taking messages would tell
        return Found(found.files, 1 if backlog is None else backlog, found.unlisted)

    def close(self) -> None:
        """Close source and queue; the next look opens them again."""
        for opened in (self._source, self._queue):
            if opened is not None:
                opened.close()
        self._source = self._queue = None


def resolve_events(window: Window, delivery: Delivery, ledger: Ledger) -> Window:
    """Return the window with the objects of its events as `object_keys`.

    Raises:
        ConfigError: an event is in no landed file.
    """
    if not window.event_ids:
        return window
    from pismo_lake.events.find import keys_of_events

    keys = keys_of_events(delivery.settings, ledger, window.event_ids)
    unknown = [event_id for event_id, held_by in keys.items() if not held_by]
    if unknown:
        msg = f"no landed file of {delivery.name} has {', '.join(unknown)}; give object_keys or a window instead"
        raise ConfigError(msg)
    every = {*window.object_keys, *(key for held_by in keys.values() for key in held_by)}
    return replace(window, object_keys=tuple(sorted(every)))


def find_files(source: EventSource, ledger: Ledger, delivery: Delivery, window: Window) -> Found:
    """Return the new files of a window, without quarantined files that it does not ask for.

    Keys from `object_keys` are used without listing; `force` lands them again.

    Raises:
        AccessDenied: listing is denied, and the delivery has no notices.
    """
    if not window.relist:
        return Found(unlisted="relist is off")
    quarantined = Sightings(ledger, delivery.lake, delivery.name).list_quarantined()
    wanted = find_wanted_again(window, quarantined.values())
    again = [RemoteFile(key, None) for key in sorted({*_find_named(source, window), *wanted})]
    listed, unlisted = _list(source, delivery, window)
    found = {file.key: file for file in (*again, *listed)}
    if not window.force or not window.object_keys:
        found = {file.key: file for file in drop_landed(found.values(), ledger, delivery)}
    kept = [file for key, file in found.items() if ledger_key(key) not in quarantined or key in wanted]
    return Found(tuple(kept), unlisted=unlisted)


def find_wanted_again(window: Window, quarantined: Iterable[Sighting]) -> set[str]:
    """Return the keys of the quarantined files that a run tries again."""
    hours = set(map(str, window.hours)) if window.of_landed_day else set()
    named = {spelling for key in window.object_keys for spelling in (key, unquote(key))}
    return {seen.key for seen in quarantined if window.retry_failed or seen.publish_hour in hours or seen.key in named}


def ledger_key(key: str) -> str:
    """Return the ledger's key of a file; it differs if no database can hold the file's key."""
    return key if can_be_kept(key) else safe_key(key)


def _find_named(source: EventSource, window: Window) -> set[str]:
    """Return the keys of the objects that the run names, as the source spells them."""
    for key in window.object_keys:
        if not is_event_file(key):
            _LOG.warning("%s is a folder, not an event file: give window_start and window_end for its files", key)
    return {find_named_spelling(source, key) for key in window.object_keys if is_event_file(key)}


def _list(source: EventSource, delivery: Delivery, window: Window) -> tuple[list[RemoteFile], str | None]:
    """List the window's folders; return the files, or the reason that nothing was listed."""
    if window.object_keys:
        return [], None
    if not delivery.listing:
        return [], "listing is switched off"
    try:
        return list(source.list_files(window.hours)), None
    except ListingDenied as error:
        if delivery.notices is None and not window.of_landed_day:
            raise AccessDenied(_NOTHING_ELSE.format(error)) from error
        return [], str(error)


def find_forced_units(files: FileLedger, window: Window) -> set[str]:
    """Return the landed units to rebuild if the window sets `force`: of its hours and objects."""
    if not window.force:
        return set()
    hours = {*map(str, window.hours), *files.hours_of_keys(find_landed_spellings(files, window.object_keys))}
    return set(files.units_of_hours(hours))


def drop_landed(files: Iterable[RemoteFile], ledger: Ledger, delivery: Delivery) -> list[RemoteFile]:
    """Return the event files that the ledger lacks in this version, each key once, in key order."""
    listed = [file for file in files if is_event_file(file.key)]
    return new_files(listed, FileLedger(ledger, delivery.lake, delivery.name).find_known([file.key for file in listed]))
