"""Close publish days, then look events up: `make bench ARGS="days"`.

It prints seconds, MB/s, and the memory of closing. Events are small (about 250 bytes), 10,000 a file; for ten million,
set ARGS="days --events 10000000 --days 5".
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow

from pismo_lake.events.find import find_event
from pismo_lake.ledger import Ledger
from pismo_lake.local.files import local_files
from pismo_lake.settings.lake import LakeSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

_A_FILE = 10_000
_LOOK_UPS = 30


def main(arguments: Sequence[str]) -> int:
    """Publish, land, close in a process of its own, look up, print one table."""
    parser = argparse.ArgumentParser(prog="benchmarks days", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=2)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="pismo-days-") as folder:
        root = Path(folder)
        size, ids = _publish(root / "raw", options.events, options.days)
        lake = str(root / "lake")
        settings, ledger = LakeSettings("local", f"{lake}-landing", lake), Ledger.open(f"sqlite:///{lake}-ledger.db")
        started = time.monotonic()
        local_files([str(root / "raw")]).land(settings, ledger, None)
        landing = time.monotonic() - started
        dates = [word for day in range(options.days) for word in ("--date", f"2026-03-{day + 1:02d}")]
        closing, peak = _time("close", *dates, "--lake", lake)
        looked_up = []
        for event_id in ids:
            started = time.monotonic()
            (place,) = find_event(settings, ledger, event_id)
            assert place.lake_row is not None
            looked_up.append(time.monotonic() - started)
        whole, _ = _time("where-is", ids[0], "--lake", lake)
    versions = f"Python {platform.python_version()}, pyarrow {pyarrow.__version__}"
    print(f"machine      {platform.machine()}, {os.cpu_count()} cores; {versions}")
    print(f"input        {options.events:,} events, {size / 1e6:.0f} MB, {options.days} publish days")
    print(f"land         {landing:.0f} s, {size / 1e6 / landing:.1f} MB/s, {options.events / landing:,.0f} events/s")
    print(
        f"close        {closing:.0f} s, {size / 1e6 / closing:.1f} MB/s, peak memory {peak:.0f} MiB, reports included"
    )
    print(f"where-is     median {statistics.median(looked_up) * 1e3:.0f} ms, slowest of {_LOOK_UPS}"
          f" {max(looked_up) * 1e3:.0f} ms; as a command {whole:.1f} s")  # fmt: skip
    return 0


def _publish(root: Path, events: int, days: int) -> tuple[int, list[str]]:
    """Files of small events spread over the days; their bytes, and ids to look up."""
    rng = random.Random(1)
    size, ids = 0, []
    files = events // _A_FILE
    for number in range(files):
        day, hour = 1 + number * days // files, (number * days * 24 // files) % 24
        chunks = []
        for place in range(_A_FILE):
            key = f"{rng.getrandbits(128):032x}"
            chunks.append(
                f'{{"event_id":"{key}","domain":"pix","event_type":"pix_in","schema_version":1,"org_id":"TN-1","cid":"c",'
                f'"timestamp":"2026-03-{day:02d}T{hour:02d}:{place % 60:02d}:00Z",'
                f'"data":{{"account_id":{place},"amount":{place}.25}}}}'
            )
        path = root / f"main_stream/2026/3/{day}/{hour}/f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        data = "".join(chunks).encode()
        path.write_bytes(data)
        size += len(data)
        ids.append(key)
    return size, rng.sample(ids, min(len(ids), _LOOK_UPS))


def _time(*words: str) -> tuple[float, float]:
    """Seconds of a `pismo_lake` command, and the peak memory in MiB of all commands so far."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-m", "pismo_lake", *words], check=True, capture_output=True)
    return time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
