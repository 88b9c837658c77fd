"""Measure pyarrow's least time for this lake on one core: `python -m benchmarks.floor RAW`.

pyarrow parses the bytes of all events, joined by type like in a build, with their final schema, and encodes the tables
of a build as Parquet. Only these two calls are timed: no file is found, read, split, hashed, compared or written.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from pismo_lake.build.read import read_part
from pismo_lake.build.tables import tables
from pismo_lake.cli.main import main as pismo_lake
from pismo_lake.contracts.columns import FastReader
from pismo_lake.contracts.store import ContractStore
from pismo_lake.index.dedupe import judge_all
from pismo_lake.ledger import LakeFiles, Ledger
from pismo_lake.settings.lake import LakeSettings

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """Print the seconds of both as JSON."""
    (raw,) = arguments
    parsing = encoding = 0.0
    with tempfile.TemporaryDirectory(prefix="pismo-floor-") as folder:
        root = Path(folder)
        url = f"sqlite:///{root / 'ledger.db'}"
        where = ["--lake", str(root / "lake"), "--landing", str(root / "landing"), "--ledger", url]
        if pismo_lake(["flatten", raw, *where, "--delivery", "floor", "--jobs", "1"]):
            return 1
        settings, ledger = LakeSettings("floor", str(root / "landing"), str(root / "lake")), Ledger.open(url)
        contracts = ContractStore(ledger, settings)
        files = LakeFiles(ledger, settings.lake).list_not_closed()
        verdicts = judge_all(settings, ledger, files)
        for unit in sorted({(file.publish_hour, file.part) for file in files}):
            rows = read_part([file for file in files if (file.publish_hour, file.part) == unit], verdicts)
            texts = []
            for names, group in sorted(rows.groups.items()):
                regular = group.column("regular").to_pylist()
                fitting = [event for event, fits in zip(group.raw, regular, strict=True) if fits]
                if fitting:
                    texts.append((FastReader(contracts.get(*names)), b"\n".join(fitting), len(fitting)))
            started = time.perf_counter()
            for reader, text, count in texts:
                reader.read(text, count)
            parsing += time.perf_counter() - started
            made = [table for _, table in tables(rows, settings, unit[0][:10], contracts.get)]
            started = time.perf_counter()
            for table in made:
                pq.write_table(table, io.BytesIO(), compression="zstd")
            encoding += time.perf_counter() - started
        ledger.close()
    print(json.dumps({"parsing": parsing, "encoding": encoding}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
