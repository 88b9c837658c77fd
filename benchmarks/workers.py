"""Measure a backlog on Celery workers: `make bench ARGS="workers --workers 1 2 4"`.

It runs the services of docker-compose.yaml as processes, with PostgreSQL and Redis: `make test-servers` and
`scripts/redis` install these. Each number of workers has a stack of its own, and each worker takes one task at a time.
At the end the lake is compared with the published events. From the tasks of the first stack it is computed how long
more workers need, if each has a core of its own.
"""

from __future__ import annotations

import argparse
import heapq
import os
import platform
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.stack import DAG, Options, Stack, running_stack

from benchmarks.airflow import ENDED, take_spans
from pismo_sandbox.check.verify import verify
from pismo_sandbox.feed.publisher import Dials

if TYPE_CHECKING:
    from collections.abc import Sequence

_SETTINGS = {"wait_minutes": 0, "parallel_tasks": 16}
_TASK = "land_event_files"
_COMPUTED = (1, 2, 4, 8, 16)


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds of a run, of all landing tasks together, and of each of them."""

    run: float
    landing: float
    tasks: Sequence[float]


def main(arguments: Sequence[str]) -> int:
    """Measure and print, one number of workers after the other."""
    parser = argparse.ArgumentParser(prog="benchmarks workers", description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--mb", type=int, default=600)
    parser.add_argument("--hours", type=int, default=3)
    parser.add_argument("--chunk-mb", type=int, default=50)
    options = parser.parse_args(arguments)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}", flush=True)
    print(f"{options.mb} MB in {options.hours} hours, chunks of {options.chunk_mb} MB, local disk", flush=True)
    every = []
    for workers in options.workers:
        stack = Options(
            hours=options.hours, megabytes=options.mb, workers=workers, concurrency=1, local=True, dials=Dials(),
            settings=_SETTINGS | {"chunk_bytes": options.chunk_mb << 20},
        )  # fmt: skip
        every.append(measure(stack))
        print_measured(stack, every[-1], every[0])
    print_computed(every[0])
    return 0


def measure(options: Options) -> Measured:
    """Run the backlog once, and compare the lake with what was published."""
    with tempfile.TemporaryDirectory(prefix="pismo-bench-") as folder, running_stack(Path(folder), options) as stack:
        began = time.time()
        stack.api.unpause(DAG)
        stack.until(lambda: stack.api.runs(DAG), "the first run is made")
        run_id, _ = stack.api.runs(DAG)[0]
        stack.until(lambda: dict(stack.api.runs(DAG))[run_id] in ENDED, "the run is over")
        measured = measure_run(stack, run_id, began)
        found = verify(stack.lake(Path(folder) / "copy"), stack.truth)
        if not found.ok:
            raise SystemExit(f"the lake differs from what was published: {found.problems[:5]}")
    return measured


def measure_run(stack: Stack, run_id: str, began: float) -> Measured:
    """Return the seconds of a run, from the tasks in Airflow's database."""
    spans = take_spans(stack.api, DAG, run_id)
    mine = spans[_TASK]
    last = max(end for found in spans.values() for _, end in found)
    landing = max(end for _, end in mine) - min(start for start, _ in mine)
    return Measured(last - began, landing, [end - start for start, end in mine])


def print_measured(options: Options, measured: Measured, first: Measured) -> None:
    """Print one row."""
    print(
        f"{options.workers} worker(s): run {measured.run:.1f} s, landing tasks {measured.landing:.1f} s"
        f" ({options.megabytes / measured.landing:.1f} MB/s, {first.landing / measured.landing:.2f} x the first),"
        f" {len(measured.tasks)} tasks of {min(measured.tasks):.1f} to {max(measured.tasks):.1f} s,"
        f" {sum(measured.tasks):.1f} s together",
        flush=True,
    )


def print_computed(first: Measured) -> None:
    """Print how long workers with cores of their own need for the tasks of one."""
    gaps = max(first.landing - sum(first.tasks), 0.0) / len(first.tasks)
    for workers in _COMPUTED:
        ends = [0.0] * workers
        for task in first.tasks:
            heapq.heappush(ends, heapq.heappop(ends) + task + gaps)
        print(
            f"computed for {workers} worker(s): {max(ends):.1f} s of landing tasks, of which {gaps:.1f} s before each",
            flush=True,
        )
