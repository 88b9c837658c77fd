"""`python -m benchmarks channels`: landing over each channel on loopback, beside the provider's own way to copy files.

Each contender runs in a process of its own, one after the other, round by round; the best round counts. `land` is what
the DAG's landing task does (download, size, synced file, ledger), `index` what its next task does with one
core, `stock` the provider's hook in a loop. Servers are processes of their own.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pismo_demo.channels import feed_of, server_of
from pismo_demo.processes import Notes, stop
from pismo_demo.servers import Places, start_sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pismo_lake.deliveries import Delivery

HOUR = "main_stream/2026/3/1/9"
CHANNELS = ("s3", "sftp", "gcs")
CONTENDERS = ("land", "index", "stock")


@dataclass(frozen=True, slots=True)
class Run:
    """What one contender did in one round."""

    contender: str
    files: int
    bytes: int
    seconds: float
    cpu: float
    peak_mib: float


def main(arguments: Sequence[str]) -> int:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(prog="benchmarks channels", description=__doc__)
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--mb", type=float, nargs="*", default=[1, 10])
    parser.add_argument("--channel", nargs="*", choices=CHANNELS, default=CHANNELS)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--contend", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.contend:
        contend(*options.contend)
        return 0
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; best of {options.rounds}")
    names = f"{'channel':8}{'MB':>4}{'files':>6}  {'contender':10}{'files/s':>9}{'MB/s':>8}"
    print(f"{names}{'CPU s':>8}{'MiB':>6}{'x stock':>9}")
    for channel in options.channel:
        for size in options.mb:
            with tempfile.TemporaryDirectory(prefix="pismo-bench-") as folder:
                show(channel, size, measure(channel, Path(folder), options.files, size, options.rounds))
    return 0


def show(channel: str, size: float, best: dict[str, Run]) -> None:
    """A line a contender."""
    stock = best["stock"].files / best["stock"].seconds
    for name, run in best.items():
        rate = run.files / run.seconds
        print(
            f"{channel:8}{size:>4g}{run.files:>6}  {name:10}{rate:>9.1f}{run.bytes / 1e6 / run.seconds:>8.1f}"
            f"{run.cpu:>8.1f}{run.peak_mib:>6.0f}{rate / stock:>9.2f}",
            flush=True,
        )


def measure(channel: str, root: Path, files: int, size: float, rounds: int) -> dict[str, Run]:
    """The best run of each contender."""
    places = Places(root / "demo")
    places.logs.mkdir(parents=True)
    notes = Notes(root / "running.json")
    place = start_sandbox(server_of(channel, places.home), places, notes)
    try:
        told = feed_of(channel, places.home, place)
        names = fill(channel, places.home, place, root / "made", files, size)
        environment = dict(os.environ) | told.variables | {"AIRFLOW_HOME": str(root / "airflow")}
        for name, connection in told.connections.items():
            environment[f"AIRFLOW_CONN_{name.upper()}"] = json.dumps(connection)
        runs: list[Run] = []
        for number in range(rounds):
            for contender in CONTENDERS:
                task = {"channel": channel, "deliveries": str(told.deliveries), "dag_id": told.dag_id, "files": names,
                        "to": str(root / f"{contender}{number}"), "host_key": place.get("host_key")}  # fmt: skip
                (root / "task.json").write_text(json.dumps(task))
                command = [
                    sys.executable,
                    "-m",
                    "benchmarks",
                    "channels",
                    "--contend",
                    contender,
                    str(root / "task.json"),
                ]
                done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
                if done.returncode:
                    raise SystemExit(f"{contender} over {channel} failed:\n{done.stdout[-1500:]}{done.stderr[-1500:]}")
                runs.append(Run(**json.loads(done.stdout.splitlines()[-1])))
                # so that each finds as much memory for the page cache as the one before
                for left in root.glob(f"{contender}{number}*"):
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
        return {
            name: min((run for run in runs if run.contender == name), key=lambda run: run.seconds)
            for name in CONTENDERS
        }
    finally:
        for started in notes.all():
            stop(started)


def fill(channel: str, home: Path, place: dict[str, str], made: Path, files: int, size: float) -> dict[str, int]:
    """Put event files of about this size where the channel has them; key to bytes."""
    from datetime import UTC, datetime, timedelta

    from pismo_demo.channels import sink_of
    from pismo_sandbox.publisher import FolderSink, Publisher
    from pismo_sandbox.truth import Truth

    made.mkdir()
    truth = Truth(made / "truth.db")
    start = datetime(2026, 3, 1, 9, tzinfo=UTC)
    # eight different files, over and over: events are the same, which landing does not mind
    Publisher(FolderSink(made), truth).publish(start, start + timedelta(minutes=40), int(8 * size * 1e6))
    truth.close()
    bodies = [path.read_bytes() for path in sorted((made / "main_stream").rglob("*")) if path.is_file()]
    sink: Any = sink_of(channel, home, place)
    sink = getattr(sink, "files", sink)
    names = {f"{HOUR}/f{number:04d}": bodies[number % len(bodies)] for number in range(files)}
    for key, body in names.items():
        sink.put(key, body)
    return {key: len(body) for key, body in names.items()}


def contend(contender: str, task_file: str) -> None:
    """Run one contender here, and print its figures as JSON."""
    from pismo_lake.deliveries import find_delivery

    task = json.loads(Path(task_file).read_text())
    to = Path(task["to"])
    to.mkdir()
    delivery = find_delivery(task["deliveries"], task["dag_id"].removeprefix("pismo_ingest_"))
    work: Callable[[Delivery, dict[str, Any], Path], None] = {"land": land, "index": index, "stock": stock}[contender]
    importlib.import_module(f"pismo.hooks.{task['channel']}")
    importlib.import_module("pismo_lake.indexer")
    importlib.import_module("airflow.providers.sftp.hooks.sftp")
    if contender == "index":
        land(delivery, task, to)
    started, used = time.monotonic(), os.times()
    work(delivery, task, to)
    seconds, now = time.monotonic() - started, os.times()
    landed = {path.name: path.stat().st_size for path in to.rglob("f[0-9][0-9][0-9][0-9]") if path.is_file()}
    if landed != {key.rsplit("/", 1)[1]: size for key, size in task["files"].items()}:
        raise SystemExit(f"{contender}: {len(landed)} of {len(task['files'])} files came, or not whole")
    cpu = now.user - used.user + now.system - used.system
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"contender": contender, "files": len(landed), "bytes": sum(landed.values()), "seconds": seconds,
                      "cpu": cpu, "peak_mib": peak}))  # fmt: skip


def land(delivery: Delivery, task: dict[str, Any], to: Path) -> None:
    """As the DAG lands."""
    from pismo.sources import source_of
    from pismo_lake.landing import RemoteFile, land_files
    from pismo_lake.ledger import Ledger

    settings = replace(delivery.settings, landing=str(to), lake=f"{to}-lake")
    ledger = Ledger.open(f"sqlite:///{to}.db")
    files = [RemoteFile(key, size) for key, size in task["files"].items()]
    with source_of(delivery) as source:
        land_files(settings, ledger, files, source.fetch, parallel=delivery.parallel_downloads)
    ledger.close()


def index(delivery: Delivery, _: dict[str, Any], to: Path) -> None:
    """Files that are landed."""
    from pismo_lake.indexer import index_landed
    from pismo_lake.ledger import Ledger

    settings = replace(delivery.settings, landing=str(to), lake=f"{to}-lake")
    ledger = Ledger.open(f"sqlite:///{to}.db")
    index_landed(settings, ledger)
    ledger.close()


def stock(delivery: Delivery, task: dict[str, Any], to: Path) -> None:
    """The provider's own hook in a loop, with the same connection and rights."""
    if delivery.channel == "s3":
        from pismo.hooks.s3 import PismoS3Hook

        hook: Any = PismoS3Hook(delivery)
        for key in task["files"]:
            # download_file is S3Hook's own; the hook adds the role and nothing to it
            got = hook.download_file(key, hook.bucket, str(to))
            Path(got).rename(to / key.rsplit("/", 1)[1])
    elif delivery.channel == "sftp":
        from airflow.providers.sftp.hooks.sftp import SFTPHook

        connection = json.loads(os.environ["AIRFLOW_CONN_PISMO_SANDBOX_SFTP"])
        # the stock hook takes one key: the one that the server knows
        connection["extra"]["private_key"] = connection["extra"]["private_key"].split("-----END OPENSSH PRIVATE KEY-----\n")[-2].strip() + "\n-----END OPENSSH PRIVATE KEY-----\n"  # fmt: skip # noqa: E501
        connection |= {"host": os.environ["PISMO_SFTP_HOST"], "port": int(os.environ["PISMO_SFTP_PORT"])}
        os.environ["AIRFLOW_CONN_STOCK"] = json.dumps(connection)
        for key in task["files"]:
            SFTPHook(ssh_conn_id="stock").retrieve_file(key, str(to / key.rsplit("/", 1)[1]))
    else:
        from pismo.hooks.gcs import PismoGCSHook

        gcs = PismoGCSHook(delivery)
        for key in task["files"]:
            gcs.download(delivery.source.bucket, f"copied/{key}", str(to / key.rsplit("/", 1)[1]))  # type: ignore[union-attr]
