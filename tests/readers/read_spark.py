"""Read a table with Spark and the runtime of Iceberg, without a catalog, and print its rows as JSON.

A Python of .venv-spark runs this file: METADATA, the snapshot id of a state, and the folder for Spark's own files.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import snowpark_connect_deps_iceberg
from pyspark.sql import SparkSession


def main() -> None:
    """Print the rows of the table, and those of the snapshot."""
    metadata, snapshot, own = sys.argv[1:]
    # PyPI's Spark is for this version of Scala
    runtime = "iceberg-spark-runtime-3.5_2.12-*.jar"
    (iceberg,) = (Path(snowpark_connect_deps_iceberg.__file__).parent / "jars").glob(runtime)
    jars = f"{iceberg},{Path(sys.prefix) / 'jackson-of-iceberg.jar'}"
    builder = SparkSession.builder.master("local[1]").config("spark.jars", jars)
    builder = builder.config("spark.sql.session.timeZone", "UTC").config("spark.ui.enabled", "false")
    session = builder.config("spark.sql.warehouse.dir", own).config("spark.sql.shuffle.partitions", "1").getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    session.read.format("iceberg").load(metadata).createOrReplaceTempView("pix_in")
    now = session.sql(
        "SELECT data__id, data__amount, data__n, data__tags, data__lines[0].value, event_date, event_timestamp"
        " FROM pix_in ORDER BY data__id"
    )
    then = session.read.format("iceberg").option("snapshot-id", snapshot).load(metadata)
    found = {
        "now": [list(row) for row in now.collect()],
        "then": [list(row) for row in then.select("data__id").orderBy("data__id").collect()],
    }
    print(json.dumps(found, default=str))


if __name__ == "__main__":
    main()
