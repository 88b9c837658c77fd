"""Define for each query engine its types, its quotes, and how it makes tables and views."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from pismo_lake.ddl import engines

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pismo_lake.ddl.engines import MadeTable, MadeView, Quotes

_COMMENT = 1000


@dataclass(frozen=True, slots=True)
class Dialect:
    """The types and quotes of an engine, and its statements for a table and for a view.

    `many` is a list of a type, `struct` a struct of fields, `field` one field. An engine with one type for any value
    has `nested` instead. `escapes` are the signs of a text that it writes in another way. `as_json` makes text of a
    nested value. `text` is the type of text in a cast, if it differs. A comment has at most `comment` bytes. `scan`
    reads a table by its metadata, `moment` makes a time with a zone fit for a view. `keeps_case` is false if the engine
    changes the case of names that are not quoted, and has created the tables so.
    """

    quote: str
    scalars: dict[pa.DataType, str]
    make_table: Callable[[Quotes, MadeTable], list[str]]
    make_view: Callable[[Quotes, MadeView], list[str]]
    escapes: dict[str, str]
    many: str = ""
    struct: str = ""
    field: str = ""
    nested: str = ""
    as_json: str = "TO_JSON({0})"
    text: str = ""
    typed_null: bool = True
    comment: int = _COMMENT
    reads_mixed_folders: bool = True
    scan: str = ""
    moment: str = ""
    keeps_case: bool = True

    def quote_name(self, name: str) -> str:
        """Quote a name."""
        return f"{self.quote}{name.replace(self.quote, self.quote * 2)}{self.quote}"

    def quote_text(self, text: str) -> str:
        """Quote a text."""
        return f"'{''.join(self.escapes.get(sign, sign) for sign in text)}'"

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

    def cast(self, value: str, kind: pa.DataType) -> str:
        """Return an expression for a value as another scalar type."""
        return f"CAST({value} AS {self.text if self.text and kind == pa.string() else self.type(kind)})"

    def null(self, kind: pa.DataType) -> str:
        """Return an expression for null in a column of this type."""
        return f"CAST(NULL AS {self.type(kind)})" if self.typed_null else "NULL"

    def unite(self, kinds: Sequence[pa.DataType]) -> pa.DataType:
        """Return the type for values of several types: a number's, else text."""
        if len({self.type(kind) for kind in kinds}) == 1:
            return kinds[0]
        if all(pa.types.is_integer(kind) or pa.types.is_decimal(kind) for kind in kinds):
            return next((kind for kind in kinds if pa.types.is_decimal(kind)), pa.int64())
        return pa.string()

    def convert(self, value: str, kind: pa.DataType, into: pa.DataType) -> str:
        """Return an expression for a value of one type as the `unite`d one."""
        if self.type(kind) == self.type(into):
            return value
        return self.as_json.format(value) if pa.types.is_nested(kind) else self.cast(value, into)


def _scalars(
    text: str, whole: str, small: str, decimal: str, truth: str, moment: str, raw: str
) -> dict[pa.DataType, str]:
    return {
        pa.string(): text,
        pa.int64(): whole,
        pa.int32(): small,
        pa.date32(): "DATE",
        pa.decimal128(38, 18): decimal,
        pa.bool_(): truth,
        pa.timestamp("us", tz="UTC"): moment,
        pa.binary(): raw,
    }


_DOUBLED = {"'": "''"}
_BACKSLASHED = {"'": "\\'", "\\": "\\\\"}

DIALECTS = {
    "duckdb": Dialect(
        '"', _scalars("VARCHAR", "BIGINT", "INTEGER", "DECIMAL(38, 18)", "BOOLEAN", "TIMESTAMPTZ", "BLOB"),
        engines.duckdb_table, engines.duckdb_view, _DOUBLED, many="{}[]", struct="STRUCT({})", field='"{}" {}',
        as_json="CAST(TO_JSON({0}) AS VARCHAR)", scan="iceberg_scan({})",
    ),
    "athena": Dialect(
        '"', _scalars("string", "bigint", "int", "decimal(38, 18)", "boolean", "timestamp", "binary"),
        engines.athena_table, engines.plain_view, _BACKSLASHED, many="array<{}>", struct="struct<{}>", field="`{}`:{}",
        as_json="JSON_FORMAT(CAST({0} AS JSON))", text="varchar", typed_null=False, comment=255,
        reads_mixed_folders=False, moment="CAST({} AT TIME ZONE 'UTC' AS TIMESTAMP(6))",
    ),
    "spark": Dialect(
        "`", _scalars("STRING", "BIGINT", "INT", "DECIMAL(38, 18)", "BOOLEAN", "TIMESTAMP", "BINARY"),
        engines.spark_table, engines.commented_view("COMMENT {}", "COMMENT {}"), _BACKSLASHED,
        many="ARRAY<{}>", struct="STRUCT<{}>", field="`{}`: {}",
    ),
    "snowflake": Dialect(
        '"', _scalars(
            "VARCHAR", "NUMBER(38, 0)", "NUMBER(10, 0)", "NUMBER(38, 18)", "BOOLEAN", "TIMESTAMP_TZ", "BINARY",
        ),
        engines.snowflake_table, engines.commented_view("COMMENT {}", "COMMENT = {}"),
        _DOUBLED | {"\\": "\\\\"}, nested="VARIANT", keeps_case=False,
    ),
    "bigquery": Dialect(
        "`", _scalars("STRING", "INT64", "INT64", "BIGNUMERIC(38, 18)", "BOOL", "TIMESTAMP", "BYTES"),
        engines.bigquery_table,
        engines.commented_view("OPTIONS (description = {})", "OPTIONS (description = {})"), _BACKSLASHED,
        many="ARRAY<{}>", struct="STRUCT<{}>", field="`{}` {}", as_json="IF({0} IS NULL, NULL, TO_JSON_STRING({0}))",
    ),
}  # fmt: skip
"""Query engines by name."""
