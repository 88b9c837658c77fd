"""Tables and views over the lake for query engines: DuckDB, Athena, Spark, Snowflake, BigQuery.

A table has every column under its full name, in all its files or not. Beside each stands a view with short names, and
two views give the latest state of accounts and cards.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pismo_lake import storage
from pismo_lake.contracts.names import column_path
from pismo_lake.ddl.dialects import DIALECTS
from pismo_lake.errors import ConfigError
from pismo_lake.paths import items_folder, type_folder
from pismo_lake.rows.schema import COUNT, ENVELOPE_SCHEMA, SOURCE_SCHEMA, TYPED, child_schemas, event_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa

    from pismo_lake.contracts.store import ContractStore
    from pismo_lake.ddl.dialects import Dialect

# what each view is of: domain, event type without its version, entity and state (Pismo's pages "Event:
# status-change" of the account domain and "Event: card_change" of the audit domain)
_STATES = {
    "account_status_latest": ("account", "status-change", "data__account_id", "data__new_status__status"),
    "card_status_latest": ("audit", "card_change", "data__object__card_id", "data__object__status"),
}
_VERSIONED = re.compile(r"(.*?)(?:-\d+)?")


@dataclass(frozen=True, slots=True)
class LakeTable:
    """One event type of the lake, or a list's child table: segments of its folder, the name of its table, its columns.

    `event_date`, which stands in the path, is not among them.
    """

    domain: str
    event_type: str
    name: str
    folder: str
    schema: pa.Schema


def lake_tables(lake: str, contracts: ContractStore, domains: Sequence[str] = ()) -> list[LakeTable]:
    """The event types that contracts know, by name, each with its child tables as far as these have files."""
    found, taken = [], Counter[str]()
    for domain, event_type in contracts.names():
        name = _identifier(f"{domain}__{event_type}")
        taken[name] += 1
        # two types whose names differ in signs alone: the later one is numbered
        name = name if taken[name] == 1 else f"{name}__{taken[name]}"
        if not domains or domain in domains:
            folder = type_folder(domain, event_type)
            found.append(LakeTable(domain, event_type, name, folder, event_schema(contracts, domain, event_type)))
            for item, schema in child_schemas(contracts, domain, event_type):
                folder = items_folder(domain, event_type, item)
                child = f"{name}__{_identifier(item)}"
                # DuckDB makes no view over a folder of nothing
                if any(True for _ in storage.list_files(storage.join(lake, folder))):
                    found.append(LakeTable(domain, f"{event_type}__{item}", child, folder, schema))
    return found


def statements(lake: str, tables: Iterable[LakeTable], dialect: str, schema: str = "", stage: str = "") -> list[str]:
    """The statements of a dialect, to be run in order; `schema` goes before each name, `stage` is Snowflake's."""
    if dialect not in DIALECTS:
        msg = f"{dialect!r} is no dialect: {', '.join(DIALECTS)}"
        raise ConfigError(msg)
    speech, known = DIALECTS[dialect], list(tables)
    place = f"@{stage or 'pismo_lake'}" if dialect == "snowflake" else lake
    out = []
    for table in known:
        name = speech.qualified(schema, table.name)
        out += speech.table(name, storage.join(place, table.folder), table.schema)
        out.append(_short_view(speech, speech.qualified(schema, f"{table.name}__v"), name, table.schema))
    return [*out, *_latest_views(speech, schema, known)]


def short_names(columns: Sequence[str]) -> dict[str, str]:
    """The shortest name for each column: as many of its last keys as tell it from all others.

    >>> short_names(["event_id", "data__amount", "data__payer__id", "data__payee__id", "data__event_id"])
    {'event_id': 'event_id', 'data__amount': 'amount', 'data__payer__id': 'payer_id', 'data__payee__id': 'payee_id', 'data__event_id': 'data_event_id'}
    """  # noqa: E501
    typed = [name for name in columns if name.startswith(TYPED)]
    if typed:
        plain = short_names([name for name in columns if name not in typed])
        return plain | {name: f"{plain[f'data__{name.removeprefix(TYPED)}']}_typed" for name in typed}
    counts = {name: f"data__{name.removeprefix(COUNT)}" for name in columns if name.startswith(COUNT)}
    if counts:
        plain = short_names([counts.get(name, name) for name in columns])
        return {name: f"{plain[counts[name]]}_count" if name in counts else plain[name] for name in columns}
    own = {*ENVELOPE_SCHEMA.names, *SOURCE_SCHEMA.names, "_rescued", "event_date"}
    paths = {name: (name,) if name in own else column_path(name) for name in columns}
    depth = dict.fromkeys(columns, 1)
    while True:
        names = {name: _identifier("_".join(path[-depth[name] :])) for name, path in paths.items()}
        count = Counter(names.values())
        crowded = [name for name in columns if name not in own and (count[names[name]] > 1 or names[name] in own)]
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


def _short_view(speech: Dialect, view: str, table: str, schema: pa.Schema) -> str:
    shorts = short_names(["event_date", *schema.names])
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
        if not sources:
            continue
        yield _latest_view(speech, schema, view, [table.name for table in sources], entity, state)


def _latest_view(speech: Dialect, schema: str, view: str, tables: Sequence[str], entity: str, state: str) -> str:
    short = column_path(entity)[-1]
    columns = ", ".join(map(speech.quoted, ("org_id", "event_id", "event_timestamp")))
    columns += f", {speech.quoted(entity)} AS {short}, {speech.quoted(state)} AS status"
    # names are quoted or made of letters, digits and underscores
    every = "\n  UNION ALL\n".join(f"  SELECT {columns} FROM {speech.qualified(schema, name)}" for name in tables)  # noqa: S608
    order = f"PARTITION BY org_id, {short} ORDER BY event_timestamp DESC, event_id DESC"
    return (
        f"CREATE OR REPLACE VIEW {speech.qualified(schema, view)} AS\n"
        f"SELECT org_id, {short}, status, event_timestamp, event_id FROM (\n"
        f"SELECT org_id, event_id, event_timestamp, {short}, status, ROW_NUMBER() OVER ({order}) AS newest FROM (\n"
        f"{every}\n) AS every_change\n) AS ranked WHERE newest = 1"
    )
