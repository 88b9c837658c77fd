"""Measure one large hour, whole and in slices: `make bench ARGS="chunks --mb 300 --slices 6"`.

Each slice is carried in a process of its own, one after the other, as landing tasks of Airflow do on as many workers.
From the CPU seconds of the parts it computes the time on many workers, if landing and lake are not the limit.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pismo_lake.landing.land import land_files
from pismo_lake.landing.remote_file import RemoteFile
from pismo_lake.ledger import FileLedger, Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pismo.runs.chunks import Chunk
    from pismo_lake.settings.deliveries import Delivery

_HOUR = "2026-03-01T12"
_FOLDER = "main_stream/2026/3/1/12"
_WORKERS = (1, 2, 4, 8, 16)
_SLICES, _CHUNK = 40, 250e6


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds of a process, without its start, and the units that it left."""

    seconds: float
    left: tuple[str, ...]


def main(arguments: Sequence[str]) -> int:
    """Carry the same files as one chunk and as slices; print what each part costs."""
    parser = argparse.ArgumentParser(prog="benchmarks chunks", description=__doc__)
    parser.add_argument("--mb", type=float, default=300)
    parser.add_argument("--slices", type=int, default=6)
    parser.add_argument("--start", type=float, default=1.2, help="CPU seconds to start a task of Airflow")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="pismo-chunks-") as folder:
        root = Path(folder)
        command = ["generate", "--out", str(root), "--hours", "1", "--mb", str(options.mb)]
        subprocess.run([sys.executable, "-m", "pismo_sandbox", *command], check=True, capture_output=True)
        raw = {f"{_FOLDER}/{path.name}": path for path in (root / "raw" / "main_stream").rglob("*") if path.is_file()}
        size = sum(path.stat().st_size for path in raw.values())
        from pismo.runs.chunks import WHOLE, cut

        files = [RemoteFile(key, path.stat().st_size) for key, path in raw.items()]
        slices = cut(files, {}, 0, chunk_bytes=-(-size // options.slices))
        (whole,) = _carry_all(root / "whole", raw, [WHOLE])
        parts = _carry_all(root / "slices", raw, slices)
        (last,) = _carry_all(root / "slices", {}, [WHOLE])
        counts = [_rows(root / name) for name in ("whole", "slices")]
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.0f}; {len(raw)} files, {size / 1e6:.0f} MB, one hour")
    print(f"one chunk: {whole.seconds:.1f} CPU s, {whole.seconds / size * 1e9:.1f} ms for 1 MB")
    every = sum(part.seconds for part in parts)
    print(f"{len(parts)} slices: {every:.1f} CPU s together, the longest {max(part.seconds for part in parts):.1f}")
    print(f"the hour once more, after all slices: {last.seconds:.1f} CPU s; rows: {counts[0]} and {counts[1]}")
    assert counts[0] == counts[1]
    # each slice has costs of its own: a new process, contracts that it reads, and keys of the whole hour
    own = max(every - whole.seconds, 0) / max(len(parts) - 1, 1) + options.start
    a_slice = _CHUNK * whole.seconds / size + own
    for workers in _WORKERS:
        # the sensor, a last index, a last build and the task between them follow each other
        seconds = -(-_SLICES // workers) * a_slice + _SLICES * _CHUNK * last.seconds / size + 4 * options.start
        print(f"an hour of 10 GB on {workers:>2} workers: {seconds:.0f} s, {10e3 / seconds:.0f} MB/s (computed)")
    return 0


def _carry_all(root: Path, raw: Mapping[str, Path], chunks: Sequence[Chunk]) -> list[Cost]:
    """Land files, and carry chunks of them in processes of their own."""
    root.mkdir(exist_ok=True)
    delivery = _delivery(root)
    with Ledger.open(delivery.ledger_url or "") as ledger:

        @contextmanager
        def fetch(file: RemoteFile) -> Iterator[Iterator[bytes]]:
            yield iter([raw[file.key].read_bytes()])

        land_files(delivery.settings, ledger, [RemoteFile(key, None) for key in raw], fetch)
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        return [pool.apply(_carry, (root, chunk)) for chunk in chunks]


def _carry(root: Path, chunk: Chunk) -> Cost:
    from pismo.operators.steps import carry

    delivery, before = _delivery(root), _cpu()
    with Ledger.open(delivery.ledger_url or "") as ledger:
        done = carry(delivery, ledger, chunk, {_HOUR}, set(), force=False, log=logging.getLogger())
    return Cost(_cpu() - before, done.left)


def _delivery(root: Path) -> Delivery:
    from pismo_lake.settings.channels import Channel, Environment, S3Source
    from pismo_lake.settings.deliveries import Delivery

    return Delivery(
        name="bench", organisation="TN-1", environment=Environment.SANDBOX, channel=Channel.S3, conn_id="none",
        landing=str(root / "landing"), lake=str(root / "lake"), ledger_url=f"sqlite:///{root}/ledger.db",
        source=S3Source("123456789012"),
    )  # fmt: skip


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _rows(root: Path) -> int:
    from pismo_lake.ledger.builds import BuildLedger

    delivery = _delivery(root)
    with Ledger.open(delivery.ledger_url or "") as ledger:
        assert FileLedger(ledger, delivery.lake, delivery.name).unbuilt_units() == []
        parts = BuildLedger(ledger, delivery.lake, delivery.name, _HOUR).parts()
        return sum(part.counts["rows"] for part in parts)
