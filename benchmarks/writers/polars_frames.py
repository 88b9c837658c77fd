"""Polars: lines by type through orjson, `read_ndjson` of each, structs unnested."""

from __future__ import annotations

import io
import os
import sys


def main(source: str, out: str, cores: int) -> None:
    """About 64 MB at a time."""
    os.environ["POLARS_MAX_THREADS"] = str(cores)
    import polars as pl

    from benchmarks.writers.common import ENVELOPE, chunks, lines_by_type, partition

    known = {"schema_version": pl.String, "timestamp": pl.String}

    def columns(name: str, kind: pl.DataType, value: pl.Expr) -> list[pl.Expr]:
        if not isinstance(kind, pl.Struct) or not kind.fields:
            return [value.alias(name)]
        found = []
        for field in kind.fields:
            found += columns(f"{name}__{field.name}", field.dtype, value.struct.field(field.name))
        return found

    for number, paths in enumerate(chunks(source)):
        for (domain, name), lines in lines_by_type(paths).items():
            frame = pl.read_ndjson(io.BytesIO(b"\n".join(lines)), infer_schema_length=None, schema_overrides=known)
            wanted = [pl.col(key) for key in ENVELOPE if key in frame.columns]
            wanted += columns("data", frame.schema["data"], pl.col("data")) if "data" in frame.columns else []
            flat = frame.select(*wanted, pl.col("timestamp").cast(pl.String).str.slice(0, 10).alias("event_date"))
            for (date,), rows in flat.partition_by("event_date", as_dict=True, include_key=False).items():
                folder = partition(out, domain, name, date)
                folder.mkdir(exist_ok=True)
                rows.write_parquet(folder / f"{number}.parquet", compression="zstd")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
