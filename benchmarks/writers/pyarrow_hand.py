"""Write with pyarrow: lines by type through orjson, `pyarrow.json` with inferred types.

Structs are flattened.
"""

from __future__ import annotations

import sys

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.json as pj

from benchmarks.writers.common import ENVELOPE, chunks, lines_by_type


def columns(name: str, array: pa.ChunkedArray) -> list[tuple[str, pa.ChunkedArray]]:
    """Return a column; a struct becomes one column for each field."""
    if not pa.types.is_struct(array.type) or array.type.num_fields == 0:
        return [(name, array)]
    found = []
    for at, field in enumerate(array.type):
        found += columns(f"{name}__{field.name}", pc.struct_field(array, [at]))
    return found


def main(source: str, out: str, cores: int) -> None:
    """About 64 MB at a time."""
    pa.set_cpu_count(cores)
    style = ds.ParquetFileFormat().make_write_options(compression="zstd")
    for number, paths in enumerate(chunks(source)):
        for (domain, name), lines in lines_by_type(paths).items():
            text = b"\n".join(lines)
            # schema_version is a number or a text; a decimal accepts both
            known = pa.schema([("schema_version", pa.decimal128(38, 18)), ("timestamp", pa.string())])
            reading = pj.ReadOptions(use_threads=cores > 1, block_size=1 << 24)
            table = pj.read_json(pa.BufferReader(text), reading, pj.ParseOptions(explicit_schema=known))
            named = [(key, table.column(key)) for key in ENVELOPE if key in table.column_names]
            named += columns("data", table.column("data")) if "data" in table.column_names else []
            dates = pc.utf8_slice_codeunits(table.column("timestamp"), 0, 10)
            flat = pa.table(dict([*named, ("event_date", dates)]))
            ds.write_dataset(
                flat, f"{out}/domain={domain}/event_type={name}", format="parquet", file_options=style,
                partitioning=ds.partitioning(pa.schema([("event_date", pa.string())]), flavor="hive"),
                basename_template=f"{number}-{{i}}.parquet", existing_data_behavior="overwrite_or_ignore",
            )  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
