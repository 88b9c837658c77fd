"""Make tables and views over the lake for DuckDB, Athena, Spark, Snowflake and BigQuery.

A table has every column under its full name, even if some of its files lack it. Beside each table is a view with short
names, and two views give the latest state of accounts and cards. A given name never changes (`pismo_lake.ddl.names`).
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa

from pismo_lake import storage
from pismo_lake.contracts.names import column_path
from pismo_lake.ddl.dialects import DIALECTS
from pismo_lake.ddl.names import VIEW, GivenNames
from pismo_lake.errors import ConfigError
from pismo_lake.paths import items_folder, type_folder
from pismo_lake.rows.schema import COUNT, ENVELOPE_SCHEMA, SOURCE_SCHEMA, TYPED, child_schemas, event_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pismo_lake.contracts.store import ContractStore
    from pismo_lake.ddl.dialects import Dialect

# for each view: domain, event type without its version, entity and state (Pismo's pages "Event: status-change" of the
# account domain and "Event: card_change" of the audit domain)
_STATES = {
    "account_status_latest": ("account", "status-change", "data__account_id", "data__new_status__status"),
    "card_status_latest": ("audit", "card_change", "data__object__card_id", "data__object__status"),
}
_PARTITION = re.compile(r"/event_date=(\d{4}-\d\d-\d\d)/")
_VERSIONED = re.compile(r"(.*?)(?:-\d+)?")


@dataclass(frozen=True, slots=True)
class LakeTable:
    """The table of one event type, or of a list's child table.

    `schema` has its columns, without `event_date`, which is in the path. `shorts` are the names of its view's columns.
    """

    domain: str
    event_type: str
    name: str
    folder: str
    schema: pa.Schema
    shorts: dict[str, str] = field(default_factory=dict)
    lake: str = ""

    def dates(self) -> tuple[date, date] | None:
        """Return the first and the last date of its files; None without files."""
        found = set()
        for uri in storage.list_files(storage.join(self.lake, self.folder)) if self.lake else ():
            if match := _PARTITION.search(uri):
                found.add(date.fromisoformat(match[1]))
        return (min(found), max(found)) if found else None


def lake_tables(lake: str, contracts: ContractStore, domains: Sequence[str] = ()) -> list[LakeTable]:
    """Return a table for each event type of the contracts, and for each child table with files.

    The names are kept in the lake. In a read-only lake, new names are given but not kept.
    """
    while True:
        given = GivenNames.load(lake)
        found = list(_name_tables(lake, contracts, domains, given))
        if given.is_current():
            given.save()
            return found


def _name_tables(lake: str, contracts: ContractStore, domains: Sequence[str], given: GivenNames) -> Iterator[LakeTable]:
    known = contracts.names()
    # name all of them, also those that were not asked for: if two types differ only in signs, one gets a number
    for domain, event_type in known:
        given.table(type_folder(domain, event_type), _identifier(f"{domain}__{event_type}"))
    for domain, event_type in known:
        if domains and domain not in domains:
            continue
        folder = type_folder(domain, event_type)
        name = given.table(folder, "")
        yield _table(
            lake, given, LakeTable(domain, event_type, name, folder, event_schema(contracts, domain, event_type))
        )
        for item, schema in child_schemas(contracts, domain, event_type):
            folder = items_folder(domain, event_type, item)
            child = given.table(folder, f"{name}__{_identifier(item)}")
            # DuckDB cannot make a view over an empty folder
            if any(True for _ in storage.list_files(storage.join(lake, folder))):
                yield _table(lake, given, LakeTable(domain, f"{event_type}__{item}", child, folder, schema))


def _table(lake: str, given: GivenNames, table: LakeTable) -> LakeTable:
    columns = ["event_date", *table.schema.names]
    return replace(table, lake=lake, shorts=given.columns_of(table.folder, lambda names: short_names(columns, names)))


def statements(lake: str, tables: Iterable[LakeTable], dialect: str, schema: str = "", stage: str = "") -> list[str]:
    """Return the statements of a dialect, in the order in which to run them.

    `schema` precedes each name; `stage` is Snowflake's.
    """
    if dialect not in DIALECTS:
        msg = f"{dialect!r} is not a dialect; give one of {', '.join(DIALECTS)}"
        raise ConfigError(msg)
    speech, known = DIALECTS[dialect], list(tables)
    place = f"@{stage or 'pismo_lake'}" if dialect == "snowflake" else lake
    out = []
    for table in known:
        name = speech.qualify_name(schema, table.name)
        out += speech.table(name, storage.join(place, table.folder), table.schema, table.dates)
        shorts = table.shorts or short_names(["event_date", *table.schema.names])
        out.append(_short_view(speech, speech.qualify_name(schema, f"{table.name}{VIEW}"), name, shorts))
    return [*out, *_latest_views(speech, schema, known)]


def short_names(columns: Sequence[str], given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the shortest name of each column: its last keys, as many as make it unique.

    Columns that were `given` a name keep it; the others get one that no column has, or had.

    >>> short_names(["event_id", "data__amount", "data__payer__id", "data__payee__id", "data__event_id"]) {'event_id':
    'event_id', 'data__amount': 'amount', 'data__payer__id': 'payer_id', 'data__payee__id': 'payee_id',
    'data__event_id': 'data_event_id'} >>> short_names(["data__payer__id", "data__payee__id"], {"data__payer__id":
    "id"}) {'data__payer__id': 'id', 'data__payee__id': 'payee_id'}
    """
    given = given or {}
    # names of counts and of typed values come from these columns
    after = {name: f"data__{name.removeprefix(COUNT)}" for name in columns if name.startswith(COUNT)}
    after |= {name: f"data__{name.removeprefix(TYPED)}" for name in columns if name.startswith(TYPED)}
    counted = [after.get(name, name) for name in columns if not name.startswith(TYPED)]
    plain = _shortest([name for name in counted if name not in given], set(given.values()))
    plain |= {name: given[name] for name in counted if name in given}
    names: dict[str, str] = {}
    taken = {name.lower() for name in given.values()}
    for name in columns:
        if name in given:
            names[name] = given[name]
            continue
        suffix = "_count" if name.startswith(COUNT) else "_typed" if name.startswith(TYPED) else ""
        short = f"{plain[after.get(name, name)]}{suffix}"
        if short.lower() in taken:
            short = name
        number = 1
        while short.lower() in taken:
            number += 1
            short = f"{name}__{number}"
        names[name] = short
        taken.add(short.lower())
    return names


def _shortest(columns: Sequence[str], taken: set[str]) -> dict[str, str]:
    """Return short names that differ from each other and from those `taken`, if keys allow."""
    own = {*ENVELOPE_SCHEMA.names, *SOURCE_SCHEMA.names, "_rescued", "event_date"}
    paths = {name: (name,) if name in own else column_path(name) for name in columns}
    depth = dict.fromkeys(columns, 1)
    while True:
        names = {name: _identifier("_".join(path[-depth[name] :])) for name, path in paths.items()}
        count = Counter(names.values())
        crowded = [
            name
            for name in columns
            if name not in own and (count[names[name]] > 1 or names[name] in own or names[name] in taken)
        ]
        grown = [name for name in crowded if depth[name] < len(paths[name])]
        if not grown:
            # names that differ only in signs keep the whole column name
            return {name: name if name in crowded else short for name, short in names.items()}
        for name in grown:
            depth[name] += 1


def _identifier(text: str) -> str:
    """Return lower-case letters, digits and underscores only: no engine needs quotes for them."""
    plain = re.sub(r"[^a-z0-9_]+", "_", text.lower())
    return f"_{plain}" if plain[:1].isdigit() or not plain else plain


def _short_view(speech: Dialect, view: str, table: str, shorts: Mapping[str, str]) -> str:
    lines = [
        speech.quote_name(name) if name == short else f"{speech.quote_name(name)} AS {speech.quote_name(short)}"
        for name, short in shorts.items()
    ]
    return f"CREATE OR REPLACE VIEW {view} AS SELECT\n  " + ",\n  ".join(lines) + f"\nFROM {table}"


def _latest_views(speech: Dialect, schema: str, tables: Sequence[LakeTable]) -> Iterator[str]:
    for view, (domain, event, entity, state) in _STATES.items():
        sources = [
            table
            for table in tables
            if table.domain == domain
            and (named := _VERSIONED.fullmatch(table.event_type)) is not None
            and named[1] == event
            and {entity, state} <= set(table.schema.names)
        ]
        if sources:
            yield _latest_view(speech, schema, view, sources, (entity, state))


def _latest_view(speech: Dialect, schema: str, view: str, tables: Sequence[LakeTable], columns: tuple[str, str]) -> str:
    """Return a view with one row for each organisation and entity: the newest of all versions.

    Organisations are compared without case, as for events: Pismo writes the same one in both cases.
    """
    entity, state = columns
    short, quote = speech.quote_name(column_path(entity)[-1]), speech.quote_name
    org, event, moment, status = map(quote, ("org_id", "event_id", "event_timestamp", "status"))
    kinds = {table.schema.field(entity).type for table in tables}
    every = "\n  UNION ALL\n".join(
        f"  SELECT {org}, {event}, {moment}, {_unify_column(speech, entity, table.schema, kinds)} AS {short},"  # noqa: S608 - names are quoted
        f" {quote(state)} AS {status} FROM {speech.qualify_name(schema, table.name)}"
        for table in tables
    )
    # engines sort nulls differently: an event without a time must never be the newest
    newest = f"CASE WHEN {moment} IS NULL THEN 1 ELSE 0 END, {moment} DESC, {event} DESC"
    order = f"PARTITION BY LOWER(COALESCE({org}, '')), {short} ORDER BY {newest}"
    return (
        f"CREATE OR REPLACE VIEW {speech.qualify_name(schema, view)} AS\n"
        f"SELECT {org}, {short}, {status}, {moment}, {event} FROM (\n"
        f"SELECT {org}, {event}, {moment}, {short}, {status}, ROW_NUMBER() OVER ({order}) AS newest FROM (\n"
        f"{every}\n) AS every_change WHERE {short} IS NOT NULL\n) AS ranked WHERE newest = 1"
    )


def _unify_column(speech: Dialect, column: str, schema: pa.Schema, kinds: set[pa.DataType]) -> str:
    """Return a column, as text if it is text in another version of the event."""
    name, kind = speech.quote_name(column), schema.field(column).type
    if kind == pa.string() or pa.string() not in kinds:
        return name
    if pa.types.is_decimal(kind):
        # write an id without zeros after the point
        name = f"CAST({name} AS {speech.type(pa.int64())})"
    return f"CAST({name} AS {speech.type(pa.string())})"
