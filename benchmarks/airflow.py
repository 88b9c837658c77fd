"""Measure the waiting time of the DAG's users: `make bench ARGS="airflow"`.

It uses `airflow standalone` and the look-alike's S3. It measures a backlog from unpause to the last commit, runs of no
file and of one file, and the time from a file to its rows in the lake, with polling and with notices. Each part has an
Airflow, a look-alike and a lake of its own. At the end the lake is compared with the published events.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import sqlite3
import statistics
import tempfile
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from pismo_demo.airflow_api import ApiError
from pismo_demo.channels import feed_of, server_of, sink_of
from pismo_demo.options import Options
from pismo_demo.ports import free_ports
from pismo_demo.processes import Notes, stop
from pismo_demo.servers import AirflowServer, Places, start_airflow, start_sandbox, wait_for_airflow
from pismo_sandbox.check.sample import verify_sample
from pismo_sandbox.check.truth import Truth
from pismo_sandbox.check.verify import verify
from pismo_sandbox.feed.publisher import Publisher
from pismo_sandbox.s3.notices import AnnouncingSink

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pismo_demo.airflow_api import AirflowApi

_STEP = timedelta(minutes=5)
_STEPS_A_DAY = 288
_LONGEST = 1800.0
_ALL_COMPARED = 5_000_000
_SAMPLE = 37
_PARTS = ("big", "small", "polling", "notices")
ENDED = {"success", "failed"}
# nothing runs by the clock while the backlog is measured: one interval is due, yesterday's
_DAILY = {"schedule": "0 0 * * *", "wait_minutes": 0}


@dataclass(frozen=True, slots=True)
class Bench:
    """A running Airflow, its folders, and the publisher of its feed."""

    airflow: AirflowServer
    places: Places
    sink: Any
    truth: Truth
    publisher: Publisher
    dag_id: str


def main(arguments: Sequence[str]) -> int:
    """Measure and print, part by part."""
    parser = argparse.ArgumentParser(prog="benchmarks airflow", description=__doc__)
    parser.add_argument("--files", type=int, default=2000, help="files of the backlogs")
    parser.add_argument("--big-mb", type=float, default=10.0)
    parser.add_argument("--small-mb", type=float, default=0.05)
    parser.add_argument("--single", type=int, default=20, help="files whose latency is taken")
    parser.add_argument("--schedule", default="*/15 * * * *", help="of the runs in which latency is taken")
    parser.add_argument("--part", nargs="*", choices=_PARTS, default=_PARTS)
    options = parser.parse_args(arguments)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}", flush=True)
    for part in options.part:
        if part in ("big", "small"):
            megabytes = options.big_mb if part == "big" else options.small_mb
            backlog(options.files, megabytes, empty=part == "big")
        else:
            latency("s3" if part == "polling" else "s3-notices", options.single, options.schedule)
    return 0


def backlog(files: int, megabytes: float, *, empty: bool) -> None:
    """Run yesterday's files, all at once; if `empty`, also runs without files and with one file."""
    with running("s3", _DAILY) as bench:
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
        size, left = 0, files
        while left > 0:
            steps = min(left, _STEPS_A_DAY)
            keys = bench.publisher.publish(midnight, midnight + steps * _STEP, int(steps * megabytes * 1e6))
            left -= len(keys)
        size = bench.truth.totals()["bytes"]
        count = bench.truth.totals()["files"]
        began = time.time()
        bench.airflow.api.unpause(bench.dag_id)
        run_id = follow(bench)
        print_run(bench, run_id, began, f"{count} files of {megabytes:g} MB", size, count)
        if empty:
            window = {"window_start": f"{midnight - timedelta(days=9):%Y-%m-%dT%H:%M:00Z}"}
            window["window_end"] = f"{midnight - timedelta(days=9, hours=-1):%Y-%m-%dT%H:%M:00Z}"
            for _ in range(3):
                began = time.time()
                print_run(bench, follow(bench, bench.airflow.api.trigger(bench.dag_id, window)), began, "no file")
            for _ in range(3):
                (key,) = bench.publisher.publish(midnight, midnight + _STEP, 1_000_000)
                began = time.time()
                run_id = follow(bench, bench.airflow.api.trigger(bench.dag_id, {"object_keys": [key]}))
                print_run(bench, run_id, began, "1 file of 1 MB", 1_000_000, 1)
        check_truth(bench)


def latency(channel: str, files: int, schedule: str) -> None:
    """Publish files of 1 MB one by one while the DAG runs; time each from the put to its row."""
    drawn = random.Random(5)
    with running(channel, {"schedule": schedule}) as bench:
        bench.airflow.api.unpause(bench.dag_id)
        if isinstance(bench.sink, AnnouncingSink):
            # the first run would find the file without the doorbell
            follow(bench)
        # Airflow starts the doorbell of a DAG up to half a minute after it is unpaused; this file is not counted
        first = one_file(bench)
        while not wait_built(bench.places, {first}):
            time.sleep(1)
        put: dict[str, float] = {}
        waits: dict[str, float] = {}
        following = time.monotonic()
        while len(waits) < files:
            if len(put) < files and time.monotonic() >= following:
                put[one_file(bench)] = time.monotonic()
                following += drawn.uniform(2, 28)
            for key in wait_built(bench.places, put.keys() - waits.keys()):
                waits[key] = time.monotonic() - put[key]
            if put and time.monotonic() - max(put.values()) > _LONGEST:
                raise SystemExit(f"not in the lake after half an hour: {put.keys() - waits.keys()}")
            time.sleep(0.1)
        check_truth(bench)
    every = sorted(waits.values())
    p95 = every[max(-(-len(every) * 95 // 100) - 1, 0)]
    print(
        f"{channel:12} schedule {schedule}, {files} files of 1 MB, from the put to the rows:"
        f" p50 {statistics.median(every):.1f} s, p95 {p95:.1f} s, {every[0]:.1f} to {every[-1]:.1f} s",
        flush=True,
    )


def one_file(bench: Bench) -> str:
    """Publish one file of the present hour, and its notice."""
    now = datetime.now(UTC)
    (key,) = bench.publisher.publish(now, now + _STEP, 1_000_000)
    if isinstance(bench.sink, AnnouncingSink):
        bench.sink.announce()
    return key


def wait_built(places: Places, keys: set[str]) -> set[str]:
    """Those of the files whose rows the lake has."""
    try:
        with closing(sqlite3.connect(f"file:{places.home}/ledger.db?mode=ro", uri=True, timeout=10)) as ledger:
            return keys & {row[0] for row in ledger.execute("select key from pismo_files where built")}
    except sqlite3.OperationalError:
        # it is made by the first run
        return set()


@contextmanager
def running(channel: str, changed: dict[str, Any]) -> Iterator[Bench]:
    """Start Airflow and the look-alike, with changes to the demo's delivery."""
    with tempfile.TemporaryDirectory(prefix="pismo-bench-") as folder:
        places = Places(Path(folder))
        places.logs.mkdir()
        notes = Notes(places.home / "running.json")
        truth = Truth(places.truth)
        try:
            place = start_sandbox(server_of(channel, places.home), places, notes)
            told = feed_of(channel, places.home, place)
            if changed:
                document = yaml.safe_load(told.deliveries.read_text())
                for delivery in document["deliveries"].values():
                    delivery |= changed
                (places.home / "deliveries.yaml").write_text(yaml.safe_dump(document))
                told = replace(told, deliveries=places.home / "deliveries.yaml")
            airflow = start_airflow(Options(channel=channel, home=places.home), places, free_ports(), notes, told)
            wait_for_airflow(airflow.process, airflow.api)
            while not airflow.api.is_dag_known(told.dag_id):
                time.sleep(0.5)
            sink = sink_of(channel, places.home, place)
            yield Bench(airflow, places, sink, truth, Publisher(sink, truth), told.dag_id)
        finally:
            truth.close()
            for started in reversed(notes.all()):
                stop(started)


def follow(bench: Bench, run_id: str | None = None) -> str:
    """Wait for the end of a run, by default the first one; return its id."""
    while True:
        try:
            states = dict(bench.airflow.api.runs(bench.dag_id))
        except ApiError as error:
            if error.status not in {0, 500, 503}:
                raise
            states = {}
        run_id = run_id or next(iter(states), None)
        state = states.get(run_id or "")
        if state in ENDED:
            if state == "failed":
                raise SystemExit(f"{run_id} failed: see {bench.places.logs}")
            return str(run_id)
        time.sleep(0.5)


def print_run(bench: Bench, run_id: str, began: float, what: str, size: int = 0, count: int = 0) -> None:
    """Print a run's seconds, and the share of them in which no task was at work."""
    spans = take_spans(bench.airflow.api, bench.dag_id, run_id)
    every = [span for found in spans.values() for span in found]
    seconds = max(end for _, end in every) - began
    idle = seconds - sum_covered(every)
    rate = f"{count / seconds:.1f} files/s, {size / 1e6 / seconds:.1f} MB/s; " if count else ""
    parts = ", ".join(f"{name} {len(found)} x, {sum_covered(found):.1f} s" for name, found in spans.items())
    print(f"{what:24} {seconds:.1f} s; {rate}no task at work {idle:.1f} s ({idle / seconds:.0%}); {parts}", flush=True)


def take_spans(api: AirflowApi, dag_id: str, run_id: str) -> dict[str, list[tuple[float, float]]]:
    """Return the start and the end of each instance of the tasks of a run, by task."""
    spans: dict[str, list[tuple[float, float]]] = {}
    for task in api.tasks(dag_id, run_id):
        if task.started and task.ended:
            span = (datetime.fromisoformat(task.started).timestamp(), datetime.fromisoformat(task.ended).timestamp())
            spans.setdefault(task.task_id, []).append(span)
    return spans


def sum_covered(spans: Sequence[tuple[float, float]]) -> float:
    """Seconds in which at least one of the spans lies."""
    total, until = 0.0, 0.0
    for start, end in sorted(spans):
        total += max(end - max(start, until), 0.0)
        until = max(until, end)
    return total


def check_truth(bench: Bench) -> None:
    """Raise if the lake differs from the published events: then the figures are worthless."""
    large = bench.truth.totals()["events"] > _ALL_COMPARED
    found = verify_sample(bench.places.lake, bench.truth, _SAMPLE) if large else verify(bench.places.lake, bench.truth)
    if not found.ok:
        raise SystemExit(f"the lake differs from what was published: {found.problems[:5]}")
    print(f"{'checked':24} {found}" if len(str(found)) < 200 else f"{'checked':24} no difference", flush=True)
