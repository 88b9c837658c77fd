"""Measure landing over each channel on loopback: `python -m benchmarks channels`.

It is compared with the provider's own way to copy files. Each contender runs in a process of its own, one after the
other, in rounds; the best round counts. `land` is the work of the DAG's landing task (download, size, synced file,
ledger). The others only copy: `hook` is the provider's hook in a loop over one connection, `operator` uses a new hook
for each file, like an operator's `execute` (there is no operator from S3 to disk). Servers are processes of their own.
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
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pismo_demo.channels import feed_of, server_of
from pismo_demo.processes import Notes, stop
from pismo_demo.servers import Places, start_sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pismo_lake.settings.deliveries import Delivery

_KEY_END = "-----END OPENSSH PRIVATE KEY-----\n"
HOUR = "main_stream/2026/3/1/9"
CHANNELS = ("s3", "sftp", "gcs")
CONTENDERS = ("land", "hook", "operator")


@dataclass(frozen=True, slots=True)
class Run:
    """The result of one contender in one round."""

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
    print(f"{names}{'CPU s':>8}{'MiB':>6}{'x hook':>10}{'x oper.':>10}")
    for channel in options.channel:
        for size in options.mb:
            with tempfile.TemporaryDirectory(prefix="pismo-bench-") as folder:
                show(channel, size, measure(channel, Path(folder), options.files, size, options.rounds))
    return 0


def show(channel: str, size: float, best: dict[str, Run]) -> None:
    """Print a line for each contender."""
    rates = {name: run.files / run.seconds for name, run in best.items()}
    for name, run in best.items():
        rate = rates[name]
        times = "".join(f"{rate / rates[other]:>10.2f}" if other in rates else "" for other in CONTENDERS[1:])
        print(
            f"{channel:8}{size:>4g}{run.files:>6}  {name:10}{rate:>9.1f}{run.bytes / 1e6 / run.seconds:>8.1f}"
            f"{run.cpu:>8.1f}{run.peak_mib:>6.0f}{times}",
            flush=True,
        )


def measure(channel: str, root: Path, files: int, size: float, rounds: int) -> dict[str, Run]:
    """Return the best run of each contender."""
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
            for contender in CONTENDERS[: 2 if channel == "s3" else 3]:
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
            for name in dict.fromkeys(run.contender for run in runs)
        }
    finally:
        for started in notes.all():
            stop(started)


def fill(channel: str, home: Path, place: dict[str, str], made: Path, files: int, size: float) -> dict[str, int]:
    """Store event files of about this size for a channel; return their bytes by key."""
    from datetime import UTC, datetime, timedelta

    from pismo_demo.channels import sink_of
    from pismo_sandbox.check.truth import Truth
    from pismo_sandbox.feed.publisher import FolderSink, Publisher

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
    from pismo_lake.settings.deliveries import find_delivery

    task = json.loads(Path(task_file).read_text())
    to = Path(task["to"])
    to.mkdir()
    delivery = find_delivery(task["deliveries"], task["dag_id"].removeprefix("pismo_ingest_"))
    work: Callable[[Delivery, dict[str, Any], Path], None] = {"land": land, "hook": by_hook, "operator": by_operator}[
        contender
    ]
    importlib.import_module(f"pismo.hooks.{task['channel']}")
    importlib.import_module("pismo_lake.landing.land")
    importlib.import_module("airflow.providers.sftp.hooks.sftp")
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
    from pismo.connect.source import source_of
    from pismo_lake.landing.land import land_files
    from pismo_lake.landing.remote_file import RemoteFile
    from pismo_lake.ledger import Ledger

    settings = replace(delivery.settings, landing=str(to), lake=f"{to}-lake")
    ledger = Ledger.open(f"sqlite:///{to}.db")
    files = [RemoteFile(key, size) for key, size in task["files"].items()]
    with source_of(delivery) as source:
        land_files(settings, ledger, files, source.fetch, parallel=delivery.parallel_downloads)
    ledger.close()


def by_hook(delivery: Delivery, task: dict[str, Any], to: Path) -> None:
    """One hook, and one connection, for all files."""
    with _copying(delivery) as copy:
        for key in task["files"]:
            copy(key, to)


def by_operator(delivery: Delivery, task: dict[str, Any], to: Path) -> None:
    """Copy each file with a hook of its own."""
    for key in task["files"]:
        with _copying(delivery) as copy:
            copy(key, to)


@contextmanager
def _copying(delivery: Delivery) -> Iterator[Callable[[str, Path], None]]:
    """Copy files to disk as the provider does, with the same connection and rights."""
    if delivery.channel == "s3":
        from pismo.hooks.s3 import PismoS3Hook

        hook: Any = PismoS3Hook(delivery)
        # download_file is S3Hook's own; the hook adds the role and nothing to it
        yield lambda key, to: _named(hook.download_file(key, hook.bucket, str(to)), key, to)
    elif delivery.channel == "sftp":
        from airflow.providers.sftp.hooks.sftp import SFTPHook

        connection = json.loads(os.environ["AIRFLOW_CONN_PISMO_SANDBOX_SFTP"])
        # the stock hook takes one key: the one that the server knows
        last = connection["extra"]["private_key"].split(_KEY_END)[-2].strip()
        connection["extra"]["private_key"] = f"{last}\n{_KEY_END}"
        connection |= {"host": os.environ["PISMO_SFTP_HOST"], "port": int(os.environ["PISMO_SFTP_PORT"])}
        os.environ["AIRFLOW_CONN_STOCK"] = json.dumps(connection)
        sftp = SFTPHook(ssh_conn_id="stock")
        with sftp.get_managed_conn():
            yield lambda key, to: sftp.retrieve_file(key, str(to / key.rsplit("/", 1)[1]))
    else:
        from pismo.hooks.gcs import PismoGCSHook

        gcs, bucket = PismoGCSHook(delivery), delivery.source.bucket  # type: ignore[union-attr]
        # download is GCSHook's own; the hook adds the endpoint and nothing to it
        yield lambda key, to: gcs.download(bucket, f"copied/{key}", str(to / key.rsplit("/", 1)[1]))
        gcs.close()


def _named(got: str, key: str, to: Path) -> None:
    Path(got).rename(to / key.rsplit("/", 1)[1])
