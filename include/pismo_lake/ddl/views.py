"""Make the views over the tables of a lake: short names, all versions together, latest states, and day reports."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa

from pismo_lake.contracts.names import column_path
from pismo_lake.ddl.columns import DescribedColumn
from pismo_lake.ddl.names import LATEST, REPORT_VALUES, REPORTS, VIEW
from pismo_lake.ddl.tables import families_of
from pismo_lake.rows.schema import REPORT_FLAGS, REPORT_TOTALS, SOURCE_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pismo_lake.ddl.dialects import Dialect
    from pismo_lake.ddl.tables import DescribedTable

# for each view: domain, event type without its version, entity and state (Pismo's pages "Event: status-change" of the
# account domain and "Event: card_change" of the audit domain)
_STATES = dict(
    zip(
        LATEST,
        (
            ("account", "status-change", "data__account_id", "data__new_status__status"),
            ("audit", "card_change", "data__object__card_id", "data__object__status"),
        ),
        strict=True,
    )
)
_LAST = frozenset({*SOURCE_SCHEMA.names, "_rescued"})


@dataclass(frozen=True, slots=True)
class LakeView:
    """A view over tables of the lake: its name without a schema, its columns, a description, and its query."""

    name: str
    columns: tuple[DescribedColumn, ...]
    about: str
    query: str


def make_views(tables: Sequence[DescribedTable], speech: Dialect, schema: str) -> Iterator[LakeView]:
    """Yield the views in the order in which to make them; their tables come before."""
    for table in tables:
        if table.view:
            view = _short_view(table, speech, schema)
            yield view
            if table.earlier:
                yield _earlier_view(table, view, speech, schema)
    for versions in families_of(tables).values():
        yield _view_of_versions(versions, speech, schema)
    yield from _latest_views(tables, speech, schema)
    if any(table.name == REPORT_VALUES for table in tables):
        yield _view_of_reports(speech, schema)


def describe_table(table: DescribedTable) -> str:
    """Return a sentence about the rows of a table."""
    if table.name == REPORT_VALUES:
        return "Numbers of the day reports: one number a row."
    if not table.is_of_events:
        return "Rejects: one row for each byte range of a file that is no row of an event."
    return f"{describe_rows(table)} The columns have their names in the files. {table.about}".strip()


def describe_versions(versions: Sequence[DescribedTable]) -> str:
    """Return a sentence about the rows of a view of all versions of an event type."""
    numbers = ", ".join(table.version or "none" for table in versions)
    return f"{describe_rows(versions[-1], together=True)} Versions: {numbers}. {versions[-1].about}".strip()


def describe_rows(table: DescribedTable, *, together: bool = False) -> str:
    """Return a sentence about the rows of an event type, or of a list; `together` is for all versions."""
    name = table.event if together or not table.version else f"{table.event}-{table.version}"
    if table.item:
        return f"Items of the list {table.item} of {table.domain}/{name}: one row for each item."
    return f"Events {table.domain}/{name}: one row for each event."


def _short_view(table: DescribedTable, speech: Dialect, schema: str) -> LakeView:
    lines = [
        speech.quote_name(name) if name == short else f"{speech.quote_name(name)} AS {speech.quote_name(short)}"
        for name, short in table.shorts.items()
    ]
    query = f"SELECT\n  {_lines(lines)}\nFROM {speech.qualify_name(schema, table.name)}"
    columns = tuple(replace(column, name=table.shorts[column.name]) for column in table.columns)
    about = f"{describe_rows(table)} The columns have short names. {table.about}".strip()
    return LakeView(table.view, columns, about, query)


def _earlier_view(table: DescribedTable, view: LakeView, speech: Dialect, schema: str) -> LakeView:
    names = _lines([speech.quote_name(column.name) for column in view.columns])
    about = f"The view {view.name} under its name of version 1.0."
    query = f"SELECT\n  {names}\nFROM {speech.qualify_name(schema, view.name)}"
    return LakeView(f"{table.name}{VIEW}", view.columns, about, query)


def _view_of_versions(versions: Sequence[DescribedTable], speech: Dialect, schema: str) -> LakeView:
    """Return the view of all versions of an event type, or of a list: every column of any version."""
    by_table = [{column.name: column for column in table.columns} for table in versions]
    names = list(dict.fromkeys(name for columns in by_table for name in columns))
    names = [name for name in names if name not in _LAST] + [name for name in names if name in _LAST]
    shorts = versions[-1].together_shorts
    columns = {name: _unite(name, versions, by_table, speech) for name in names}

    def value(own: dict[str, DescribedColumn], name: str) -> str:
        into = columns[name].type
        found = speech.convert(speech.quote_name(name), own[name].type, into) if name in own else speech.null(into)
        short = speech.quote_name(shorts[name])
        return found if found == short else f"{found} AS {short}"

    parts = [
        f"SELECT\n  {_lines([value(own, name) for name in names])}\nFROM {speech.qualify_name(schema, table.name)}"
        for table, own in zip(versions, by_table, strict=True)
    ]
    described = tuple(replace(columns[name], name=shorts[name]) for name in names)
    return LakeView(versions[-1].together, described, describe_versions(versions), "\nUNION ALL\n".join(parts))


def _unite(
    name: str, versions: Sequence[DescribedTable], by_table: Sequence[dict[str, DescribedColumn]], speech: Dialect
) -> DescribedColumn:
    """Return a column for all versions, described as the newest one that has it."""
    having = [(table, own[name]) for table, own in zip(versions, by_table, strict=True) if name in own]
    newest, kinds = having[-1][1], [column.type for _, column in having]
    kind = speech.unite(kinds)
    about = [newest.about] if newest.about else []
    if len(having) < len(versions):
        about.append(f"Only in version {', '.join(table.version or 'none' for table, _ in having)}.")
    if len(set(kinds)) > 1:
        about.append("The type differs between versions.")
    done = list(dict.fromkeys(column.privacy for _, column in having if column.privacy))
    return replace(newest, type=kind, about=" ".join(about), privacy=" or ".join(done))


def _latest_views(tables: Sequence[DescribedTable], speech: Dialect, schema: str) -> Iterator[LakeView]:
    for view, (domain, event, entity, state) in _STATES.items():
        sources = [
            table
            for table in tables
            if (table.domain, table.event, table.item) == (domain, event, "")
            and {entity, state} <= set(table.schema.names)
        ]
        if sources:
            yield _latest_view(view, sources, (entity, state), speech, schema)


def _latest_view(
    view: str, tables: Sequence[DescribedTable], columns: tuple[str, str], speech: Dialect, schema: str
) -> LakeView:
    """Return a view with one row for each organisation and entity: the newest of all versions.

    Organisations are compared without case, as for events: Pismo writes the same one in both cases.
    """
    entity, state = columns
    short, quote = speech.quote_name(column_path(entity)[-1]), speech.quote_name
    org, event, moment, status = map(quote, ("org_id", "event_id", "event_timestamp", "status"))
    kinds = {table.schema.field(entity).type for table in tables}
    every = "\n  UNION ALL\n".join(
        f"  SELECT {org}, {event}, {moment}, {_id_column(speech, entity, table.schema, kinds)} AS {short},"  # noqa: S608 - names are quoted
        f" {quote(state)} AS {status} FROM {speech.qualify_name(schema, table.name)}"
        for table in tables
    )
    # engines sort nulls differently: an event without a time must never be the newest
    newest = f"CASE WHEN {moment} IS NULL THEN 1 ELSE 0 END, {moment} DESC, {event} DESC"
    order = f"PARTITION BY LOWER(COALESCE({org}, '')), {short} ORDER BY {newest}"
    query = (
        f"SELECT {org}, {short}, {status}, {moment}, {event} FROM (\n"  # noqa: S608 - names are quoted
        f"SELECT {org}, {event}, {moment}, {short}, {status}, ROW_NUMBER() OVER ({order}) AS newest FROM (\n"
        f"{every}\n) AS every_change WHERE {short} IS NOT NULL\n) AS ranked WHERE newest = 1"
    )
    by_name = {column.name: column for column in tables[-1].columns}
    id_column = by_name[entity]
    described = (
        by_name["org_id"],
        replace(id_column, name=column_path(entity)[-1], type=pa.string() if pa.string() in kinds else id_column.type),
        replace(by_name[state], name="status"),
        by_name["event_timestamp"],
        by_name["event_id"],
    )
    thing = view.partition("_")[0]
    about = f"The latest status of each {thing} of an organisation: one row for each {thing}."
    return LakeView(view, described, about, query)


def _id_column(speech: Dialect, column: str, schema: pa.Schema, kinds: set[pa.DataType]) -> str:
    """Return a column of ids, as text if it is text in another version of the event."""
    name, kind = speech.quote_name(column), schema.field(column).type
    if kind == pa.string() or pa.string() not in kinds:
        return name
    if pa.types.is_decimal(kind):
        # write an id without zeros after the point
        name = speech.cast(name, pa.int64())
    return speech.cast(name, pa.string())


def _view_of_reports(speech: Dialect, schema: str) -> LakeView:
    """Return the view with one row for each day report."""
    quote = speech.quote_name
    section, name, metric, value = map(quote, ("section", "name", "metric", "value"))
    keys = [quote("publish_date"), quote("delivery")]
    lines = [*keys, f"MAX(CASE WHEN {section} = 'verdict' THEN {name} END) AS {quote('verdict')}"]
    for wanted in (*REPORT_FLAGS, *REPORT_TOTALS):
        number = f"MAX(CASE WHEN {section} = 'day' AND {metric} = '{wanted}' THEN {value} END)"
        lines.append(f"{number}{' = 1' if wanted in REPORT_FLAGS else ''} AS {quote(wanted)}")
    query = f"SELECT\n  {_lines(lines)}\nFROM {speech.qualify_name(schema, REPORT_VALUES)}\nGROUP BY {', '.join(keys)}"
    columns = [
        DescribedColumn("publish_date", pa.date32(), about="The publish day that the report is about."),
        DescribedColumn("delivery", pa.string(), about="The delivery that the report is about."),
        DescribedColumn("verdict", pa.string(), about="complete, incomplete or no files."),
        *(DescribedColumn(flag, pa.bool_(), about=_FLAGS[flag]) for flag in REPORT_FLAGS),
        *(DescribedColumn(total, pa.int64(), about=_TOTALS[total]) for total in REPORT_TOTALS),
    ]
    about = "Day reports: one row for each delivery and publish day."
    return LakeView(REPORTS, tuple(columns), about, query)


_FLAGS = {
    "closed": "Whether the day is built into its final files.",
    "balanced": "Whether all control totals of the day agree.",
    "complete": "Whether the day has files and none is missing.",
}
_TOTALS = {
    "files": "The landed files.",
    "bytes": "Their bytes.",
    "plain_bytes": "Their bytes without compression.",
    "events": "The events in them, with duplicates.",
    "rows": "The rows of the lake that come from them.",
    "duplicates": "The events that are in the lake from another copy.",
    "conflicts": "The duplicates with another content.",
    "rejects": "The byte ranges that are no events.",
    "erased": "The events that were erased.",
    "heartbeats": "Pismo's own health checks among the events.",
    "lake_files": "The Parquet files of the day.",
    "lake_bytes": "The bytes of these.",
}


def _lines(items: Sequence[str]) -> str:
    return ",\n  ".join(items)
