"""Compare this project with other writers of Parquet: `python -m benchmarks peers`.

Each contender runs in a process of its own, in rounds, on a number of cores; the best round counts. Every output is
compared with the generated events: ids of all events, and every value of a sample of them. A second, damaged feed
shows how duplicates, cut files and garbage are handled. For all except DuckDB and this project, the files are split
into lines beforehand, at no cost.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from benchmarks.peers_check import Wrong, check_output
from benchmarks.peers_table import write_results
from pismo_lake.decode.split import split
from pismo_sandbox.check.truth import Truth
from pismo_sandbox.feed.events import EventFactory
from pismo_sandbox.feed.payloads import CATALOGUE
from pismo_sandbox.feed.publisher import Dials, FolderSink, Publisher

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[1]
PEERS = str(ROOT / ".venv-peers" / "bin" / "python")
LEFT_OUT = {("future-domain", "brand_new_thing"), ("account", "account_change"), ("onboarding", "succeeded")}
"""Event types with fields of any keys, or of several kinds: inference fails on them or makes 500 columns."""

DAMAGE = Dials(
    duplicates_in_file=0.01, duplicates_across_files=0.01, unusable_events=0.003, garbage=0.001, truncated_files=0.15
)
END = datetime(2026, 3, 2, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Contender:
    """A contender: its label, its packages, and its command without input, output and cores."""

    name: str
    packages: tuple[str, ...]
    command: tuple[str, ...]
    lines: bool = True


CONTENDERS = (
    Contender("pismo_lake", ("pyarrow",), (), lines=False),
    Contender("DuckDB", ("duckdb",), ("duckdb_sql",), lines=False),
    Contender("DuckDB, decimals", ("duckdb",), ("duckdb_sql", "exact"), lines=False),
    Contender("Polars", ("polars", "orjson"), ("polars_frames",)),
    Contender("pyarrow by hand", ("pyarrow", "orjson"), ("pyarrow_hand",)),
    Contender("pandas", ("pandas", "pyarrow", "orjson"), ("pandas_normalize",)),
    Contender("dlt", ("dlt", "pyarrow", "orjson"), ("dlt_pipeline",)),
    Contender("PySpark", ("pyspark",), ("pyspark_local",)),
)


@dataclass(slots=True)
class Result:
    """One contender on a number of cores: its best round, and the errors of its output."""

    name: str
    cores: int
    megabytes: float
    events: int
    seconds: float = 0.0
    cpu: float = 0.0
    peak_mib: float = 0.0
    output_mb: float = 0.0
    failed: str = ""
    wrong: Wrong | None = None
    damaged: str = ""


def main(arguments: Sequence[str]) -> int:
    """Generate, run, check, write the table and the plot."""
    parser = argparse.ArgumentParser(prog="benchmarks peers", description=__doc__)
    parser.add_argument("--mb", type=float, default=1000)
    parser.add_argument("--cores", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", nargs="*", help="names of contenders")
    parser.add_argument("--write", action="store_true", help="put table and plot into the documentation")
    options = parser.parse_args(arguments)
    subprocess.run([str(ROOT / "scripts" / "peers")], check=True)
    taken = [contender for contender in CONTENDERS if not options.only or contender.name in options.only]
    with tempfile.TemporaryDirectory(prefix="pismo-peers-") as folder:
        root = Path(folder)
        clean, damaged = (
            make_feed(root / "clean", options.mb, Dials()), make_feed(root / "damaged", min(options.mb, 20), DAMAGE)
        )  # fmt: skip
        contest = [
            (contender, Result(contender.name, cores, clean.bytes / 1e6, clean.events))
            for cores in options.cores
            for contender in taken
        ]
        for number in range(options.rounds):
            for contender, result in contest:
                _round(result, contender, clean, root, first=number == 0)
        for contender, result in contest:
            if result.cores == options.cores[0]:
                _damage(result, contender, damaged, root)
        floor = _floor(clean)
    versions = {name: _version(name) for item in taken for name in item.packages}
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {platform.system()}"
    document = {
        "machine": machine, "python": platform.python_version(), "versions": versions, "rounds": options.rounds,
        "results": [asdict(result) for _, result in contest], "floor": floor,
    }  # fmt: skip
    print(write_results(document, ROOT if options.write else None))
    return 0


@dataclass(frozen=True, slots=True)
class Feed:
    """Generated files as they are and split into lines, with the truth about them."""

    raw: Path
    lines: Path
    truth: Path
    bytes: int
    events: int


def make_feed(root: Path, megabytes: float, dials: Dials) -> Feed:
    """Generate the files of some hours, and the same events in lines."""
    # as many five-minute files as fill with 10 MB each
    hours = max(round(megabytes / 10 / 12, 2), 0.25)
    truth = Truth(root / "truth.db")
    factory = EventFactory(11, catalogue=[row for row in CATALOGUE if row[:2] not in LEFT_OUT])
    publisher = Publisher(FolderSink(root / "raw"), truth, seed=11, dials=dials, factory=factory)
    publisher.publish(END - timedelta(hours=hours), END, int(megabytes * 1e6))
    lines = root / "lines"
    lines.mkdir()
    size = 0
    for number, path in enumerate(sorted(path for path in (root / "raw").rglob("*") if path.is_file())):
        data = path.read_bytes()
        size += len(data)
        pieces = (data[span.start : span.end].replace(b"\n", b" ").replace(b"\r", b" ") for span in split(data))
        (lines / f"{number:06d}.ndjson").write_bytes(b"\n".join(pieces) + b"\n")
    events = truth.totals()["events"]
    truth.close()
    return Feed(root / "raw", lines, root / "truth.db", size, events)


def _round(result: Result, contender: Contender, feed: Feed, root: Path, *, first: bool) -> None:
    out = root / "out"
    print(f"{contender.name} on {result.cores} core(s) ...", file=sys.stderr, flush=True)
    seconds, cpu, peak, failed = _run(contender, feed, out, result.cores)
    if not result.seconds or seconds < result.seconds:
        result.seconds, result.cpu, result.peak_mib, result.failed = seconds, cpu, peak, failed
    if first and not failed:
        # without landing's index, which no other contender has
        written = (path for path in out.rglob("*.parquet") if "domain=" in str(path))
        result.output_mb = sum(path.stat().st_size for path in written) / 1e6
        result.wrong = check_output(out, feed.truth)
    _clear(out)


def _floor(feed: Feed) -> dict[str, float]:
    """Return the seconds of pyarrow's parse and Parquet writer for the same events, on one core."""
    print("the floor ...", file=sys.stderr, flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.floor", str(feed.raw)], capture_output=True, text=True, check=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'include'}"},
        preexec_fn=lambda: os.sched_setaffinity(0, {0}),
    )  # fmt: skip
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _damage(result: Result, contender: Contender, feed: Feed, root: Path) -> None:
    out = root / "damaged-out"
    *_, failed = _run(contender, feed, out, result.cores)
    if failed:
        result.damaged = f"fails: {failed}"
    else:
        wrong = check_output(out, feed.truth)
        result.damaged = f"{wrong.lost} of {wrong.events} lost, {wrong.doubled} doubled"
    _clear(out)


def _run(contender: Contender, feed: Feed, out: Path, cores: int) -> tuple[float, float, float, str]:
    """Return seconds, CPU seconds and peak MiB of a process tree, and its last error line."""
    source = feed.lines if contender.lines else feed.raw
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    if contender.command:
        module, *more = contender.command
        command = [PEERS, "-m", f"benchmarks.writers.{module}", str(source), str(out), str(cores), *more]
        environment["PYTHONPATH"] = str(ROOT)
    else:
        command = [sys.executable, "-m", "pismo_lake", "flatten", str(source), "--lake", str(out / "lake")]
        environment["PYTHONPATH"] = str(ROOT / "include")
    out.mkdir(exist_ok=True)
    started = time.monotonic()
    with tempfile.TemporaryFile() as log:
        process = psutil.Popen(
            command, env=environment, stdout=log, stderr=subprocess.STDOUT,
            preexec_fn=lambda: os.sched_setaffinity(0, set(range(cores))),
        )  # fmt: skip
        cpu, peak = _watch(process)
        seconds = time.monotonic() - started
        log.seek(0)
        said = log.read().decode(errors="replace").strip().splitlines()
    return seconds, cpu, peak, "" if process.returncode == 0 else _reason(said)


def _reason(said: Sequence[str]) -> str:
    named = [line for line in said if "Error" in line.split(":")[0] or "Exception" in line.split(":")[0]]
    text = (named or list(said) or ["?"])[-1].strip()
    # names of files in the benchmark's own folder say nothing
    return re.sub(r" in file .*|\bduckdb\.|_duckdb\.", "", text)[:100]


def _watch(process: psutil.Popen) -> tuple[float, float]:
    """CPU seconds and peak MiB of a process tree, looked at ten times a second until it ends."""
    times: dict[int, float] = {}
    peak = 0
    while process.poll() is None:
        memory = 0
        for one in [process, *_children(process)]:
            try:
                spent = one.cpu_times()
                times[one.pid] = spent.user + spent.system
                memory += one.memory_info().rss
            except psutil.Error:
                continue
        peak = max(peak, memory)
        time.sleep(0.1)
    return sum(times.values()), peak / (1 << 20)


def _children(process: psutil.Popen) -> list[psutil.Process]:
    try:
        found: list[psutil.Process] = process.children(recursive=True)
    except psutil.Error:
        return []
    return found


def _clear(out: Path) -> None:
    for path in out.parent.glob(f"{out.name}*"):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()


def _version(package: str) -> str:
    asked = f"import importlib.metadata as m; print(m.version({json.dumps(package)}))"
    done = subprocess.run([PEERS, "-c", asked], capture_output=True, text=True, check=False)
    return done.stdout.strip() or importlib.metadata.version(package)
