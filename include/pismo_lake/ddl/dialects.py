"""Define for each query engine types, quotes, and a table over Parquet folders by date."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable

    Dates = Callable[[], tuple[date, date] | None]

_DATE = "event_date"
_FIRST = date(2015, 1, 1)


@dataclass(frozen=True, slots=True)
class Dialect:
    """The types and quotes of an engine, and `build(name, folder, columns, dates)` for a table.

    `many` is a list of a type, `struct` a struct of fields, `field` one field. An engine with one type for any value
    has `nested` instead. `dates` returns the first and the last date of the table's files.
    """

    quote: str
    scalars: dict[pa.DataType, str]
    build: Callable[[str, str, list[tuple[str, str]], Dates], list[str]]
    many: str = ""
    struct: str = ""
    field: str = ""
    nested: str = ""

    def quote_name(self, name: str) -> str:
        """Quote a name."""
        return f"{self.quote}{name.replace(self.quote, self.quote * 2)}{self.quote}"

    def qualify_name(self, schema: str, name: str) -> str:
        """Return a table's name after its schema; `schema` is used as it is written."""
        return f"{schema}.{name}" if schema else name

    def type(self, kind: pa.DataType) -> str:
        """Return the engine's type for a column of the lake."""
        if kind in self.scalars:
            return self.scalars[kind]
        if self.nested:
            return self.nested
        if pa.types.is_list(kind):
            return self.many.format(self.type(kind.value_type))
        inner = [kind.field(at) for at in range(kind.num_fields)]
        return self.struct.format(", ".join(self.field.format(one.name, self.type(one.type)) for one in inner))

    def table(self, name: str, folder: str, schema: pa.Schema, dates: Dates = lambda: None) -> list[str]:
        """Return the statements that create a table over a folder of the lake."""
        return self.build(name, folder, [(field.name, self.type(field.type)) for field in schema], dates)


def _scalars(text: str, whole: str, small: str, decimal: str, truth: str, moment: str) -> dict[pa.DataType, str]:
    return {
        pa.string(): text,
        pa.int64(): whole,
        pa.int32(): small,
        pa.date32(): "DATE",
        pa.decimal128(38, 18): decimal,
        pa.bool_(): truth,
        pa.timestamp("us", tz="UTC"): moment,
    }


def _lines(columns: list[str]) -> str:
    return ",\n  ".join(columns)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _duckdb(name: str, folder: str, columns: list[tuple[str, str]], _: Dates) -> list[str]:
    # the empty select first: it sets the types of columns that some files lack, or have with another type
    empty = _lines([f'NULL::{kind} AS "{column}"' for column, kind in [(_DATE, "DATE"), *columns]])
    return [
        (
            f"CREATE OR REPLACE VIEW {name} AS\nSELECT\n  {empty}\nWHERE false\nUNION ALL BY NAME\n"
            f"SELECT * EXCLUDE (domain, event_type) FROM read_parquet({_text(f'{folder}/*/*.parquet')},\n"
            f"  union_by_name = true, hive_partitioning = true, hive_types = {{'{_DATE}': DATE}})"
        )
    ]


def _athena(name: str, folder: str, columns: list[tuple[str, str]], dates: Dates) -> list[str]:
    listed = _lines([f"`{column}` {kind}" for column, kind in columns])
    properties = {
        "projection.enabled": "true",
        f"projection.{_DATE}.type": "date",
        f"projection.{_DATE}.format": "yyyy-MM-dd",
        f"projection.{_DATE}.range": _range(dates()),
        "storage.location.template": f"{folder}/{_DATE}=${{{_DATE}}}",
    }
    given = _lines([f"{_text(key)} = {_text(value)}" for key, value in properties.items()])
    return [
        (
            f"CREATE EXTERNAL TABLE IF NOT EXISTS {name} (\n  {listed}\n)\nPARTITIONED BY (`{_DATE}` date)\n"
            f"STORED AS PARQUET\nLOCATION {_text(folder + '/')}\nTBLPROPERTIES (\n  {given}\n)"
        )
    ]


def _range(dates: tuple[date, date] | None) -> str:
    """Return Athena's range of dates; without an error, it hides events of other dates.

    The range begins a year or more before the first event, since later files may hold earlier events.
    """
    first, last = dates or (_FIRST, _FIRST)
    begin = first.replace(year=max(first.year - 1, 1), month=1, day=1) if dates else _FIRST
    ahead = max((last - datetime.now(UTC).date()).days + 1, 1)
    return f"{begin},NOW+{ahead}DAY{'S' if ahead > 1 else ''}"


def _spark(name: str, folder: str, columns: list[tuple[str, str]], _: Dates) -> list[str]:
    listed = _lines([f"`{column}` {kind}" for column, kind in [*columns, (_DATE, "DATE")]])
    return [
        (
            f"CREATE TABLE IF NOT EXISTS {name} (\n  {listed}\n)\nUSING PARQUET\nPARTITIONED BY (`{_DATE}`)\n"
            f"LOCATION {_text(folder)}"
        ),
        f"ALTER TABLE {name} RECOVER PARTITIONS",
    ]


def _snowflake(name: str, folder: str, columns: list[tuple[str, str]], _: Dates) -> list[str]:
    date = f"SPLIT_PART(SPLIT_PART(METADATA$FILENAME, '{_DATE}=', 2), '/', 1)"
    listed = [f'"{_DATE}" DATE AS (TO_DATE({date}))']
    listed += [f'"{column}" {kind} AS (VALUE:"{column}"::{kind})' for column, kind in columns]
    return [
        (
            f'CREATE OR REPLACE EXTERNAL TABLE {name} (\n  {_lines(listed)}\n)\nPARTITION BY ("{_DATE}")\n'
            f"LOCATION = {_text(f'{folder}/')}\nAUTO_REFRESH = FALSE\nFILE_FORMAT = (TYPE = PARQUET)"
        )
    ]


def _bigquery(name: str, folder: str, columns: list[tuple[str, str]], _: Dates) -> list[str]:
    listed = _lines([f"`{column}` {kind}" for column, kind in columns])
    return [
        (
            f"CREATE OR REPLACE EXTERNAL TABLE {name} (\n  {listed}\n)\nWITH PARTITION COLUMNS (`{_DATE}` DATE)\n"
            f"OPTIONS (format = 'PARQUET', enable_list_inference = true, uris = [{_text(folder + '/*')}],\n"
            f"  hive_partition_uri_prefix = {_text(folder)})"
        )
    ]


DIALECTS = {
    "duckdb": Dialect(
        '"', _scalars("VARCHAR", "BIGINT", "INTEGER", "DECIMAL(38, 18)", "BOOLEAN", "TIMESTAMPTZ"), _duckdb,
        many="{}[]", struct="STRUCT({})", field='"{}" {}',
    ),
    "athena": Dialect(
        '"', _scalars("string", "bigint", "int", "decimal(38, 18)", "boolean", "timestamp"), _athena,
        many="array<{}>", struct="struct<{}>", field="`{}`:{}",
    ),
    "spark": Dialect(
        "`", _scalars("STRING", "BIGINT", "INT", "DECIMAL(38, 18)", "BOOLEAN", "TIMESTAMP"), _spark,
        many="ARRAY<{}>", struct="STRUCT<{}>", field="`{}`: {}",
    ),
    "snowflake": Dialect(
        '"', _scalars("VARCHAR", "NUMBER(38, 0)", "NUMBER(10, 0)", "NUMBER(38, 18)", "BOOLEAN", "TIMESTAMP_TZ"),
        _snowflake, nested="VARIANT",
    ),
    "bigquery": Dialect(
        "`", _scalars("STRING", "INT64", "INT64", "BIGNUMERIC(38, 18)", "BOOL", "TIMESTAMP"), _bigquery,
        many="ARRAY<{}>", struct="STRUCT<{}>", field="`{}` {}",
    ),
}  # fmt: skip
"""Query engines by name."""
