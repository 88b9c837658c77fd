"""Write the statements of each query engine: a table over Parquet folders by date, and a view."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Dates = Callable[[], tuple[date, date] | None]

_FIRST = date(2015, 1, 1)


class Quotes(Protocol):
    """The quotes of an engine."""

    def quote_name(self, name: str) -> str:
        """Quote a name."""

    def quote_text(self, text: str) -> str:
        """Quote a text."""


@dataclass(frozen=True, slots=True)
class MadeColumn:
    """A column of a table or view: name, type in the engine's words, comment."""

    name: str
    type: str
    comment: str


@dataclass(frozen=True, slots=True)
class MadeView:
    """A view: its name with its schema, columns, comment, and query."""

    name: str
    columns: Sequence[MadeColumn]
    comment: str
    query: str


@dataclass(frozen=True, slots=True)
class MadeTable:
    """A table over a folder of the lake, whose subfolders name a date.

    `partition` is the column of that date; `columns` are the others. `dates` returns the first and the last date of
    its files. `above` are the columns of the path above the folder. In a `mixed` folder are files of other formats too.
    """

    name: str
    columns: Sequence[MadeColumn]
    comment: str
    folder: str
    partition: MadeColumn
    dates: Dates = lambda: None
    above: tuple[str, ...] = ()
    mixed: bool = False


def _lines(items: Sequence[str]) -> str:
    return ",\n  ".join(items)


def duckdb_table(speech: Quotes, table: MadeTable) -> list[str]:
    """Return a view, which is the table."""
    # the empty select first: it sets the types of columns that some files lack, or have with another type
    columns, day = [table.partition, *table.columns], table.partition.name
    empty = _lines([f"NULL::{column.type} AS {speech.quote_name(column.name)}" for column in columns])
    files = speech.quote_text(f"{_without_wildcards(table.folder)}/*/*.parquet")
    if _names_a_value(table.folder, table.above):
        # DuckDB would take the folders above the lake for columns too, and their values instead of those in the files
        date = f"CAST(regexp_extract(filename, '{day}=([^/]*)/[^/]*$', 1) AS DATE) AS {speech.quote_name(day)}"
        more, options = f"* EXCLUDE (filename), {date}", "filename = true, hive_partitioning = false"
    else:
        more = f"* EXCLUDE ({', '.join(table.above)})" if table.above else "*"
        options = f"hive_partitioning = true, hive_types = {{'{day}': DATE}}"
    query = (
        f"SELECT\n  {empty}\nWHERE false\nUNION ALL BY NAME\n"
        f"SELECT {more} FROM read_parquet({files},\n  union_by_name = true, {options})"
    )
    return duckdb_view(speech, MadeView(table.name, columns, table.comment, query))


def _without_wildcards(path: str) -> str:
    """Return DuckDB's pattern for a path, in which no sign stands for others."""
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in path)


def _names_a_value(folder: str, above: Sequence[str]) -> bool:
    """Return whether a folder above the lake is named key=value, as the folders of dates are."""
    return len([part for part in folder.split("/") if "=" in part]) > len(above)


def duckdb_view(speech: Quotes, view: MadeView) -> list[str]:
    """Return a view, and its comments."""
    made = [f"CREATE OR REPLACE VIEW {view.name} AS\n{view.query}"]
    if view.comment:
        made.append(f"COMMENT ON VIEW {view.name} IS {speech.quote_text(view.comment)}")
    made += [
        f"COMMENT ON COLUMN {view.name}.{speech.quote_name(column.name)} IS {speech.quote_text(column.comment)}"
        for column in view.columns
        if column.comment
    ]
    return made


def plain_view(_: Quotes, view: MadeView) -> list[str]:
    """Return a view for an engine without comments on views."""
    return [f"CREATE OR REPLACE VIEW {view.name} AS\n{view.query}"]


def commented_view(of_column: str, of_view: str) -> Callable[[Quotes, MadeView], list[str]]:
    """Return a function that makes a view with these forms of comments."""

    def make(speech: Quotes, view: MadeView) -> list[str]:
        columns = _lines([
            f"{speech.quote_name(column.name)} {of_column.format(speech.quote_text(column.comment))}".rstrip()
            if column.comment
            else speech.quote_name(column.name)
            for column in view.columns
        ])  # fmt: skip
        comment = f" {of_view.format(speech.quote_text(view.comment))}" if view.comment else ""
        if not comment and not any(column.comment for column in view.columns):
            return plain_view(speech, view)
        return [f"CREATE OR REPLACE VIEW {view.name} (\n  {columns}\n){comment} AS\n{view.query}"]

    return make


def athena_table(speech: Quotes, table: MadeTable) -> list[str]:
    """Return an external table whose dates are a projection."""
    day = table.partition.name
    properties = {
        "projection.enabled": "true",
        f"projection.{day}.type": "date",
        f"projection.{day}.format": "yyyy-MM-dd",
        f"projection.{day}.range": _range(table.dates()),
        "storage.location.template": f"{table.folder}/{day}=${{{day}}}",
    }
    given = _lines([f"{speech.quote_text(key)} = {speech.quote_text(value)}" for key, value in properties.items()])
    return [
        (
            f"CREATE EXTERNAL TABLE IF NOT EXISTS {table.name} (\n  {_lines(_commented(speech, table.columns))}\n)\n"
            f"{_comment(speech, table)}PARTITIONED BY ({_commented(speech, [table.partition])[0]})\n"
            f"STORED AS PARQUET\nLOCATION {speech.quote_text(table.folder + '/')}\nTBLPROPERTIES (\n  {given}\n)"
        )
    ]


def _range(dates: tuple[date, date] | None) -> str:
    """Return Athena's range of dates; without an error, it hides rows of other dates.

    The range begins a year or more before the first date, since later files may hold earlier events.
    """
    first, last = dates or (_FIRST, _FIRST)
    begin = first.replace(year=max(first.year - 1, 1), month=1, day=1) if dates else _FIRST
    ahead = max((last - datetime.now(UTC).date()).days + 1, 1)
    return f"{begin},NOW+{ahead}DAY{'S' if ahead > 1 else ''}"


def spark_table(speech: Quotes, table: MadeTable) -> list[str]:
    """Return a table, and the statement that finds its dates."""
    listed, name = _lines(_commented(speech, [*table.columns, table.partition])), table.name
    create = f"CREATE TABLE IF NOT EXISTS {name} (\n  {listed}\n)\nUSING PARQUET\n"
    end = f"{_comment(speech, table)}LOCATION {speech.quote_text(table.folder)}"
    if table.mixed:
        # Spark ignores the filter if the partitions are in its catalog, and finds the dates itself if they are not
        return [f"{create}OPTIONS (pathGlobFilter '*.parquet')\n{end}", f"REFRESH TABLE {name}"]
    partitioned = f"PARTITIONED BY (`{table.partition.name}`)\n"
    return [f"{create}{partitioned}{end}", f"ALTER TABLE {name} RECOVER PARTITIONS"]


def _commented(speech: Quotes, columns: Sequence[MadeColumn]) -> list[str]:
    """Return Hive's columns with comments; these engines quote the names of columns in the same way."""
    return [
        f"`{column.name}` {column.type}" + (f" COMMENT {speech.quote_text(column.comment)}" if column.comment else "")
        for column in columns
    ]


def _comment(speech: Quotes, table: MadeTable) -> str:
    return f"COMMENT {speech.quote_text(table.comment)}\n" if table.comment else ""


def snowflake_table(speech: Quotes, table: MadeTable) -> list[str]:
    """Return an external table; only views have comments on columns."""
    day = table.partition.name
    value = f"SPLIT_PART(SPLIT_PART(METADATA$FILENAME, '{day}=', 2), '/', 1)"
    listed = [f'"{day}" DATE AS (TO_DATE({value}))']
    listed += [f'"{column.name}" {column.type} AS (VALUE:"{column.name}"::{column.type})' for column in table.columns]
    only = "PATTERN = '.*[.]parquet'\n" if table.mixed else ""
    comment = f"\nCOMMENT = {speech.quote_text(table.comment)}" if table.comment else ""
    return [
        (
            f'CREATE OR REPLACE EXTERNAL TABLE {table.name} (\n  {_lines(listed)}\n)\nPARTITION BY ("{day}")\n'
            f"LOCATION = {speech.quote_text(f'{table.folder}/')}\nAUTO_REFRESH = FALSE\n{only}"
            f"FILE_FORMAT = (TYPE = PARQUET){comment}"
        )
    ]


def bigquery_table(speech: Quotes, table: MadeTable) -> list[str]:
    """Return an external table with the dates of its paths."""
    listed = _lines([
        f"`{column.name}` {column.type}"
        + (f" OPTIONS (description = {speech.quote_text(column.comment)})" if column.comment else "")
        for column in table.columns
    ])  # fmt: skip
    files = f"{table.folder}/*.parquet" if table.mixed else f"{table.folder}/*"
    about = f",\n  description = {speech.quote_text(table.comment)}" if table.comment else ""
    return [
        (
            f"CREATE OR REPLACE EXTERNAL TABLE {table.name} (\n  {listed}\n)\n"
            f"WITH PARTITION COLUMNS (`{table.partition.name}` DATE)\n"
            f"OPTIONS (format = 'PARQUET', enable_list_inference = true, uris = [{speech.quote_text(files)}],\n"
            f"  hive_partition_uri_prefix = {speech.quote_text(table.folder)}{about})"
        )
    ]
