"""Read a table with DuckDB's extension for Iceberg, and print its rows as JSON.

A Python of .venv-readers runs this file: METADATA, and the snapshot id of an earlier state, or 0.
"""

from __future__ import annotations

import json
import sys

import duckdb
from duckdb_extensions import import_extension


def main() -> None:
    """Print the rows of the table, and those of the earlier snapshot."""
    metadata, snapshot = sys.argv[1], int(sys.argv[2])
    for name in ("avro", "iceberg"):
        import_extension(name)
    connection = duckdb.connect()
    connection.execute("LOAD avro; LOAD iceberg; SET TimeZone = 'UTC'")
    columns = "data__id, data__amount, data__n, data__tags, data__lines[1].value, event_date, event_timestamp"
    now = connection.sql(f"SELECT {columns} FROM iceberg_scan('{metadata}') ORDER BY data__id").fetchall()
    then = []
    if snapshot:
        scan = f"iceberg_scan('{metadata}', snapshot_from_id => {snapshot})"
        then = connection.sql(f"SELECT data__id FROM {scan} ORDER BY data__id").fetchall()
    print(json.dumps({"now": now, "then": then}, default=str))


if __name__ == "__main__":
    main()
