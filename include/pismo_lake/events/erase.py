"""Erase events of a person: find them in the lake by a column's value or by id, record them, build without them.

What is recorded stands for good (see `erasures`). With `raw` their bytes in landing become blanks, which keeps every
offset; the copies that Pismo and versioned buckets hold are not ours to reach.
"""

from __future__ import annotations

import gzip
import logging
import re
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pismo_lake import storage
from pismo_lake.build.day import build_unit
from pismo_lake.decode.container import GZIP, uncompress
from pismo_lake.errors import ConfigError
from pismo_lake.events.find import copies_of
from pismo_lake.index.files import read_index
from pismo_lake.index.keys import dedupe_key
from pismo_lake.index.landed import landed_bytes
from pismo_lake.index.parsed import let_go
from pismo_lake.ledger import FileLedger
from pismo_lake.ledger.binding import LakeBinding
from pismo_lake.ledger.engine import now_text
from pismo_lake.ledger.erasures import Erasure, record_erasure
from pismo_lake.paths import VALUE_ROOTS, event_name, event_path
from pismo_lake.progress import SILENT
from pismo_lake.rows.child_tables import leaf_fields, leaves, places
from pismo_lake.spelling import there_are
from pismo_lake.storage.encryption import open_parquet
from pismo_lake.storage.errors import sound

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow.parquet as pq
    from numpy.typing import NDArray

    from pismo_lake.ledger import FileRecord, Ledger
    from pismo_lake.progress import Progress
    from pismo_lake.settings.lake import LakeSettings
    from pismo_lake.settings.privacy import Privacy

_LOG = logging.getLogger(__name__)
_IDENTITY = ["org_id", "event_id"]
_DAMAGED = b"damaged bytes, erased"
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d{1,4})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Found:
    """One event to erase."""

    event_type: str
    org_id: str | None
    event_id: str

    @property
    def key(self) -> bytes:
        """Its dedupe key."""
        return dedupe_key(self.org_id, self.event_id)


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure did: events by type, units built anew, units that their own delivery has to build, raw files."""

    events: dict[str, int]
    units: tuple[str, ...]
    left: tuple[str, ...]
    raw_files: int


def find_events(
    settings: LakeSettings, conditions: Sequence[tuple[str, str]], event_ids: Iterable[str] = ()
) -> list[Found]:
    """Rows in which any condition (column, value) holds, or of the given ids; all files of the lake are looked at.

    A hashed column is compared with the hash of the value. `ConfigError` where no file has a column, or where values
    of one were dropped or coarsened, so that they cannot be told apart.
    """
    ids, met = set(event_ids), set[str]()
    found: dict[tuple[str | None, str], Found] = {}
    columns: set[str] = set()
    for event_type, uri in _files(settings.lake):
        with storage.open_for_reading(uri) as source:
            with sound(uri):
                file = open_parquet(source, settings.key)
            here = [
                (place, _sought(place.leaf, value, settings.privacy))
                for column, value in conditions
                if (place := _place(file.schema_arrow, column)) is not None
            ]
            met.update(place.leaf.name for place, _ in here)
            if conditions:
                columns.update(_columns(file.schema_arrow))
            if here or ids:
                for org_id, event_id in _matches(file, here, ids):
                    found.setdefault((org_id, event_id), Found(event_type, org_id, event_id))
    missing = {column for column, _ in conditions} - met
    if missing:
        there = "; ".join(f"like {name}: {there_are(name, sorted(columns))}" for name in sorted(missing) if columns)
        msg = f"no file of the lake has a column {', '.join(sorted(missing))}{there and f' ({there})'}"
        raise ConfigError(msg)
    return list(found.values())


def find_copies(settings: LakeSettings, ledger: Ledger, event_ids: Iterable[str]) -> list[Found]:
    """Events of these ids in landed files, whether they have a row or not: erased before, say, but not in landing."""
    found: dict[tuple[str | None, str], Found] = {}
    for event_id in sorted(set(event_ids)):
        for record, offsets in copies_of(settings, ledger, event_id):
            index = read_index(record, ["offset", "reason", *_IDENTITY, "domain", "event_type", "schema_version"])
            # a damaged range that shows an id is no event
            usable = pc.and_(pc.is_in(index["offset"], pa.array(offsets, pa.int64())), pc.is_null(index["reason"]))
            for row in index.filter(usable).to_pylist():
                event = event_path(row["domain"], event_name(row["event_type"], row["schema_version"]))
                found.setdefault((row["org_id"], event_id), Found(event, row["org_id"], event_id))
    return list(found.values())


def erase(
    settings: LakeSettings, ledger: Ledger, found: Sequence[Found], reference: str, *, raw: bool = False,
    log: logging.Logger = _LOG, progress: Progress = SILENT,
) -> Erased:  # fmt: skip
    """Record the events as erased and build every unit that holds a copy of one without them.

    Units of other deliveries of the lake are left to these: they are marked and built by their next run. Nothing is
    done, and `ConfigError` raised, where the ledger does not know the files of an event: it is not the lake's.
    """
    keys = {event.key for event in found}
    ids = sorted({event.event_id for event in found})
    by_id = {event_id: list(copies_of(settings, ledger, event_id)) for event_id in ids}
    copies = [(record, offset) for records in by_id.values() for record, offsets in records for offset in offsets]
    strangers = [event for event in found if not by_id[event.event_id]]
    if strangers:
        msg = (
            f"{len(strangers)} of {len(found)} event(s) stand in the lake, but the ledger has no file with them,"
            " so nothing would be erased: is it the lake's own ledger?"
        )
        raise ConfigError(msg)
    LakeBinding(ledger, settings.lake, settings.delivery, settings.landing).bind()
    record_erasure(ledger, settings.lake, Erasure.fresh(reference, now_text(), ledger.run or ""), sorted(keys))
    units: dict[str, set[str]] = {}
    for record, _ in copies:
        FileLedger(ledger, settings.lake, record.delivery).mark_unbuilt(record.publish_hour)
        units.setdefault(record.delivery, set()).add(record.unit)
    mine = sorted(units.pop(settings.delivery, set()))
    progress.start("building", len(mine), noun="units")
    for done, unit in enumerate(mine, 1):
        build_unit(settings, ledger, unit, log=log)
        progress.advance()
        log.info("erasing: %d of %d unit(s) built anew", done, len(mine))
    left = tuple(f"{delivery} {unit}" for delivery, those in sorted(units.items()) for unit in sorted(those))
    blanked = _blank(settings, copies, keys) if raw else 0
    return Erased(dict(Counter(event.event_type for event in found)), tuple(mine), left, blanked)


def _files(lake: str) -> Iterator[tuple[str, str]]:
    """Yield (event type, URI) of every file that holds values of events: their rows, and the rows of their lists."""
    for part in VALUE_ROOTS:
        root = storage.join(lake, part)
        for uri in storage.list_files(root):
            if uri.endswith(".parquet"):
                domain, event_type, *_ = uri[len(root) :].strip("/").split("/")
                yield f"{domain.removeprefix('domain=')}/{event_type.removeprefix('event_type=')}", uri


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a file holds a column: the column itself, or a leaf, by its number, of the items of a list."""

    column: str
    leaf: pa.Field
    number: int | None = None

    def holding(self, table: pa.Table, value: pa.Scalar) -> pa.Array | NDArray[np.bool_]:
        """In which rows the value stands."""
        array = table.column(self.column).combine_chunks()
        if self.number is None:
            return pc.fill_null(pc.equal(array, value), fill_value=False)
        parents, _ = places(array)
        items = pc.fill_null(pc.equal(leaves(array.flatten())[self.number], value), fill_value=False)
        rows = np.zeros(len(array), dtype=bool)
        rows[parents[items.to_numpy(zero_copy_only=False)]] = True
        return rows


def _columns(schema: pa.Schema) -> Iterator[str]:
    """Yield the columns that a condition may name: those of single values, and the leaves of lists."""
    for field in schema:
        if pa.types.is_list(field.type):
            yield from (leaf.name for leaf in leaf_fields(pa.field(field.name, field.type.value_type)))
        else:
            yield field.name


def _place(schema: pa.Schema, column: str) -> _Place | None:
    for field in schema:
        if pa.types.is_list(field.type):
            items = pa.field(field.name, field.type.value_type, metadata=field.metadata)
            for number, leaf in enumerate(leaf_fields(items)):
                if leaf.name == column:
                    return _Place(field.name, leaf.with_metadata(field.metadata), number)
        elif field.name == column:
            return _Place(column, field)
    return None


def _matches(
    file: pq.ParquetFile, conditions: Sequence[tuple[_Place, pa.Scalar | None]], ids: set[str]
) -> Iterator[tuple[str | None, str]]:
    columns = list(dict.fromkeys([*_IDENTITY, *(place.column for place, _ in conditions)]))
    for group in range(file.num_row_groups):
        table = file.read_row_group(group, columns, use_threads=False)
        mask = pc.is_in(table.column("event_id"), pa.array(sorted(ids), pa.string()))
        for place, value in conditions:
            if value is not None:
                mask = pc.or_(mask, pa.array(place.holding(table, value)))
        rows = table.filter(mask)
        yield from zip(rows.column("org_id").to_pylist(), rows.column("event_id").to_pylist(), strict=True)


def _sought(field: pa.Field, value: str, privacy: Privacy | None) -> pa.Scalar | None:
    """The value as the column holds it; None where it cannot be one of the column's."""
    done = (field.metadata or {}).get(b"pismo.privacy", b"").decode()
    if done == "hash" and privacy is not None and privacy.key is not None:
        return pa.scalar(privacy.key.digest(value))
    if done:
        msg = f"column {field.name} is under the policy ({done}): its values cannot be told apart, or a key lacks"
        raise ConfigError(msg)
    if pa.types.is_string(field.type):
        return pa.scalar(value)
    try:
        if pa.types.is_integer(field.type) or pa.types.is_decimal(field.type):
            # 007 is a text, not the number 7
            return pa.scalar(Decimal(value)).cast(field.type) if _NUMBER.fullmatch(value) else None
        return pa.scalar(value).cast(field.type)
    except (InvalidOperation, pa.ArrowInvalid):
        return None
    except pa.ArrowNotImplementedError:
        msg = f"column {field.name} holds {field.type}: give a column of single values"
        raise ConfigError(msg) from None


def _blank(settings: LakeSettings, copies: Sequence[tuple[FileRecord, int]], keys: set[bytes]) -> int:
    """Blanks in the place of the events in their raw files; how many files were written anew."""
    let_go(settings, (record for record, _ in copies))
    ranges: dict[str, tuple[FileRecord, set[int]]] = {}
    for record, offset in copies:
        ranges.setdefault(record.raw_uri, (record, set()))[1].add(offset)
    for uri, (record, offsets) in ranges.items():
        index = read_index(record, ["offset", "length", "dedupe_key"]).to_pylist()
        raw = landed_bytes(record)
        packed = raw.startswith(GZIP)
        plain = uncompress(raw, record.name, record.plain_size)
        data = bytearray(plain.data)
        for row in index:
            if row["offset"] in offsets and row["dedupe_key"] in keys:
                data[row["offset"] : row["offset"] + row["length"]] = b" " * row["length"]
        # no time stamp: the same bytes again for the same content
        content = gzip.compress(bytes(data), mtime=0) if packed else bytes(data)
        # damaged bytes may hold the events too; that there were some stays to be seen
        storage.write_atomic(uri, content + (_DAMAGED if plain.lost else b""))
    return len(ranges)
