"""Read a folder of the lake with PySpark, as files and by `ddl`'s statements; print JSON.

A Python that has PySpark runs this file.
"""

from __future__ import annotations

import json
import sys

from pyspark.sql import SparkSession


def main() -> None:
    """FOLDER, a file with a JSON array of statements, and the folder for Spark's own files."""
    folder, statements, own = sys.argv[1:]
    builder = SparkSession.builder.master("local[1]").config("spark.sql.session.timeZone", "UTC")
    builder = builder.config("spark.sql.warehouse.dir", own).config("spark.ui.enabled", "false")
    # columns that differ by case alone are spelt apart in the lake, so that this default finds no two
    session = builder.config("spark.sql.caseSensitive", "false").getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    files = session.read.option("mergeSchema", "true").parquet(folder).orderBy("data__id")
    with open(statements) as file:
        for statement in json.load(file):
            session.sql(statement)
    table = session.sql("SELECT id, data__amount, n, tags, lines[0].value, event_date FROM pix_in_1 ORDER BY id")
    views = session.sql(
        "SELECT publish_date, verdict, `rows`, (SELECT count(*) FROM rejects), (SELECT count(*) FROM pix_in)"
        " FROM day_reports"
    ).collect()
    comment = {row[0]: row[2] for row in session.sql("DESCRIBE pix_in").collect()}["id"]
    found = {
        "files": [list(row) for row in files.select("data__id", "data__amount", "data__n").collect()],
        "table": [list(row) for row in table.collect()],
        "views": [[*row, comment] for row in views],
    }
    print(json.dumps(found, default=str))


if __name__ == "__main__":
    main()
