"""Land and flatten a generated feed in a process of its own: `make bench`.

It prints MB/s and peak memory. ARGS="--mb 500 --hours 4 --everything" sets the feed. The lake is checked against the
generator's truth afterwards. Other benchmarks:

ARGS="channels --files 500 --mb 1 10": landing over each channel. ARGS="peers --mb 1000 --write": other writers of
Parquet on the same files. ARGS="cost --mb 300": the CPU time of each step. ARGS="odd": the cost of values that fit no
column, in a 10 MB file. ARGS="days --events 10000000 --days 5": closing days, and looking events up. ARGS="deliveries
--entries 200": reading a deliveries file of many entries. ARGS="airflow --files 200": whole runs of Airflow: a
backlog, an empty run, one file, and the latency of single files. ARGS="chunks --mb 300": one large hour over many
workers. ARGS="pages": what the pages in Airflow ask a ledger of a million files. ARGS="tables --tables 30": the
commits to the tables of a catalog. ARGS="replay": a million events to a queue. ARGS="workers --workers 1 2 4": a
backlog on Celery workers, with PostgreSQL and Redis.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow

OTHERS = (
    "airflow", "channels", "chunks", "cost", "days", "deliveries", "odd", "pages", "peers", "replay", "tables",
    "workers",
)  # fmt: skip


def main() -> int:
    """Generate, measure, check, print one table."""
    if sys.argv[1:2] and sys.argv[1] in OTHERS:
        return int(importlib.import_module(f"benchmarks.{sys.argv[1]}").main(sys.argv[2:]))
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--mb", type=float, default=200)
    parser.add_argument("--hours", type=float, default=2)
    parser.add_argument("--everything", action="store_true", help="a feed with all troubles instead of a clean one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pismo-bench-") as folder:
        root = Path(folder)
        feed = [
            "--hours",
            str(options.hours),
            "--mb",
            str(options.mb),
            *(["--everything"] if options.everything else []),
        ]
        _run("pismo_sandbox", "generate", "--out", str(root), *feed)
        size = sum(path.stat().st_size for path in (root / "raw" / "main_stream").rglob("*") if path.is_file())
        started = time.monotonic()
        _run("pismo_lake", "flatten", str(root / "raw"), "--lake", str(root / "lake"))
        seconds = time.monotonic() - started
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        check = _run("pismo_sandbox", "verify", "--lake", str(root / "lake"), "--truth", str(root / "truth.db"))
    versions = f"Python {platform.python_version()}, pyarrow {pyarrow.__version__}"
    print(f"machine      {platform.machine()}, {os.cpu_count()} cores; {versions}")
    print(f"input        {size / 1e6:.0f} MB over {options.hours:g} publish hours")
    print(f"land+flatten {seconds:.1f} s, {size / 1e6 / seconds:.1f} MB/s, start of Python included")
    print(f"peak memory  {peak / 1024:.0f} MiB (the largest of all processes so far, the generator included)")
    print(f"checked      {check.strip()}")
    return 0


def _run(module: str, *arguments: str) -> str:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())
