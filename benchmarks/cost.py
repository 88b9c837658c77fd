"""Measure the steps of a megabyte: `make bench ARGS="cost --mb 300"`.

One process flattens the feed of `benchmarks peers` on one core, with a timer around each step. A row is the CPU time
that threads spend in a step, without the steps inside it. The rest is the time of the process that no timer saw.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.peers import make_feed
from pismo_sandbox.feed.publisher import Dials

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_ROUNDS = 3
_STEPS = {
    "land: read, SHA-256, write, sync": ["landing.lander:Lander._land"],
    "read the raw file again, SHA-256": ["index.run:read_raw"],
    "find the events and their payloads, check the text": ["index.fast:find_pieces", "index.fast:_is_text"],
    "heads: cut out ids and times, parse each other text once": ["index.fast:read_closed"],
    "heads in another form: pyarrow's parser": ["index.fast:read_heads"],
    "payloads: copy those of a type together": ["index.fast:Tails"],
    "payloads: pyarrow's parser, strings, limits": ["index.fast:parse_fitting"],
    "types, times, order": ["index.fast:number_groups", "index.fast:timestamps_us", "index.make:index_file"],
    "hash of each event, the index table": ["index.make:_table_of", "index.make:_join", "index.make:_find_left"],
    "key of each event": ["index.make:dedupe_keys"],
    "events read one by one": ["index.make:_index_span"],
    "contracts": ["contracts.store:ContractStore.get", "contracts.store:ContractStore.save"],
    "encode index files": ["index.files:index_bytes"],
    "encode parsed payloads": ["index.files:keep"],
    "write index, payloads and Parquet": ["storage.local:LocalStore.write", "storage.local:_sync_folder"],
    "ledger and claims": [
        "index.indexer:Indexer._record", "landing.record:LandingRecord.note", "build.claim:Claim.write",
        "build.unit_builder:UnitBuilder.run", "local.files:land_files", "local.files:index_landed",
    ],
    "build: read indexes": ["build.read:read_index", "index.dedupe:read_index"],
    "build: judge duplicates": ["index.dedupe:judge"],
    "build: read parsed payloads": ["build.read:read_kept", "build.read:KeptPayloads._takes"],
    "build: sort events by type": ["build.hour:read_part", "build.read:number_groups", "build.read:_take"],
    "build: put columns together, dates, checks": [
        "build.tables:_payload", "build.tables:flatten", "build.tables:_group_table", "build.tables:event_dates",
        "build.tables:readable", "build.part_recorder:PartRecorder.write", "build.hour:HourBuilder.draft",
    ],
    "Parquet, zstd": ["build.hour:parquet_bytes"],
}  # fmt: skip


class Timers:
    """The CPU seconds of each step, without the steps inside it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inner = threading.local()

    def wrap(self, step: str, place: str) -> None:
        """Put a timer around a function of the package."""
        module, _, path = place.partition(":")
        *parents, name = path.split(".")
        owner: Any = importlib.import_module(f"pismo_lake.{module}")
        for parent in parents:
            owner = getattr(owner, parent)
        setattr(owner, name, self._timed(step, getattr(owner, name)))

    def _timed(self, step: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **options: Any) -> Any:
            stack = self._inner.__dict__.setdefault("stack", [])
            began = time.thread_time()
            stack.append(0.0)
            try:
                return real(*arguments, **options)
            finally:
                spent = time.thread_time() - began
                self.seconds[step] += spent - stack.pop()
                if stack:
                    stack[-1] += spent

        return timed


def main(arguments: Sequence[str]) -> int:
    """Generate a feed and print the median of some rounds, each in a process of its own."""
    parser = argparse.ArgumentParser(prog="benchmarks cost", description=__doc__)
    parser.add_argument("--mb", type=float, default=300)
    parser.add_argument("--flatten", nargs=2, metavar=("FEED", "LAKE"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.flatten:
        flatten(*options.flatten)
    with tempfile.TemporaryDirectory(prefix="pismo-bench-") as folder:
        root = Path(folder)
        feed = make_feed(root, options.mb, Dials())
        size = feed.bytes / 1e6
        rounds = [_round(feed.raw, root / f"lake-{number}") for number in range(_ROUNDS)]
    # the round whose whole is the middle one: its rows add up
    rows = sorted(rounds, key=lambda each: each["whole"])[_ROUNDS // 2]
    print(f"{size:.0f} MB, {os.cpu_count()} cores, one used; CPU ms for 1 MB, the middle one of {_ROUNDS} rounds\n")
    print("| step | ms for 1 MB |\n|---|---|")
    for step, seconds in rows.items():
        print(f"| {step} | {seconds * 1000 / size:.2f} |")
    return 0


def _round(raw: Path, lake: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks", "cost", "--flatten", str(raw), str(lake)]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, preexec_fn=lambda: os.sched_setaffinity(0, {0})
    )
    lines = [line.rpartition("\t") for line in done.stderr.splitlines() if "\t" in line]
    return {step: float(seconds) for step, _, seconds in lines}


def flatten(feed: str, lake: str) -> None:
    """Flatten a feed in this process, print the seconds of each step to the standard error, and end the process."""
    from pismo_lake.cli import program
    from pismo_lake.storage import without_pandas

    timers, real = Timers(), without_pandas.leave_pandas_out

    def begin() -> None:
        real()
        for step, places in _STEPS.items():
            for place in places:
                timers.wrap(step, place)
        timers.seconds["start, imports"] = time.process_time()

    def leave(status: int) -> None:
        whole = time.process_time()
        rows = {step: timers.seconds[step] for step in ("start, imports", *_STEPS)}
        rows |= {"rest": whole - sum(rows.values()), "whole": whole}
        for step, seconds in rows.items():
            print(f"{step}\t{seconds:.6f}", file=sys.stderr)
        sys.stderr.flush()
        end(status)

    end, os._exit = os._exit, leave  # type: ignore[assignment]
    without_pandas.leave_pandas_out = begin
    sys.argv = ["pismo-lake", "flatten", feed, "--lake", lake, "--jobs", "1"]
    program.run()
