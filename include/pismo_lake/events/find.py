"""Find an event: its source objects and byte ranges, its winning copy, and its Parquet row.

Closed days answer from their sorted id index, other files from their own index. Nothing else is read.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from pismo_lake import storage
from pismo_lake.decode.envelope import envelope_of, parse_exact
from pismo_lake.errors import LakeError, LandedFileError
from pismo_lake.index.files import read_index
from pismo_lake.index.ids import find_ids, row_groups_with
from pismo_lake.index.keys import is_content, organisation_key
from pismo_lake.index.landed import event_bytes
from pismo_lake.ledger import FileLedger, LakeFiles
from pismo_lake.ledger.builds import BuildLedger
from pismo_lake.ledger.erasures import erased_keys
from pismo_lake.paths import IDS, event_name, event_path, partition_path
from pismo_lake.privacy.redact import Redactor
from pismo_lake.rows.dates import event_dates
from pismo_lake.storage.encryption import open_parquet
from pismo_lake.storage.errors import sound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pismo_lake.ledger import FileRecord, Ledger
    from pismo_lake.ledger.builds import PartRecord
    from pismo_lake.settings.lake import LakeSettings
    from pismo_lake.settings.privacy import Privacy

T = TypeVar("T")
_TRIES = 5
_PAUSE = 0.2
"""Seconds by which each pause before another try is longer than the one before."""
_INDEXED = [
    "offset", "length", "reason", "org_id", "event_id", "domain", "event_type", "schema_version", "event_timestamp",
    "content_hash", "content_xxh3", "dedupe_key",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class LakeRow:
    """The row of the lake that holds an event."""

    parquet: str
    row_group: int
    row: int
    built_at: str
    run: str


class Content(NamedTuple):
    """The hash of an event's bytes: of an earlier version, or of today."""

    earlier: bytes | None
    xxh3: bytes | None


@dataclass(frozen=True, slots=True)
class Place:
    """One copy of an event; offset and length in bytes of the uncompressed file.

    `state`: ``in the lake`` (it wins) | ``duplicate`` | ``duplicate with other content`` | ``rejected: <reason>`` |
    ``erased`` | ``not built``.
    """

    record: FileRecord
    offset: int
    length: int
    org_id: str | None
    state: str
    lake_row: LakeRow | None
    content: Content

    @property
    def source(self) -> str:
        """The delivery and object key, with the version if there are several."""
        return f"{self.record.delivery}:{self.record.name}"

    def __str__(self) -> str:
        lines = [
            f"{self.state}",
            f"  source   {self.source}",
            f"           offset {self.offset}, length {self.length}",
            f"  landed   {self.record.raw_uri}",
            f"           {self.record.landed_at}{_name_run(self.record.run)}",
        ]
        if self.record.problem:
            lines.append(f"  problem  {self.record.problem}")
        if self.lake_row:
            at = self.lake_row
            lines.append(f"  parquet  {at.parquet}")
            lines.append(f"           row group {at.row_group}, row {at.row}; built {at.built_at}{_name_run(at.run)}")
        return "\n".join(lines)


def _name_run(run: str | None) -> str:
    return f" by {run}" if run else ""


@dataclass(slots=True)
class Bounds:
    """The limits of a search: one delivery, the publish days `[first, last]`, a number of indexes to read.

    After the search, `skipped` is the number of files that were not searched because of the last limit.
    """

    delivery: str
    first: str
    last: str
    most_indexes: int
    skipped: int = 0


def find_event(settings: LakeSettings, ledger: Ledger, event_id: str, bounds: Bounds | None = None) -> list[Place]:
    """Return every copy of an event id in the landed files of a lake, the winning copy first.

    With `bounds`, only copies within them are found, and another copy may be the winning one.
    """

    def find_places() -> list[Place]:
        copies = copies_of(settings, ledger, event_id, bounds)
        found = [place for record, offsets in copies for place in _places(settings, ledger, record, event_id, offsets)]
        _refuse_moved(settings, ledger, [record for record, _ in copies])
        return found

    places = read_again(find_places)
    places.sort(key=lambda place: (place.record.rank, place.offset))
    winners = {organisation_key(place.org_id): place for place in places if place.lake_row}
    return [_compare_content(place, winners) for place in places]


def keys_of_events(settings: LakeSettings, ledger: Ledger, event_ids: Iterable[str]) -> dict[str, list[str]]:
    """Return the object keys of this delivery that hold each of some events."""
    return {
        event_id: sorted(
            {record.key for record, _ in copies_of(settings, ledger, event_id) if record.delivery == settings.delivery}
        )
        for event_id in event_ids
    }


def raw_event(place: Place) -> bytes:
    """Return the event's bytes as Pismo wrote them; a compressed file is read whole."""
    return event_bytes(place.record, place.offset, place.length)


def display_event(place: Place, privacy: Privacy | None) -> bytes:
    """Return the event for display: `raw_event`, or its redacted JSON under a policy.

    Raises:
        LakeError: there is a policy, and the bytes are no event that it can be applied to.
    """
    raw = raw_event(place)
    if privacy is None:
        return raw
    try:
        envelope = envelope_of(parse_exact(raw))
        event = event_path(envelope.domain, event_name(envelope.event_type, envelope.schema_version))
        return Redactor(privacy, event).event(raw).encode()
    except ValueError:
        msg = f"{place.source} at {place.offset}: not an event that privacy policy {privacy.name} can be applied to"
        raise LakeError(msg) from None


def copies_of(
    settings: LakeSettings, ledger: Ledger, event_id: str, bounds: Bounds | None = None
) -> list[tuple[FileRecord, list[int]]]:
    """Return the files that hold an event, with its offsets; damage with a visible id counts too.

    Raises:
        LakeError: A file that the ledger names is missing.
    """
    return read_again(lambda: _copies_of(settings, ledger, event_id, bounds))


def _copies_of(
    settings: LakeSettings, ledger: Ledger, event_id: str, bounds: Bounds | None
) -> list[tuple[FileRecord, list[int]]]:
    found: dict[tuple[str, str], tuple[FileRecord, list[int]]] = {}
    # files that no closed day has come first: a close takes files from them, and none may be missed
    for record in _not_closed(settings, ledger, bounds):
        index = read_index(record, ["event_id", "offset"])
        own = index.filter(pc.equal(index.column("event_id"), event_id)).column("offset").to_pylist()
        if own:
            found[record.delivery, record.name] = (record, own)
    for delivery, uri in _id_indexes(settings, ledger, bounds):
        offsets: dict[str, list[int]] = {}
        for name, offset in find_ids(uri, event_id):
            offsets.setdefault(name, []).append(offset)
        for record in FileLedger(ledger, settings.lake, delivery).find_named(offsets):
            found[delivery, record.name] = (record, offsets[record.name])
    return list(found.values())


def read_again(work: Callable[[], T]) -> T:
    """Read something from the files that the ledger names; begin again if a build has replaced one meanwhile.

    Raises:
        LakeError: Each time a file was missing. A build at work does not last that long.
    """
    missing = ""
    for attempt in range(_TRIES):
        time.sleep(attempt * _PAUSE)
        try:
            return work()
        except LakeError:
            raise
        except FileNotFoundError as error:
            missing = str(error.filename or error)
    msg = f"{missing}: missing, but the ledger names it; `check --repair` makes it again"
    raise LakeError(msg)


def _refuse_moved(settings: LakeSettings, ledger: Ledger, records: Iterable[FileRecord]) -> None:
    """Raise `FileNotFoundError` if a close has moved a file to another unit since its record was read."""
    units = {(record.delivery, record.name): record.unit for record in records}
    for delivery in {delivery for delivery, _ in units}:
        names = [name for each, name in units if each == delivery]
        for now in FileLedger(ledger, settings.lake, delivery).find_named(names):
            if now.unit != units[delivery, now.name]:
                raise FileNotFoundError(now.name)


def _not_closed(settings: LakeSettings, ledger: Ledger, bounds: Bounds | None) -> list[FileRecord]:
    """Return the files whose own index has to be read, the newest if there are too many."""
    files = LakeFiles(ledger, settings.lake)
    if bounds is None:
        return files.list_not_closed()
    found = files.list_not_closed((bounds.delivery, bounds.first, bounds.last))
    bounds.skipped = max(len(found) - bounds.most_indexes, 0)
    return found[bounds.skipped :]


def _id_indexes(settings: LakeSettings, ledger: Ledger, bounds: Bounds | None) -> Iterator[tuple[str, str]]:
    within = None if bounds is None else (bounds.delivery, bounds.first, bounds.last)
    for delivery, outputs in LakeFiles(ledger, settings.lake).list_closed_days(within):
        yield from ((delivery, storage.join(settings.lake, path)) for path in outputs if path.startswith(f"{IDS}/"))


def _places(
    settings: LakeSettings, ledger: Ledger, record: FileRecord, event_id: str, offsets: list[int]
) -> Iterator[Place]:
    index = read_index(record, _INDEXED)
    erased = erased_keys(ledger, settings.lake)
    wanted = pc.and_(
        pc.equal(index.column("event_id"), event_id), pc.is_in(index.column("offset"), pa.array(offsets, pa.int64()))
    )
    for row in index.filter(wanted).to_pylist():
        lake_row, state = None, f"rejected: {row['reason']}"
        if row["reason"] is None:
            lake_row = _find_row(settings, ledger, record, row)
            state = "in the lake" if lake_row else "duplicate" if record.built else "not built"
            if row["dedupe_key"] in erased:
                state = "erased"
        where = (record, row["offset"], row["length"], row["org_id"])
        yield Place(*where, state, lake_row, Content(row["content_hash"], row["content_xxh3"]))


def _compare_content(place: Place, winners: dict[str, Place]) -> Place:
    first = winners.get(organisation_key(place.org_id))
    if place.state != "duplicate" or first is None or first.content == place.content:
        return place
    if (first.content.xxh3 is None) != (place.content.xxh3 is None):
        # the index of one is of an earlier version, with hashes of another kind
        try:
            event = raw_event(place)
        except LandedFileError:
            return place
        if is_content(event, *first.content):
            return place
    where = (place.record, place.offset, place.length, place.org_id)
    return Place(*where, "duplicate with other content", None, place.content)


def _find_row(settings: LakeSettings, ledger: Ledger, record: FileRecord, row: dict[str, Any]) -> LakeRow | None:
    """Return the event's row in the outputs of its unit and partition; None if it has none."""
    stamp = pa.array([row["event_timestamp"]], pa.timestamp("us", tz="UTC"))
    date = event_dates(stamp, settings.event_date_zone, record.publish_hour[:10])[0].as_py()
    folder = partition_path(row["domain"], event_name(row["event_type"], row["schema_version"]), date)
    for part in BuildLedger(ledger, settings.lake, record.delivery, record.unit).parts():
        for path in part.outputs:
            if path.rsplit("/", 1)[0] == folder:
                found = _find_row_in(settings, path, record.name, row["offset"], part)
                if found:
                    return found
    return None


def _find_row_in(settings: LakeSettings, path: str, name: str, offset: int, part: PartRecord) -> LakeRow | None:
    uri = storage.join(settings.lake, path)
    with storage.open_for_reading(uri) as source:
        with sound(uri):
            file = open_parquet(source, settings.key)
        for group in row_groups_with(file, "_source_file", name):
            # not the dataset reader: at exit, its read-ahead threads outlive a Python file object
            table = file.read_row_group(group, ["_source_file", "_source_offset"], use_threads=False)
            here = pc.and_(
                pc.equal(table.column("_source_file"), name), pc.equal(table.column("_source_offset"), offset)
            )
            at = pc.index(here, True).as_py()
            if at >= 0:
                return LakeRow(uri, group, at, part.built_at or "", part.run or "")
    return None
