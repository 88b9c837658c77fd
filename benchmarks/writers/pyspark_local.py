"""Write with PySpark on one machine: lines as text, cached, then `read.json` of each type.

Structs are selected field by field.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as sf
from pyspark.sql.types import DataType, StructType


def columns(name: str, kind: DataType, value: Column) -> list[Column]:
    """Return a column; a struct becomes one column for each field."""
    if not isinstance(kind, StructType) or not kind.fields:
        return [value.alias(name)]
    return [
        column
        for field in kind.fields
        for column in columns(f"{name}__{field.name}", field.dataType, value[field.name])
    ]


def main(source: str, out: str, cores: int) -> None:
    """All files at once."""
    builder = SparkSession.builder.master(f"local[{cores}]").config("spark.driver.memory", "4g")
    for key, value in (
        ("spark.ui.enabled", "false"), ("spark.sql.shuffle.partitions", str(cores)),
        ("spark.sql.parquet.compression.codec", "zstd"), ("spark.sql.caseSensitive", "true"),
        ("spark.local.dir", f"{out}.spark"), ("spark.sql.session.timeZone", "UTC"),
    ):  # fmt: skip
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    spark.conf.set("spark.sql.jsonGenerator.ignoreNullFields", "false")
    version, kind = (sf.get_json_object("value", f"$.{key}") for key in ("schema_version", "event_type"))
    lines = spark.read.text(source).select(
        "value",
        sf.get_json_object("value", "$.domain").alias("domain"),
        sf.when(version.isNull() | kind.endswith(sf.concat(sf.lit("-"), version)), kind)
        .otherwise(sf.concat_ws("-", kind, version))
        .alias("name"),
    )
    lines = lines.repartition(cores).persist()
    for domain, name in sorted(tuple(row) for row in lines.select("domain", "name").distinct().collect()):
        mine = lines.where((sf.col("domain") == domain) & (sf.col("name") == name)).select("value")
        frame = spark.read.json(mine.rdd.map(lambda row: row[0]))
        wanted = [sf.col(key) for key in ("event_id", "org_id", "cid") if key in frame.columns]
        wanted += columns("data", frame.schema["data"].dataType, sf.col("data")) if "data" in frame.columns else []
        flat = frame.select(*wanted, sf.substring(sf.col("timestamp").cast("string"), 1, 10).alias("event_date"))
        folder = Path(out) / f"domain={domain}" / f"event_type={name}"
        flat.coalesce(1).write.partitionBy("event_date").parquet(str(folder), mode="overwrite")
    spark.stop()


if __name__ == "__main__":
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
