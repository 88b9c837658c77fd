"""pandas: `json_normalize` of the payloads of each type."""

from __future__ import annotations

import sys
from collections import defaultdict
from typing import Any

import orjson
import pandas as pd

from benchmarks.writers.common import ENVELOPE, chunks, event_name, partition


def main(source: str, out: str, _cores: int) -> None:
    """About 64 MB at a time; pandas works on one core."""
    for number, paths in enumerate(chunks(source)):
        groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        for path in paths:
            for line in path.read_bytes().splitlines():
                event = orjson.loads(line)
                name = event_name(event["event_type"], event.get("schema_version"))
                groups[event["domain"], name].append(event)
        for (domain, name), events in groups.items():
            frame = pd.json_normalize([{"data": event.get("data")} for event in events], sep="__")
            for key in ENVELOPE:
                frame[key] = [event.get(key) for event in events]
            frame["event_date"] = [str(event.get("timestamp"))[:10] for event in events]
            for date, rows in frame.groupby("event_date"):
                folder = partition(out, domain, name, date)
                folder.mkdir(exist_ok=True)
                rows.drop(columns="event_date").to_parquet(
                    folder / f"{number}.parquet", compression="zstd", index=False
                )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
