"""Tables and views over the lake for query engines: DuckDB, Athena, Spark, Snowflake, BigQuery.

A table has every column under its full name, in all its files or not. Beside each is a view with short names, and two
views give the latest state of accounts and cards. Names that were given once stay (`pismo_lake.ddl.names`).
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

# what each view is of: domain, event type without its version, entity and state (Pismo's pages "Event:
# status-change" of the account domain and "Event: card_change" of the audit domain)
_STATES = {
    "account_status_latest": ("account", "status-change", "data__account_id", "data__new_status__status"),
    "card_status_latest": ("audit", "card_change", "data__object__card_id", "data__object__status"),
}
_PARTITION = re.compile(r"/event_date=(\d{4}-\d\d-\d\d)/")
_VERSIONED = re.compile(r"(.*?)(?:-\d+)?")


@dataclass(frozen=True, slots=True)
class LakeTable:
    """One event type of the lake, or a list's child table: segments of its folder, the name of its table, its columns.

    `event_date`, which is in the path, is not among them. `shorts` are the names of its view's columns.
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
    """Return the event types that contracts know, by name, each with its child tables as far as these have files.

    The names are kept in the lake. In a lake that may only be read, new names are given but not kept.
    """
    while True:
        given = GivenNames.load(lake)
        found = list(_named_tables(lake, contracts, domains, given))
        if given.is_current():
            given.save()
            return found


def _named_tables(
    lake: str, contracts: ContractStore, domains: Sequence[str], given: GivenNames
) -> Iterator[LakeTable]:
    known = contracts.names()
    # all of them, also those that are not asked for: two types whose names differ in signs alone get a number
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
            # DuckDB makes no view over a folder of nothing
            if any(True for _ in storage.list_files(storage.join(lake, folder))):
                yield _table(lake, given, LakeTable(domain, f"{event_type}__{item}", child, folder, schema))


def _table(lake: str, given: GivenNames, table: LakeTable) -> LakeTable:
    columns = ["event_date", *table.schema.names]
    return replace(table, lake=lake, shorts=given.columns_of(table.folder, lambda names: short_names(columns, names)))


def statements(lake: str, tables: Iterable[LakeTable], dialect: str, schema: str = "", stage: str = "") -> list[str]:
    """Return the statements of a dialect, to be run in order; `schema` precedes each name, `stage` is Snowflake's."""
    if dialect not in DIALECTS:
        msg = f"{dialect!r} is no dialect: {', '.join(DIALECTS)}"
        raise ConfigError(msg)
    speech, known = DIALECTS[dialect], list(tables)
    place = f"@{stage or 'pismo_lake'}" if dialect == "snowflake" else lake
    out = []
    for table in known:
        name = speech.qualified(schema, table.name)
        out += speech.table(name, storage.join(place, table.folder), table.schema, table.dates)
        shorts = table.shorts or short_names(["event_date", *table.schema.names])
        out.append(_short_view(speech, speech.qualified(schema, f"{table.name}{VIEW}"), name, shorts))
    return [*out, *_latest_views(speech, schema, known)]


def short_names(columns: Sequence[str], given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the shortest name for each column: as many of its last keys as tell it from all others.

    Columns that were `given` a name keep it; the others get one that no column has, or had.

    >>> short_names(["event_id", "data__amount", "data__payer__id", "data__payee__id", "data__event_id"])
    {'event_id': 'event_id', 'data__amount': 'amount', 'data__payer__id': 'payer_id', 'data__payee__id': 'payee_id', 'data__event_id': 'data_event_id'}
    >>> short_names(["data__payer__id", "data__payee__id"], {"data__payer__id": "id"})
    {'data__payer__id': 'id', 'data__payee__id': 'payee_id'}
    """  # noqa: E501
    given = given or {}
    # the count of a list, and the typed value of a text, are named after these
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
    """Return names that are short, apart from each other and from those `taken`, as far as keys go."""
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
            # names that differ in signs alone keep the whole column name
            return {name: name if name in crowded else short for name, short in names.items()}
        for name in grown:
            depth[name] += 1


def _identifier(text: str) -> str:
    """Letters, digits and underscores alone, lower case, as every engine takes them without quotes."""
    plain = re.sub(r"[^a-z0-9_]+", "_", text.lower())
    return f"_{plain}" if plain[:1].isdigit() or not plain else plain


def _short_view(speech: Dialect, view: str, table: str, shorts: Mapping[str, str]) -> str:
    lines = [
        speech.quoted(name) if name == short else f"{speech.quoted(name)} AS {speech.quoted(short)}"
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
    """Return a view with one row for each organisation and entity, the newest one of all versions' events.

    Organisations are compared without case, as events are: the same one is written in both.
    """
    entity, state = columns
    short, quoted = speech.quoted(column_path(entity)[-1]), speech.quoted
    org, event, moment, status = map(quoted, ("org_id", "event_id", "event_timestamp", "status"))
    kinds = {table.schema.field(entity).type for table in tables}
    every = "\n  UNION ALL\n".join(
        f"  SELECT {org}, {event}, {moment}, {_alike(speech, entity, table.schema, kinds)} AS {short},"  # noqa: S608 - names are quoted
        f" {quoted(state)} AS {status} FROM {speech.qualified(schema, table.name)}"
        for table in tables
    )
    # engines differ in the place of nulls: an event without a time is never the newest
    newest = f"CASE WHEN {moment} IS NULL THEN 1 ELSE 0 END, {moment} DESC, {event} DESC"
    order = f"PARTITION BY LOWER(COALESCE({org}, '')), {short} ORDER BY {newest}"
    return (
        f"CREATE OR REPLACE VIEW {speech.qualified(schema, view)} AS\n"
        f"SELECT {org}, {short}, {status}, {moment}, {event} FROM (\n"
        f"SELECT {org}, {event}, {moment}, {short}, {status}, ROW_NUMBER() OVER ({order}) AS newest FROM (\n"
        f"{every}\n) AS every_change WHERE {short} IS NOT NULL\n) AS ranked WHERE newest = 1"
    )


def _alike(speech: Dialect, column: str, schema: pa.Schema, kinds: set[pa.DataType]) -> str:
    """Return a column; as text, if it is text in another version of the event."""
    name, kind = speech.quoted(column), schema.field(column).type
    if kind == pa.string() or pa.string() not in kinds:
        return name
    if pa.types.is_decimal(kind):
        # an id without its zeros behind the point
        name = f"CAST({name} AS {speech.type(pa.int64())})"
    return f"CAST({name} AS {speech.type(pa.string())})"
