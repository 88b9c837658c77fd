"""Write with dlt: a pipeline into a folder of Parquet, a table for each type and date.

Objects are flattened, lists are JSON.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


def main(source: str, out: str, cores: int) -> None:
    """Let dlt work through its own files in steps: extract, normalize, load."""
    os.environ |= {
        "RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "ERROR", "NORMALIZE__WORKERS": str(cores),
        "LOAD__WORKERS": str(cores), "DATA_WRITER__COMPRESSION": "zstd", "SCHEMA__NAMING": "duck_case",
        "NORMALIZE__DATA_WRITER__FILE_MAX_ITEMS": "100000", "DLT_DATA_DIR": f"{out}.dlt",
    }  # fmt: skip
    import dlt
    import orjson
    from dlt.destinations import filesystem

    from benchmarks.writers.common import ENVELOPE, event_name, partition

    def flat(value: Any) -> Any:
        # a list would become a table of its own for each event type and date
        if isinstance(value, dict):
            return {key: flat(item) for key, item in value.items()}
        return orjson.dumps(value).decode() if isinstance(value, list) else value

    @dlt.resource(name="events", table_name=lambda event: event["_table"])
    def events() -> Iterator[Any]:
        for path in sorted(Path(source).glob("*.ndjson")):
            batch = []
            for line in path.read_bytes().splitlines():
                event = orjson.loads(line)
                name = event_name(event["event_type"], event.get("schema_version"))
                date = str(event.get("timestamp"))[:10]
                kept = {key: event.get(key) for key in ENVELOPE} | {"data": flat(event.get("data"))}
                batch.append(kept | {"_table": f"{event['domain']}@{name}@{date}"})
            yield batch

    destination = filesystem(f"file://{out}.loaded")
    pipeline = dlt.pipeline("peers", destination=destination, dataset_name="lake", pipelines_dir=f"{out}.dlt")
    pipeline.run(events(), loader_file_format="parquet")
    # the layout of the others; a rename, nothing is read
    for folder in Path(f"{out}.loaded/lake").iterdir():
        if folder.name.count("@") == 2:
            domain, name, date = folder.name.split("@")
            folder.rename(partition(out, domain, name, date))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
