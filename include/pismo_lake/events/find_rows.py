"""Find the events of a person by the values of columns in the lake, or by their ids."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pismo_lake import storage
from pismo_lake.errors import ConfigError, LakeError
from pismo_lake.events.find import copies_of
from pismo_lake.index.files import read_index
from pismo_lake.index.keys import dedupe_key
from pismo_lake.paths import VALUE_ROOTS, event_name, event_path
from pismo_lake.privacy.columns import KEY_NOTE, NOTE
from pismo_lake.privacy.mark import lake_keys
from pismo_lake.rows.child_tables import leaf_fields, leaves, places
from pismo_lake.spelling import list_in_words
from pismo_lake.storage.encryption import open_parquet
from pismo_lake.storage.errors import sound

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow.parquet as pq
    from numpy.typing import NDArray

    from pismo_lake.ledger import Ledger
    from pismo_lake.privacy.mark import LakeKeys
    from pismo_lake.settings.lake import LakeSettings

    Condition = tuple[str, str]

_IDENTITY = ["org_id", "event_id"]
_SOURCE = ["_source_delivery", "_source_file"]
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
class Blind:
    """A file of the lake in which a value cannot be found, and why.

    `sources` are (delivery, name) of the raw files that the rows came from: the value may be found there.
    """

    uri: str
    reason: str
    sources: tuple[tuple[str, str], ...] = ()
    damaged: bool = False

    def __str__(self) -> str:
        return f"{self.uri}: {self.reason}"


@dataclass(slots=True)
class FoundRows:
    """The events that a search of the lake's rows has found, and the files in which it is blind.

    `columns` are those of the conditions that were met, `present` all columns that a condition may name.
    """

    events: dict[tuple[str | None, str], Found] = field(default_factory=dict)
    columns: set[str] = field(default_factory=set)
    present: set[str] = field(default_factory=set)
    blind: list[Blind] = field(default_factory=list)


def refuse_unknown(conditions: Sequence[Condition], columns: set[str], present: set[str]) -> None:
    """Refuse conditions on columns that were not found; name similar columns of `present`."""
    missing = sorted({column for column, _ in conditions} - columns)
    if missing:
        there = "; ".join(f"like {name}: {list_in_words(name, sorted(present))}" for name in missing if present)
        msg = f"no file of the lake has a column {', '.join(missing)}{there and f' ({there})'}"
        raise ConfigError(msg)


def search_rows(settings: LakeSettings, conditions: Sequence[Condition], event_ids: Iterable[str] = ()) -> FoundRows:
    """Look at the rows of all files in the lake, whether a build knows the file or not.

    A hashed column is compared with the hash of the value, by the key that the file names.
    """
    ids, result = set(event_ids), FoundRows()
    keys = lake_keys(settings)
    for event_type, uri in _files(settings.lake):
        try:
            with storage.open_for_reading(uri) as source, sound(uri):
                file = open_parquet(source, settings.key)
                for org_id, event_id in _search(file, uri, conditions, ids, keys, result):
                    result.events.setdefault((org_id, event_id), Found(event_type, org_id, event_id))
        except LakeError as damage:
            result.blind.append(Blind(uri, str(damage), damaged=True))
        except FileNotFoundError:
            # replaced by a build since it was listed: its rows are in another file, which a second look finds
            result.blind.append(Blind(uri, "it was replaced meanwhile: search again"))
    return result


def _search(
    file: pq.ParquetFile, uri: str, conditions: Sequence[Condition], ids: set[str], keys: LakeKeys, result: FoundRows
) -> Iterator[tuple[str | None, str]]:
    """Yield the events of one file; add its columns, and why it may hold more, to the result."""
    wanted: list[tuple[_Place, pa.Array]] = []
    if conditions:
        result.present.update(_columns(file.schema_arrow))
    for column, value in conditions:
        place = _place(file.schema_arrow, column)
        if place is not None:
            result.columns.add(column)
            values, reason = _find_stored_values(place.leaf, value, keys)
            wanted += [(place, values)] if len(values) else []
            if reason:
                problem = f"column {column} is under the policy ({reason})"
                result.blind.append(Blind(uri, problem, _sources(file)))
    if wanted or ids:
        yield from _matches(file, wanted, ids)


def find_copies(settings: LakeSettings, ledger: Ledger, event_ids: Iterable[str]) -> list[Found]:
    """Return the events of these ids in landed files, also erased ones that have no row."""
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


def _files(lake: str) -> Iterator[tuple[str, str]]:
    """Yield (event type, URI) of every file with rows of events or of their lists."""
    for part in VALUE_ROOTS:
        root = storage.join(lake, part)
        for uri in storage.list_files(root):
            if uri.endswith(".parquet"):
                # a file that no build wrote may be in any folder
                folders = uri[len(root) :].strip("/").split("/")[:-1]
                domain, event_type = [*folders, "", ""][:2]
                yield f"{domain.removeprefix('domain=')}/{event_type.removeprefix('event_type=')}", uri


@dataclass(frozen=True, slots=True)
class _Place:
    """The place of a column in a file: the column itself, or the number of a leaf of a list."""

    column: str
    leaf: pa.Field
    number: int | None = None

    def match(self, table: pa.Table, values: pa.Array) -> pa.Array | NDArray[np.bool_]:
        """Return for each row whether it has one of the values."""
        array = table.column(self.column).combine_chunks()
        if self.number is None:
            return pc.is_in(array, values)
        parents, _ = places(array)
        items = pc.is_in(leaves(array.flatten())[self.number], values)
        rows = np.zeros(len(array), dtype=bool)
        rows[parents[items.to_numpy(zero_copy_only=False)]] = True
        return rows


def _columns(schema: pa.Schema) -> Iterator[str]:
    """Yield the columns that a condition may name: single values, and the leaves of lists."""
    for item in schema:
        if pa.types.is_list(item.type):
            yield from (leaf.name for leaf in leaf_fields(pa.field(item.name, item.type.value_type)))
        else:
            yield item.name


def _place(schema: pa.Schema, column: str) -> _Place | None:
    for item in schema:
        if pa.types.is_list(item.type):
            items = pa.field(item.name, item.type.value_type, metadata=item.metadata)
            for number, leaf in enumerate(leaf_fields(items)):
                if leaf.name == column:
                    return _Place(item.name, leaf.with_metadata(item.metadata), number)
        elif item.name == column:
            return _Place(column, item)
    return None


def _matches(
    file: pq.ParquetFile, conditions: Sequence[tuple[_Place, pa.Array]], ids: set[str]
) -> Iterator[tuple[str | None, str]]:
    columns = list(dict.fromkeys([*_IDENTITY, *(place.column for place, _ in conditions)]))
    if not set(_IDENTITY) <= set(file.schema_arrow.names):
        # no build wrote it; the search after an erasure names it if it holds the person
        return
    for group in range(file.num_row_groups):
        table = file.read_row_group(group, columns, use_threads=False)
        mask = pc.is_in(table.column("event_id"), pa.array(sorted(ids), pa.string()))
        for place, values in conditions:
            mask = pc.or_(mask, pa.array(place.match(table, values)))
        rows = table.filter(mask)
        yield from zip(rows.column("org_id").to_pylist(), rows.column("event_id").to_pylist(), strict=True)


def _sources(file: pq.ParquetFile) -> tuple[tuple[str, str], ...]:
    """Return (delivery, name) of the raw files of rows; none if the rows do not name them."""
    if not set(_SOURCE) <= set(file.schema_arrow.names):
        return ()
    table = file.read(_SOURCE, use_threads=False)
    return tuple(sorted({(row[_SOURCE[0]], row[_SOURCE[1]]) for row in table.to_pylist()}))


def _find_stored_values(leaf: pa.Field, value: str, keys: LakeKeys) -> tuple[pa.Array, str | None]:
    """Return the forms in which a column stores a value, and why it may store others too."""
    notes = {name.decode(): text.decode() for name, text in (leaf.metadata or {}).items()}
    actions = set(filter(None, notes.get(NOTE, "").split(", ")))
    reason = ", ".join(sorted(actions - {"hash"})) or None
    if "hash" in actions:
        key_id = notes.get(KEY_NOTE, "")
        given = keys.by_id.get(key_id, ())
        if not given:
            return pa.array([], leaf.type), f"hashed with key {key_id!r}, which is not given"
        # in the items of a list some leaves may be hashed and others not
        sought = [key.digest(value) for key in given] + ([value] if reason else [])
        if key_id in keys.incomplete:
            reason = f"it may be hashed with another secret of key {key_id!r}, which is not given"
        return pa.array(sought, pa.string()).cast(leaf.type), reason
    if reason:
        return pa.array([], leaf.type), f"{reason}: its values cannot be told apart"
    return _convert_value(leaf, value), None


def _convert_value(leaf: pa.Field, value: str) -> pa.Array:
    """Return a value as a column has it; nothing if it cannot be one of the column's."""
    nothing: pa.Array = pa.array([], leaf.type)
    if pa.types.is_string(leaf.type):
        return pa.array([value])
    if pa.types.is_integer(leaf.type) or pa.types.is_decimal(leaf.type):
        return as_numbers([value], leaf.type)
    try:
        return pa.array([value]).cast(leaf.type)
    except pa.ArrowInvalid:
        return nothing
    except pa.ArrowNotImplementedError:
        msg = f"column {leaf.name} holds {leaf.type}: give a column of single values"
        raise ConfigError(msg) from None


def as_numbers(values: Iterable[str], kind: pa.DataType) -> pa.Array:
    """Return those of some values that a column of numbers can hold; 007 is a text, not the number 7."""
    found: list[Any] = []
    for value in filter(_NUMBER.fullmatch, values):
        with suppress(InvalidOperation, pa.ArrowInvalid):
            found += pa.array([Decimal(value)]).cast(kind).to_pylist()
    return pa.array(found, kind)
