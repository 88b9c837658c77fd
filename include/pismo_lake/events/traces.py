"""Search everything that the project writes for traces of a person, after an erasure.

Each file of the lake and of landing is read, temporary files too, and the ledger with its old pages. A trace is named
by its place. The value that was found is never shown.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from pismo_lake import storage
from pismo_lake.build.spool import remove_spools
from pismo_lake.decode.container import GZIP, uncompress
from pismo_lake.errors import LandedFileError, PismoError
from pismo_lake.events.avro import MAGIC, plain_avro
from pismo_lake.events.find_landed import search_landed, work_ahead
from pismo_lake.events.find_rows import as_numbers, search_rows
from pismo_lake.events.needle import Needle
from pismo_lake.index.blank import DAMAGED
from pismo_lake.index.files import read_index_at
from pismo_lake.index.keys import dedupe_key
from pismo_lake.index.parsed import read_kept_tables
from pismo_lake.ledger.search import columns_with, files_with
from pismo_lake.paths import COLUMNS, ERASURES, IDS
from pismo_lake.privacy.mark import lake_keys
from pismo_lake.storage.encryption import open_parquet
from pismo_lake.storage.errors import sound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyarrow.parquet as pq

    from pismo_lake.events.find_rows import Condition, Found
    from pismo_lake.ledger import Ledger
    from pismo_lake.settings.lake import LakeSettings

_LOG = logging.getLogger(__name__)
_PARQUET = (b"PAR1", b"PARE")
_ID_COLUMNS = frozenset({"event_id", "org_id"})
_OF_ERASED = _ID_COLUMNS | {"raw"}
_INDEXED = ["offset", "length", "reason", "event_id", "dedupe_key"]
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Trace:
    """A place that still holds something of a person.

    `events` are the ids of the events there, if known.
    """

    place: str
    what: str
    events: tuple[str, ...] = ()

    def __str__(self) -> str:
        named = ", ".join(self.events[:_SHOWN]) + (" and more" if len(self.events) > _SHOWN else "")
        return f"{self.place}: {self.what}" + (f" (event {named})" if named else "")


@dataclass(slots=True)
class Traces:
    """The traces that a search has found, and the places that it could not search, each with the reason."""

    found: list[Trace] = field(default_factory=list)
    unsearched: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.found or self.unsearched)


def find_traces(
    settings: LakeSettings,
    ledger: Ledger,
    roots: Sequence[str],
    conditions: Sequence[Condition],
    erased: Sequence[Found],
    *,
    raw: bool,
) -> Traces:
    """Search for the values of a person, and for rows and bytes of the events that were erased.

    Args:
        settings: The settings of the lake.
        ledger: Its ledger.
        roots: The folders of deliveries in landing.
        conditions: (column, value) by which the person was found.
        erased: The events that were erased.
        raw: Whether their bytes in landing were erased too. If not, those bytes are no traces.
    """
    result, search = Traces(), _Search(settings, conditions, erased, raw=raw)
    for root in (settings.lake, *roots):
        uris = storage.list_every_file(root)
        _LOG.info("searching %d file(s) of %s", len(uris), root)
        in_file = search.search_lake_file if root == settings.lake else partial(search.search_landed_file, root)
        for _, found in work_ahead(in_file, uris):
            result.found += [item for item in found if isinstance(item, Trace)]
            result.unsearched += [item for item in found if isinstance(item, str)]
    if not storage.is_local(settings.lake):
        used = remove_spools(settings)[1]
        result.unsearched += [f"{folder}: a build is at work there, search again after it" for folder in used]
    # also short values, and numbers, which are looked for in their own columns alone
    keys = {event.key for event in erased}
    rows = search_rows(settings, conditions).events.values()
    landed = [
        event for event in search_landed(settings, ledger, conditions).events.values() if raw or event.key not in keys
    ]
    for place, events in ((settings.lake, rows), (settings.landing, landed)):
        if events:
            ids = tuple(sorted(event.event_id for event in events))
            result.found.append(Trace(place, f"{len(ids)} event(s) by the given columns", ids))
    needle = search.needle
    if needle.values:
        result.found += [Trace(f"ledger, {name}", "a value") for name, _ in columns_with(ledger, needle.is_in_text)]
        result.found += [Trace(str(path), "a value in its pages") for path in files_with(ledger, needle.is_in_bytes)]
    return result


class _Search:
    """The search of one person in files."""

    def __init__(
        self, settings: LakeSettings, conditions: Sequence[Condition], erased: Sequence[Found], *, raw: bool
    ) -> None:
        self._settings, self._raw = settings, raw
        self._keys = pa.array(sorted({event.key for event in erased}), pa.binary(16))
        self._ids = pa.array(sorted({event.event_id for event in erased}), pa.string())
        values = [value for _, value in conditions]
        keys = lake_keys(settings)
        hashes = [digest for value in values for digest in keys.digests(value)]
        self.needle = Needle.of([*values, *hashes])
        self._short = any(value not in self.needle.values for value in values)

    def search_lake_file(self, uri: str) -> list[Trace | str]:
        """Search a file of the lake; a text says why something could not be searched."""
        return self._guard(uri, self._file)

    def search_landed_file(self, root: str, uri: str) -> list[Trace | str]:
        """Search a file in a delivery's folder in landing, as `search_lake_file`."""
        below = uri.removeprefix(root).strip("/")
        if below.startswith(("_index/", f"{ERASURES}/")):
            return self._guard(uri, self._search_kept if uri.endswith(COLUMNS) else self._file)
        return self._guard(uri, lambda uri: self._raw_file(uri, storage.join(root, "_index", f"{below}.parquet")))

    def _guard(self, uri: str, search: Callable[[str], Iterator[Trace | str]]) -> list[Trace | str]:
        named = self.needle.is_in_text(uri.removeprefix(self._settings.lake).removeprefix(self._settings.landing))
        found: list[Trace | str] = [Trace(uri, "a value in its name")] if named else []
        try:
            found += search(uri)
        except FileNotFoundError:
            # removed since it was listed
            return []
        except (PismoError, pa.ArrowException, OSError) as error:
            found.append(str(error).partition("\n")[0])
        return found

    def _file(self, uri: str) -> Iterator[Trace | str]:
        if uri.endswith(".parquet"):
            with storage.open_for_reading(uri) as source, sound(uri):
                yield from self._parquet(uri, open_parquet(source, self._settings.key))
            return
        data = storage.read_bytes(uri)
        if data.startswith(_PARQUET):
            # on its way, as that of a build that was killed
            with sound(uri):
                yield from self._parquet(uri, open_parquet(pa.BufferReader(data), self._settings.key))
        elif self.needle.is_in_bytes(_plain(data, uri)):
            yield Trace(uri, "a value")

    def _search_kept(self, uri: str) -> Iterator[Trace | str]:
        for table in read_kept_tables(storage.read_bytes(uri)):
            yield from self._values(uri, table, table.column_names)

    def _raw_file(self, uri: str, index_uri: str) -> Iterator[Trace | str]:
        """Search a raw file event by event, so that the ids of events can be named."""
        if not (self._raw or self.needle.values or self._short):
            return
        content = storage.read_bytes(uri)
        plain = uncompress(content, uri, self._settings.max_plain_bytes)
        if content.startswith(GZIP):
            # compressed bytes show nothing but the name of a file, in their header
            if self.needle.is_plainly_in(content):
                yield Trace(uri, "a value in its gzip header")
            if plain.data.startswith(GZIP):
                yield f"{uri} is compressed twice"
            else:
                # an error names a file in another form
                uncompress(plain.data, uri)
        if plain.lost.strip(b"\0") not in {b"", DAMAGED}:
            yield f"{uri}: its damaged end cannot be decompressed"
        try:
            index = read_index_at(index_uri, _INDEXED)
        except (FileNotFoundError, LandedFileError):
            index = None
        if index is None:
            if self._short:
                yield f"{uri}: it has no index, so that its events are not known: index it first"
            if self.needle.is_in_bytes(plain.data):
                yield Trace(uri, "a value, in bytes without an index")
            return
        yield from self._events(uri, plain.data, index)

    def _events(self, uri: str, data: bytes, index: pa.Table) -> Iterator[Trace]:
        erased = pc.is_in(index.column("dedupe_key"), self._keys)
        if self._raw:
            damaged = pc.and_(pc.is_in(index.column("event_id"), self._ids), pc.is_valid(index.column("reason")))
            rows = index.filter(pc.or_(erased, damaged)).to_pylist()
            there = [row["event_id"] for row in rows if data[row["offset"] : row["offset"] + row["length"]].strip(b" ")]
            if there:
                yield Trace(uri, "bytes of erased events", tuple(sorted(set(there))))
        if not self.needle.is_in_bytes(data):
            return
        rest, found = bytearray(data), set()
        for row, is_erased in zip(index.to_pylist(), erased.to_pylist(), strict=True):
            place = slice(row["offset"], row["offset"] + row["length"])
            if not is_erased and self.needle.is_in_bytes(data[place]):
                found.add(row["event_id"] or "without an id")
            rest[place] = b" " * row["length"]
        if found:
            yield Trace(uri, "a value", tuple(sorted(found)))
        if self.needle.is_in_bytes(bytes(rest)):
            yield Trace(uri, "a value, outside of events")

    def _parquet(self, uri: str, file: pq.ParquetFile) -> Iterator[Trace]:
        """Search all texts and bytes of a Parquet file, and its rows for erased events."""
        names = [str(item) for item in file.schema_arrow]
        if any(map(self.needle.is_in_text, names)):
            yield Trace(uri, "a value in the name of a column")
        if any(map(self.needle.is_in_bytes, (file.metadata.metadata or {}).values())):
            yield Trace(uri, "a value in its metadata")
        below = uri.removeprefix(self._settings.lake).strip("/").split("/", 1)[0]
        index = "/_index/" in uri
        # without a value only the rows of erased events are looked for
        few = [name for name in file.schema_arrow.names if name in _OF_ERASED]
        for group in range(0 if index and not self.needle.values else file.num_row_groups):
            table = file.read_row_group(group, None if self.needle.values else few, use_threads=False)
            if index and not self._raw:
                # with the bytes of erased events the rest of their index stays too
                table = table.filter(pc.invert(pc.is_in(table.column("dedupe_key"), self._keys)))
            # ids of events stay, to tell that an event is erased
            ids_stay = index or below == IDS
            yield from self._values(uri, table, [x for x in table.column_names if not (ids_stay and x in _ID_COLUMNS)])
            if not ids_stay and "event_id" in table.column_names:
                yield from self._of_erased(uri, table)

    def _values(self, uri: str, table: pa.Table, names: Sequence[str]) -> Iterator[Trace]:
        for name in names:
            rows = self._rows_with(table.column(name).combine_chunks())
            if rows:
                yield Trace(uri, f"a value in column {name}", _ids_of(table, rows))

    def _of_erased(self, uri: str, table: pa.Table) -> Iterator[Trace]:
        """Find rows of erased events; a reject of one stays, and its bytes do not."""
        rows = pc.indices_nonzero(pc.is_in(table.column("event_id"), self._ids)).to_pylist()
        keys = set(self._keys.to_pylist())
        if "org_id" in table.column_names:
            pairs = table.select(["org_id", "event_id"]).take(rows).to_pylist() if rows else []
            rows = [
                row
                for row, pair in zip(rows, pairs, strict=True)
                if dedupe_key(pair["org_id"], pair["event_id"]) in keys
            ]
        elif "raw" in table.column_names:
            rows = [row for row in rows if table.column("raw")[row].is_valid]
        else:
            rows = []
        if rows:
            yield Trace(uri, f"{len(rows)} row(s) of erased events", _ids_of(table, rows))

    def _rows_with(self, array: pa.Array) -> list[int]:
        """Return the numbers of rows with a value in texts or as a number, also inside lists and objects."""
        kind = array.type
        if not self.needle.values:
            return []
        if pa.types.is_list(kind):
            parents = pc.list_parent_indices(array)
            return sorted({parents[item].as_py() for item in self._rows_with(pc.list_flatten(array))})
        if pa.types.is_struct(kind):
            return sorted({row for child in array.flatten() for row in self._rows_with(child)})
        if pa.types.is_dictionary(kind):
            return self._rows_with(array.cast(kind.value_type))
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            suspects = pc.match_substring(array, "\\")
            for value in self.needle.values:
                suspects = pc.or_(suspects, pc.match_substring(array, value, ignore_case=True))
            rows = pc.indices_nonzero(pc.fill_null(suspects, fill_value=False)).to_pylist()
            return [row for row in rows if self.needle.is_in_text(array[row].as_py())]
        if pa.types.is_integer(kind) or pa.types.is_decimal(kind):
            return [*pc.indices_nonzero(pc.is_in(array, as_numbers(self.needle.values, kind))).to_pylist()]
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            return [row for row, value in enumerate(array.to_pylist()) if value and self.needle.is_in_bytes(value)]
        return []


def _plain(data: bytes, uri: str) -> bytes:
    """Return the bytes of a file, decompressed if it is gzip, or the Avro file of a table's metadata."""
    if data.startswith(GZIP):
        return uncompress(data, uri).data
    return plain_avro(data, uri) if data.startswith(MAGIC) else data


def _ids_of(table: pa.Table, rows: Sequence[int]) -> tuple[str, ...]:
    """Return the ids of the events of some rows, if the file has them."""
    if "event_id" not in table.column_names:
        return ()
    return tuple(sorted({str(table.column("event_id")[row].as_py()) for row in rows}))
