"""Write with DuckDB: `read_json` reads undelimited objects by itself.

Each type has a struct from `json_group_structure`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

if TYPE_CHECKING:
    from collections.abc import Iterator


def leaves(structure: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Paths of a structure that become columns."""
    if isinstance(structure, dict) and structure:
        for key, inner in structure.items():
            yield from leaves(inner, (*path, key))
    else:
        yield path


def exact(structure: Any) -> Any:
    """Return the structure with decimals for every number that is no integer."""
    if isinstance(structure, dict):
        return {key: exact(inner) for key, inner in structure.items()}
    if isinstance(structure, list):
        return [exact(inner) for inner in structure]
    return "DECIMAL(38,18)" if structure == "DOUBLE" else structure


def quote(name: str) -> str:
    """Quote an identifier."""
    return '"' + name.replace('"', '""') + '"'


def main(source: str, out: str, cores: int, *, decimals: bool = False) -> None:
    """Read all files at once; DuckDB spills to disk if they do not fit into memory."""
    files = [str(path) for path in sorted(Path(source).rglob("*")) if path.is_file()]
    con = duckdb.connect(f"{out}.duckdb")
    con.execute(f"SET threads = {cores}; SET memory_limit = '4GB'; SET preserve_insertion_order = false")
    fields = dict.fromkeys(
        ("event_id", "org_id", "cid", "domain", "event_type", "schema_version", "timestamp"), "VARCHAR"
    )
    con.execute(
        """CREATE TABLE events AS SELECT event_id, org_id, cid, domain, data,
             CASE WHEN schema_version IS NULL OR ends_with(event_type, '-' || schema_version) THEN event_type
                  ELSE event_type || '-' || schema_version END AS name,
             coalesce(CAST(try_cast(timestamp AS TIMESTAMPTZ) AS DATE), DATE '1970-01-01') AS event_date
           FROM read_json(?, format = 'unstructured', maximum_object_size = 33554432, columns = ?)""",
        [files, fields | {"data": "JSON"}],
    )
    for domain, name in con.execute("SELECT DISTINCT domain, name FROM events ORDER BY ALL").fetchall():
        mine = "FROM events WHERE domain = ? AND name = ?"
        structure = json.loads(con.execute(f"SELECT json_group_structure(data) {mine}", [domain, name]).fetchone()[0])
        if decimals:
            structure = exact(structure)
        columns = [
            f"s{''.join('.' + quote(key) for key in path)} AS {quote('data__' + '__'.join(path))}"
            for path in leaves(structure, ())
            if path
        ]
        folder = Path(out) / f"domain={domain}" / f"event_type={name}"
        folder.mkdir(parents=True)
        con.execute(
            f"""COPY (SELECT {", ".join(["event_id", "org_id", "cid", "event_date", *columns])} FROM
                  (SELECT *, json_transform(data, ?) AS s {mine}))
                TO '{folder}' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (event_date), OVERWRITE_OR_IGNORE)""",
            [json.dumps(structure), domain, name],
        )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), decimals="exact" in sys.argv[4:])
