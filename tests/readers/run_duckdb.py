"""Run statements with DuckDB's extension for Iceberg, then a query, and print its rows as JSON.

A Python of .venv-readers runs this file: a JSON file with the statements, and the query.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import duckdb
from duckdb_extensions import import_extension


def main() -> None:
    """Run the statements, and print the rows of the query."""
    for name in ("avro", "iceberg"):
        import_extension(name)
    connection = duckdb.connect()
    connection.execute("LOAD avro; LOAD iceberg; SET TimeZone = 'UTC'")
    for statement in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")):
        connection.execute(statement)
    print(json.dumps(connection.sql(sys.argv[2]).fetchall(), default=str))


if __name__ == "__main__":
    main()
